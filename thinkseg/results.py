"""What is kept of a prediction: a record, which is JSON with every mask in it, and images that are drawn from it.

::

    Prediction ─▶ record ─▶ NAME.json, NAME.mask.png, NAME.overlay.png, NAME.index.png, NAME.object-1.png …

The record is written last and whole, so that where it is the result is complete; images that are asked for later are
drawn from it, without a model. Coordinates in a record are in pixels of the image.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.answers.codec import answer_from_json, prompt_to_json
from thinkseg.drawing import index_image, overlay
from thinkseg.errors import ImageError
from thinkseg.imaging import mask_from_rle, rle_from_mask, save_mask
from thinkseg.types import Answer, Failure, Masks, Prediction

RECORD, MASK, OVERLAY, INDEX = ".json", ".mask.png", ".overlay.png", ".index.png"
"""What the names of a result's files end in."""

ResultRecord = dict[str, Any]

_ENDING = re.compile(r"\.(mask|overlay|index|object-\d+)\.png$")


def instance_ending(number: int) -> str:
    """What the name of an object's own mask ends in; the first object is number 1."""
    return f".object-{number}.png"


def with_ending(stem: Path, ending: str) -> Path:
    """The path of a result without suffix, with an ending; dots in it are left alone."""
    return stem.with_name(stem.name + ending)


def record_from_prediction(prediction: Prediction, query: str) -> ResultRecord:
    """A prediction as plain JSON: coordinates in pixels of the image, masks as COCO's compressed run lengths."""
    size, answer = prediction.size, prediction.answer
    prompts = answer.rescaled(size).objects if answer else ()
    objects = [
        {**prompt_to_json(prompt, 2, labels_apart=True), "area": int(mask.sum()), "mask": rle_from_mask(mask)}
        for prompt, mask in zip(prompts, prediction.masks, strict=True)
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


def endings(record: Mapping[str, Any], *, index: bool = False, instances: bool = False) -> list[str]:
    """What the files of a result end in, the record's last."""
    numbers = range(1, len(record["objects"]) + 1) if instances else ()
    return [MASK, OVERLAY, *([INDEX] if index else []), *map(instance_ending, numbers), RECORD]


def write_images(stem: Path, record: Mapping[str, Any], load: Callable[[], Image.Image], wanted: Iterable[str]) -> None:
    """Draw images of a record.

    Args:
        stem: where, without suffix; folders that are missing are made.
        record: what is drawn.
        load: the image that the record is about; called only if an overlay is wanted.
        wanted: endings of images.
    """
    masks = masks_from_record(record)
    for ending in wanted:
        path = with_ending(stem, ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = with_ending(path, ".part.png")
        if ending == MASK:
            save_mask(np.logical_or.reduce(masks, axis=0), half)
        elif ending == OVERLAY:
            overlay(load(), masks, answer_from_record(record)).save(half)
        elif ending == INDEX:
            index_image(masks).save(half)
        else:
            number = next(n for n in range(1, len(masks) + 1) if instance_ending(n) == ending)
            save_mask(masks[number - 1], half)
        os.replace(half, path)


def write_result(
    stem: Path,
    record: Mapping[str, Any],
    load: Callable[[], Image.Image],
    *,
    index: bool = False,
    instances: bool = False,
) -> None:
    """Write all files of a result, the record last, in place of those of an earlier one."""
    old = read_record(stem)
    for ending in reversed(endings(old, index=True, instances=True) if old else []):
        with_ending(stem, ending).unlink(missing_ok=True)
    write_images(stem, record, load, endings(record, index=index, instances=instances)[:-1])
    write_record(stem, record)


def write_record(stem: Path, record: Mapping[str, Any]) -> None:
    """Write a record so that a reader finds all of it or none."""
    path = with_ending(stem, RECORD)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = with_ending(path, ".part")
    half.write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    os.replace(half, path)


def read_record(stem: Path) -> ResultRecord | None:
    """The record of this name; None when there is no such file, or it is something else than a record."""
    try:
        found = json.loads(with_ending(stem, RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"query", "size", "objects", "completion"} <= found.keys() else None


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
        lines.append(f"object {number}: {_place(found)}; mask covers {share_text(found['area'] / pixels)} of the image")
    return lines


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


def is_image_of_result(path: Path) -> bool:
    """Whether a file was drawn from a record that lies beside it."""
    found = _ENDING.search(path.name)
    return found is not None and read_record(path.with_name(path.name[: found.start()])) is not None


def fingerprint(path: Path) -> str:
    """A short digest of a file's bytes, by which an image is known whatever it is called.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except FileNotFoundError as error:
        raise ImageError(f"expected an image at '{path}', found no such file") from error
    except OSError as error:
        raise ImageError(f"'{path}' cannot be read ({error.strerror})") from error
