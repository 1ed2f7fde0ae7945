"""Completions to score, with what is right for each, from lines of JSON or from mappings of the same keys.

Each has ``completion`` and, for the parts that need the truth, ``frame`` ([width, height] of the pixels that
coordinates count) with ``box`` and ``points``, or ``objects``, or ``mask`` or ``masks`` (one per object) and ``image``,
and ``ignore``, the pixels that count neither way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thinkseg.data.fields import shown
from thinkseg.data.readers.segmentations import mask_from_run_lengths
from thinkseg.errors import DataError, ImageError
from thinkseg.imaging import load_image, load_mask
from thinkseg.rewards.reward_input import Truth, objects_from_record
from thinkseg.types import Mask, Masks, Size

NO_FRAME = 1_000_000
"""Side of the frame of a completion that names none: large enough that nothing is clipped."""


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A completion to score."""

    id: object
    """As it is called; its place, counted from 1, where it has no name."""
    completion: str
    frame: Size
    truth: Truth


def read_completions(lines: Iterable[str | Mapping[str, Any]], name: str, folder: Path) -> Iterator[ScoredText]:
    """The completions, one by one; blank lines are passed over.

    Args:
        lines: of JSON, or what they would hold.
        name: of all of them, for messages.
        folder: from which paths in them are taken.

    Raises:
        DataError: a line is not a JSON object with a completion, or its truth is not as it should be.
    """
    for number, line in enumerate(lines, start=1):
        if isinstance(line, str) and not line.strip():
            continue
        where = f"line {number} of {name}"
        try:
            record = json.loads(line) if isinstance(line, str) else line
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is not JSON: {error}") from error
        if not isinstance(record, Mapping) or not isinstance(record.get("completion"), str):
            raise DataError(f"{where} should be a JSON object with the text 'completion'")
        try:
            yield _from_record(record, number, folder)
        except (DataError, ImageError) as error:
            raise type(error)(f"{where}: {error}") from error


def _from_record(record: Mapping[str, Any], number: int, folder: Path) -> ScoredText:
    mask, masks, image, frame = (record.get(name) for name in ("mask", "masks", "image", "frame"))
    has_masks = mask is not None or masks is not None
    if has_masks and frame is None:
        raise DataError("a 'mask' needs 'frame', the [width, height] of the pixels that coordinates count")
    size = Size(NO_FRAME, NO_FRAME) if frame is None else _frame(frame)
    if image is not None and not isinstance(image, str | Path):
        raise DataError(f"'image' should be the name of one file, found {shown(image)}")
    pixels = load_image(folder / image) if has_masks and image is not None else None
    truth = Truth(
        mask=None if mask is None else _load_mask(mask, folder, "'mask'"),
        instances=None if masks is None else _load_masks(masks, folder, Size(*pixels.size) if pixels else size),
        ignore=None if record.get("ignore") is None else _load_mask(record["ignore"], folder, "'ignore'"),
        objects=objects_from_record(record),
        image=pixels,
    )
    return ScoredText(record.get("id", number), record["completion"], size, truth)


def _frame(told: Any) -> Size:
    """A frame of whole numbers of pixels; 12.0 is one, not a number is none."""
    sides = [int(side) for side in told if _is_side(side)] if isinstance(told, list | tuple) else []
    if len(sides) != 2 or len(told) != 2:
        raise DataError(f"'frame' should be [width, height], two whole numbers from 1 on, found {shown(told)}")
    return Size(*sides)


def _is_side(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 1 <= value < 2**53 and value == int(value)  # type: ignore[operator, call-overload]


def _load_mask(source: Any, folder: Path, name: str) -> Mask:
    """A mask from a file or from run lengths of either kind."""
    if isinstance(source, str | Path):
        return load_mask(folder / source)
    if not isinstance(source, Mapping):
        raise DataError(f"{name} should be a file, or run lengths with 'size' and 'counts', found {shown(source)}")
    try:
        return mask_from_run_lengths(dict(source))
    except ImageError as error:
        raise DataError(f"{name} cannot be read: {error}") from error


def _load_masks(sources: Any, folder: Path, size: Size) -> Masks:
    """The masks of several objects, files or run lengths; `size` is what no masks at all are of."""
    if not isinstance(sources, list | tuple):
        raise DataError(f"'masks' should be a list of files or of run lengths, found {shown(sources)}")
    masks = [_load_mask(source, folder, "one of 'masks'") for source in sources]
    if any(mask.shape != masks[0].shape for mask in masks):
        raise DataError("the 'masks' of a line should all have the size of its image, found different sizes")
    return np.stack(masks) if masks else np.zeros((0, *size.hw), dtype=bool)
