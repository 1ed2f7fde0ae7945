"""Completions to score, with what is right for each, from lines of JSON or from mappings of the same keys.

Each has ``completion`` and, for the parts that need the truth, ``frame`` ([width, height] of the pixels that
coordinates count) with ``box`` and ``points``, or ``objects``, or ``mask`` or ``masks`` (one per object) and ``image``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thinkseg.errors import DataError
from thinkseg.imaging import load_image, load_mask, mask_from_rle
from thinkseg.rewards.reward_input import Truth, objects_from_record
from thinkseg.types import Masks, Size

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
        except ValueError as error:
            raise DataError(f"{where} is not JSON: {error}") from error
        if not isinstance(record, Mapping) or not isinstance(record.get("completion"), str):
            raise DataError(f"{where} should be a JSON object with the text 'completion'")
        try:
            yield _from_record(record, number, folder)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error


def _from_record(record: Mapping[str, Any], number: int, folder: Path) -> ScoredText:
    mask, masks, image, frame = (record.get(name) for name in ("mask", "masks", "image", "frame"))
    has_masks = mask is not None or masks is not None
    if has_masks and frame is None:
        raise DataError("a 'mask' needs 'frame', the [width, height] of the pixels that coordinates count")
    try:
        size = Size(*frame) if frame is not None else Size(NO_FRAME, NO_FRAME)
    except (TypeError, ValueError) as error:
        raise DataError(f"'frame' should be [width, height], found {frame}") from error
    pixels = load_image(folder / image) if has_masks and image is not None else None
    truth = Truth(
        mask=load_mask(folder / mask) if mask is not None else None,
        instances=None if masks is None else _load_masks(masks, folder, Size(*pixels.size) if pixels else size),
        objects=objects_from_record(record),
        image=pixels,
    )
    return ScoredText(record.get("id", number), record["completion"], size, truth)


def _load_masks(sources: Any, folder: Path, size: Size) -> Masks:
    """The masks of several objects, files or run lengths; `size` is what no masks at all are of."""
    if not isinstance(sources, list) or not all(isinstance(source, str | dict) for source in sources):
        raise DataError(f"'masks' should be a list of files or of run lengths, found {sources!r}")
    try:
        masks = [load_mask(folder / source) if isinstance(source, str) else mask_from_rle(source) for source in sources]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"one of 'masks' is neither a file nor run lengths with 'size' and 'counts' ({error})"
        ) from error
    if any(mask.shape != masks[0].shape for mask in masks):
        raise DataError("the 'masks' of a line should all have the size of its image, found different sizes")
    return np.stack(masks) if masks else np.zeros((0, *size.hw), dtype=bool)
