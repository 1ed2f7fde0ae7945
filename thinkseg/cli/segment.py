"""``thinkseg segment``: from pictures and a query to masks.

For every picture it prints the model's thinking and what was found, and writes into the output folder

* ``NAME.mask.png``: the union of the objects, 255 on them, at the picture's size,
* ``NAME.overlay.png``: the picture with masks, boxes and points drawn over it,
* ``NAME.json``: the query, the thinking, the model's text, boxes and points in pixels of the picture, each object's
  mask as COCO run lengths, and the failure, if there was one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import InputError
from thinkseg.types import Failure, ObjectPrompt, Prediction, Sample

if TYPE_CHECKING:
    from thinkseg.models.pipeline import Pipeline

EXAMPLE = """\
example:
  thinkseg segment photo.jpg --query 'the animal that gives milk'
  thinkseg segment a.jpg b.jpg --query 'every spoon' --model runs/rl/final --out masks --json
"""

DONE, FAILED = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="picture files")
    parser.add_argument("-q", "--query", required=True, metavar="TEXT", help="what to look for, in words")
    parser.add_argument(
        "--model", default="pocket", help="the reasoner: 'pocket', a checkpoint folder or a hub id (default: pocket)"
    )
    parser.add_argument(
        "--segmenter",
        help="'pocket', 'grabcut', a folder or a hub id (default: the one the model was trained with)",
    )
    parser.add_argument("--format", help="answer format, e.g. seg-r1 (default: what the model's thinkseg.json says)")
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="folder for the results (default: this one)"
    )
    parser.add_argument("--device", default="auto", help="'auto', 'cpu', 'cuda', 'cuda:1', … (default: auto)")
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="length limit of the model's text, in tokens")
    parser.add_argument("--json", action="store_true", help="print each result as a line of JSON in place of the text")


def run(args: argparse.Namespace) -> int:
    """Segment every picture.

    Returns:
        0, or 1 when no picture at all got a readable answer.
    """
    if not args.query.strip():
        raise InputError("the query is empty: say in words what to look for")
    _check_pictures(args.images)
    _make_folder(args.out)
    pipeline = _load(args)
    answered = 0
    for path, name in zip(args.images, _names(args.images, args.out), strict=True):
        answered += segment_one(pipeline, path, args.query, args.out / name, as_json=args.json)
    return DONE if answered else FAILED


def segment_one(pipeline: Pipeline, path: Path, query: str, stem: Path, *, as_json: bool) -> bool:
    """Segment one picture, write its files and print the result; whether the answer could be read."""
    from thinkseg import drawing, imaging

    image = imaging.load_image(path)
    prediction = next(pipeline.predict([Sample(id=str(path), image=image, query=query)]))
    record = {"image": str(path), **record_from_prediction(prediction, query)}
    imaging.save_mask(prediction.mask, _with(stem, ".mask.png"))
    drawing.overlay(image, prediction.masks, prediction.answer).save(_with(stem, ".overlay.png"))
    _with(stem, ".json").write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, ensure_ascii=False) if as_json else _told(path, prediction, stem), flush=True)
    return prediction.failure is None


def record_from_prediction(prediction: Prediction, query: str) -> dict[str, Any]:
    """A prediction as JSON: coordinates in pixels of the picture, masks as COCO's compressed run lengths."""
    from thinkseg.imaging import rle_from_mask

    size, answer = prediction.size, prediction.answer
    prompts: Sequence[ObjectPrompt] = answer.rescaled(size).objects if answer else ()
    objects = [
        {
            "box": None if prompt.box is None else [round(value, 2) for value in prompt.box.xyxy],
            "points": [[round(point.x, 2), round(point.y, 2)] for point in prompt.points],
            "labels": [point.label for point in prompt.points],
            "area": int(mask.sum()),
            "mask": rle_from_mask(mask),
        }
        for prompt, mask in zip(prompts, prediction.masks, strict=True)
    ]
    return {
        "query": query,
        "size": {"width": size.width, "height": size.height},
        "thinking": answer.think if answer else None,
        "nothing_there": answer is not None and not objects,
        "objects": objects,
        "failure": prediction.failure.name.lower() if prediction.failure else None,
        "failure_detail": prediction.failure_detail or None,
        "completion": {"text": prediction.completion.text, "finish_reason": prediction.completion.finish_reason.value},
        "frame": {"width": answer.frame.width, "height": answer.frame.height} if answer else None,
    }


def _load(args: argparse.Namespace) -> Pipeline:
    from thinkseg.models.pipeline import load_pipeline

    print(f"loading {args.model} …", file=sys.stderr)
    return load_pipeline(
        args.model, args.segmenter, args.format, device=args.device, max_new_tokens=args.max_new_tokens
    )


def _check_pictures(paths: Sequence[Path]) -> None:
    """Read every picture once, so that a wrong name is told before a model is loaded."""
    from thinkseg.imaging import load_image

    for path in paths:
        load_image(path)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"'{folder}' cannot be made a folder for the results: {error.strerror}") from error


def _names(images: Sequence[Path], out: Path) -> Iterator[str]:
    """A name for each picture's files: its stem, with a number where that is taken or would overwrite a picture."""
    pictures = {image.resolve() for image in images}
    taken: set[str] = set()
    for image in images:
        name, number = image.stem, 1
        while name.casefold() in taken or pictures & {file.resolve() for file in _files(out / name)}:
            number += 1
            name = f"{image.stem}-{number}"
        taken.add(name.casefold())
        yield name


def _files(stem: Path) -> list[Path]:
    return [_with(stem, ending) for ending in (".mask.png", ".overlay.png", ".json")]


def _with(stem: Path, ending: str) -> Path:
    """The stem with an ending, dots in it left alone."""
    return stem.with_name(stem.name + ending)


def _told(path: Path, prediction: Prediction, stem: Path) -> str:
    """The result in words."""
    lines = [f"{path}"]
    answer = prediction.answer
    if answer is not None and answer.think:
        lines.append(f"  thinking: {answer.think.strip()}")
    if answer is None:
        lines.append(f"  no answer: {_sentence(prediction.failure)} {prediction.failure_detail}".rstrip())
    elif not answer.objects:
        lines.append("  nothing there: the model sees nothing that the query asks for")
    else:
        prompts = answer.rescaled(prediction.size).objects
        for number, (prompt, mask) in enumerate(zip(prompts, prediction.masks, strict=True), start=1):
            lines.append(f"  object {number}: {_place(prompt)}; mask covers {_share(mask.mean())} of the picture")
    lines.append(f"  written: {', '.join(str(file) for file in _files(stem))}")
    return "\n".join(lines)


def _sentence(failure: Failure | None) -> str:
    return failure.value if failure else ""


def _place(prompt: ObjectPrompt) -> str:
    parts = []
    if prompt.box is not None:
        parts.append("box " + " ".join(str(round(value)) for value in prompt.box.xyxy))
    for label, word in ((1, "points on it"), (0, "points beside it")):
        points = [f"({point.x:.0f}, {point.y:.0f})" for point in prompt.points if point.label == label]
        if points:
            parts.append(f"{word} {' '.join(points)}")
    return "; ".join(parts)


def _share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.1 else f"{value:.1%}"
