"""Rows for engines that train elsewhere, veRL and EasyR1: what the model is shown and asked, and the truth as text.

The truth is a line of ``thinkseg score`` without its completion: ``id``, ``frame``, ``objects`` (boxes and points in
whole and parts of the frame's pixels), ``mask`` or ``masks`` and ``ignore`` (COCO's run lengths, at the size of the
image as it is), ``image`` (a path to that). So that whoever scores a completion has all that it takes, although the
engines hand no image to the rewards.

* ``verl``: ``data_source``, ``prompt`` (messages, ``<image>`` where the image stands), ``images``, ``ability``,
  ``reward_model`` (its ``ground_truth`` is the truth) and ``extra_info`` (``index``, ``split``, ``id``, ``image``).
* ``easyr1``: ``id``, ``problem`` (one text, with ``<image>``), ``images`` and ``answer`` (the truth).

The image of a row has the size that the model's processor makes of it, so that an engine's own resizing leaves it
alone and the frame of the truth is the one in which the model answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image

from thinkseg.answers.codec import answer_to_json
from thinkseg.data.prepared.encoding import encoded_image
from thinkseg.errors import DataError
from thinkseg.geometry import reference_of
from thinkseg.imaging import rle_from_mask
from thinkseg.types import Answer, Request, Sample, Size

EngineSchema = Literal["verl", "easyr1"]

ENGINES: tuple[EngineSchema, ...] = get_args(EngineSchema)
"""Their names."""

Ask = Callable[[Sample, Image.Image], tuple[Request, Size]]
"""From a sample and its image as it is to what the model is shown and asked, and the frame of its answer."""

IMAGE = "<image>"
"""What stands for the image in a prompt."""

_STANDING = (IMAGE, "<video>", "<audio>")
"""Words that the engines take for something else than text."""


@dataclass(frozen=True, slots=True)
class EngineRows:
    """How rows for an engine are made."""

    schema: EngineSchema
    ask: Ask
    points: int
    """On each object of the truth, as many as an answer in the model's format has."""


@dataclass(frozen=True, slots=True)
class RowPlace:
    """Where a row stands among the others."""

    split: str
    index: int
    """Of the sample, from 0 on."""
    images: Path
    """Folder for images that have no file of their own, which the segmenter is to see."""


def engine_row(sample: Sample, image: Image.Image, engine: EngineRows, place: RowPlace) -> dict[str, Any]:
    """A sample as a row of an engine.

    Args:
        sample: with masks or a reference answer.
        image: its image, decoded.
        engine: whose row it is, and what the model is asked.
        place: where the row stands.

    Raises:
        DataError: a word of the prompt stands for an image in the engine's rows, or the engine has no place for a
            system message.
    """
    request, frame = engine.ask(sample, image)
    system, user = request.instruction.system, request.instruction.user
    for word in _STANDING:
        if word in f"{system} {user}":
            raise DataError(
                f"the prompt of sample '{sample.id}' contains '{word}', which {engine.schema} does not take for text"
            )
    source = _image_file(sample, image, place)
    reference = reference_of(sample, engine.points)
    truth = json.dumps(truth_record(sample, reference, frame, source), ensure_ascii=False)
    images = [{"bytes": encoded_image(sample, request.image, Size(*image.size)), "path": None}]
    if engine.schema == "easyr1":
        if system is not None:
            raise DataError(
                "EasyR1 has no place for a system message, and the format of the answers comes with one: choose "
                "--schema verl, or a format without one (seg-zero, vision-reasoner, seg-r1-points)"
            )
        return {"id": sample.id, "problem": IMAGE + user, "images": images, "answer": truth}
    messages = [{"role": "user", "content": IMAGE + user}]
    return {
        "data_source": f"thinkseg/{sample.task}" if sample.task else "thinkseg",
        "prompt": messages if system is None else [{"role": "system", "content": system}, *messages],
        "images": images,
        "ability": "segmentation",
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"index": place.index, "split": place.split, "id": sample.id, "image": source},
    }


def truth_record(sample: Sample, reference: Answer | None, frame: Size, image: str | None) -> dict[str, Any]:
    """What is right for a sample, as a line of ``thinkseg score`` has it.

    Args:
        sample: its masks are at the size of its image.
        reference: its true boxes and points, in any frame.
        frame: in which the model answers.
        image: path of the image that the segmenter is shown.
    """
    record: dict[str, Any] = {"id": sample.id, "frame": list(frame.wh)}
    if reference is not None:
        record["objects"] = answer_to_json(reference.rescaled(frame))["objects"]
    if sample.instances is not None:
        record["masks"] = [rle_from_mask(mask) for mask in sample.instances]
    if sample.target is not None:
        record["mask"] = rle_from_mask(sample.target)
    if sample.ignore is not None:
        record["ignore"] = rle_from_mask(sample.ignore)
    return record | ({} if image is None else {"image": image})


def engine_columns(schema: EngineSchema) -> Mapping[str, Any]:
    """The columns of a schema, as ``datasets`` names their kinds."""
    from datasets import Image as Pixels
    from datasets import List, Value

    text, images = Value("string"), List(Pixels())
    if schema == "easyr1":
        return {"id": text, "problem": text, "images": images, "answer": text}
    return {
        "data_source": text,
        "prompt": List({"role": text, "content": text}),
        "images": images,
        "ability": text,
        "reward_model": {"style": text, "ground_truth": text},
        "extra_info": {"index": Value("int64"), "split": text, "id": text, "image": text},
    }


def _image_file(sample: Sample, image: Image.Image, place: RowPlace) -> str | None:
    """The file of a sample's image; one that lies inside other rows is written where a mask says what to find in it."""
    if not isinstance(sample.image, Image.Image):
        return str(Path(sample.image).absolute())
    if sample.target is None:
        return None
    place.images.mkdir(parents=True, exist_ok=True)
    file = place.images.absolute() / f"{place.split}-{place.index:08d}.png"
    image.save(file)
    return str(file)
