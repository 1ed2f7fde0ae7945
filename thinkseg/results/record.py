"""A prediction as a record: plain JSON with every mask in it, and what it says in words.

Coordinates in a record are in pixels of the image.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thinkseg.answers.codec import answer_from_json, prompt_to_json
from thinkseg.imaging import mask_from_rle, rle_from_mask
from thinkseg.types import Answer, Completion, Failure, FinishReason, Masks, Prediction, Size

ResultRecord = dict[str, Any]


def record_from_prediction(prediction: Prediction, query: str) -> ResultRecord:
    """A prediction as plain JSON: coordinates in pixels of the image, masks as COCO's compressed run lengths."""
    size, answer = prediction.size, prediction.answer
    prompts = answer.rescaled(size).objects if answer else ()
    scores = [None] * len(prompts) if prediction.scores is None else prediction.scores.round(4).tolist()
    objects = [
        {
            **prompt_to_json(prompt, 2, labels_apart=True),
            "area": int(mask.sum()),
            "score": score,
            "mask": rle_from_mask(mask),
        }
        for prompt, mask, score in zip(prompts, prediction.masks, scores, strict=True)
    ]
    return {
        "query": query,
        "size": {"width": size.width, "height": size.height},
        "thinking": answer.think if answer else None,
        "nothing_there": answer is not None and not objects,
        "count": len(objects) if answer else None,
        "objects": objects,
        "failure": prediction.failure.value if prediction.failure else None,
        "failure_detail": prediction.failure_detail or None,
        "completion": {"text": prediction.completion.text, "finish_reason": prediction.completion.finish_reason.value},
        "frame": {"width": answer.frame.width, "height": answer.frame.height} if answer else None,
    }


def prediction_from_record(record: Mapping[str, Any]) -> Prediction:
    """The prediction that a record was made from; its coordinates were rounded to hundredths of a pixel of the image.

    Records of versions that had no scores have none.
    """
    answer, frame, said = answer_from_record(record), record["frame"], record["completion"]
    scores = [found.get("score") for found in record["objects"]]
    return Prediction(
        sample_id=str(record.get("image", "")),
        completion=Completion(said["text"], FinishReason(said["finish_reason"])),
        answer=answer.rescaled(Size(frame["width"], frame["height"])) if answer and frame else None,
        masks=masks_from_record(record),
        failure=None if record["failure"] is None else Failure(record["failure"]),
        failure_detail=record["failure_detail"] or "",
        scores=None if answer is None or None in scores else np.array(scores, dtype=np.float64),
    )


def masks_from_record(record: Mapping[str, Any]) -> Masks:
    """The masks of a record, one per object."""
    masks = [mask_from_rle(found["mask"]) for found in record["objects"]]
    if not masks:
        return np.zeros((0, record["size"]["height"], record["size"]["width"]), dtype=bool)
    return np.stack(masks)


def answer_from_record(record: Mapping[str, Any]) -> Answer | None:
    """The answer of a record, in pixels of the image; None when the model's text could not be read."""
    if record["failure"] is not None:
        return None
    size = record["size"]["width"], record["size"]["height"]
    return answer_from_json({"frame": size, "objects": record["objects"], "think": record["thinking"]})


def describe(record: Mapping[str, Any]) -> list[str]:
    """What a record says, in lines for people: the thinking, and the objects or why there is none."""
    thinking = (record["thinking"] or "").strip()
    lines = [f"thinking: {thinking}"] if thinking else []
    if record["failure"] is not None:
        sentence = Failure(record["failure"]).sentence
        return [*lines, f"no answer: {sentence} {record['failure_detail'] or ''}".rstrip()]
    if record["nothing_there"]:
        return [*lines, "nothing there: the model sees nothing that the query asks for"]
    pixels = record["size"]["width"] * record["size"]["height"]
    lines.append(counted(len(record["objects"]), "object"))
    for number, found in enumerate(record["objects"], start=1):
        score = "" if found.get("score") is None else f", score {found['score']:.2f}"
        covers = f"mask covers {share_text(found['area'] / pixels)} of the image{score}"
        lines.append(f"object {number}: {_place(found)}; {covers}")
    return lines


def in_words(record: Mapping[str, Any], files: Sequence[Path] = (), *, kept: bool = False) -> str:
    """A record for people, in a few lines: image and query, what `describe` says, and the files.

    Args:
        record: with the image's name as `image`.
        files: that were written, if any.
        kept: whether they were there before.
    """
    lines = [f"{record['image']}: {record['query']}", *describe(record)]
    if files:
        lines.append(f"{'was there already' if kept else 'written'}: {', '.join(map(str, files))}")
    return "\n  ".join(lines)


def counted(count: int, noun: str) -> str:
    """A number with its noun, which takes an s in the plural."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def share_text(value: float) -> str:
    """A share as a percentage of two digits at most."""
    return f"{value:.0%}" if value >= 0.1 else f"{value:.1%}"


def _place(found: Mapping[str, Any]) -> str:
    """An object's prompt in words."""
    parts = []
    if found["box"] is not None:
        parts.append("box " + " ".join(str(round(value)) for value in found["box"]))
    for label, word in ((1, "points on it"), (0, "points beside it")):
        points = [
            f"({x:.0f}, {y:.0f})" for (x, y), own in zip(found["points"], found["labels"], strict=True) if own == label
        ]
        if points:
            parts.append(f"{word} {' '.join(points)}")
    return "; ".join(parts)
