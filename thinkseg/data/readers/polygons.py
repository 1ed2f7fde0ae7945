"""Masks from COCO's polygons and run lengths, pixel by pixel the ones that COCO's own tools draw.

Corners are rounded to a fifth of a pixel. A pixel belongs to the object when its centre lies inside, counted down its
column: each crossing of the outline switches between outside and inside.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from thinkseg.errors import ImageError
from thinkseg.imaging import RunLengths, mask_from_rle
from thinkseg.types import Mask, Masks, Size

Segmentation = list[list[float]] | dict[str, Any]
"""Polygons x, y, x, y, … of one object, or run lengths with "size" and "counts"."""

_FINER = 5


def mask_from_segmentation(segmentation: Segmentation, size: Size) -> Mask:
    """Draw COCO's polygons or run lengths; several polygons make one mask.

    Raises:
        ImageError: run lengths that do not fill the size.
        ValueError: a polygon of fewer than three corners.
    """
    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != list(size.hw):
            raise ImageError(f"run lengths are for {segmentation['size']} (height, width), the image is {size.hw}")
        if isinstance(segmentation["counts"], str):
            return mask_from_rle(RunLengths(size=list(size.hw), counts=segmentation["counts"]))
        return _mask_from_runs(segmentation["counts"], size)
    mask = np.zeros(size.hw, dtype=bool)
    for polygon in segmentation:
        mask |= mask_from_polygon(np.asarray(polygon, dtype=np.float64).reshape(-1, 2), size)
    return mask


def mask_from_polygon(corners: Float[np.ndarray, "corners 2"], size: Size) -> Mask:
    """Fill one polygon, given as x, y in pixels from the image's corner; what crosses itself is filled by turns.

    Raises:
        ValueError: fewer than three corners, or numbers that are not finite.
    """
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"a polygon needs three corners or more, all finite, found {len(corners)} corners")
    fine = np.trunc(corners * _FINER + 0.5)
    toggles = np.zeros((size.height + 1, size.width), dtype=bool)
    for start, end in zip(fine, np.roll(fine, -1, axis=0), strict=True):
        columns, heights = _crossings(start, end, size.width)
        rows = np.ceil(((heights + 0.5) / _FINER - 0.5).clip(0, size.height)).astype(np.intp)
        toggles[rows, columns] ^= True  # a column once per edge, so that no index repeats
    mask: Mask = np.logical_xor.accumulate(toggles[:-1], axis=0)
    return mask


def _crossings(
    start: Float[np.ndarray, "2"], end: Float[np.ndarray, "2"], width: int
) -> tuple[Integer[np.ndarray, "columns"], Float[np.ndarray, "columns"]]:
    """Where an edge crosses the middles of pixel columns.

    The edge is walked in steps of a fifth of a pixel along its longer axis, the other coordinate rounded; of the two
    steps around a column's middle the upper one counts.

    Args:
        start: x, y in fifths of a pixel, whole numbers.
        end: the same.
        width: of the image in pixels.

    Returns:
        Columns of the image, and the height of the crossing in each, in fifths of a pixel.
    """
    (x_start, y_start), (x_end, y_end) = start, end
    first, last = np.clip(np.ceil((np.sort([x_start, x_end]) - _FINER / 2) / _FINER), 0, width).astype(int)
    columns = np.arange(first, last)
    left = columns * _FINER + _FINER // 2  # the step before a column's middle; the next one is past it
    x_span, y_span = x_end - x_start, y_end - y_start
    if abs(x_span) >= abs(y_span):
        if x_span < 0:
            x_start, y_start = x_end, y_end
        slope = y_span / x_span if x_span else 0.0
        before, after = (np.trunc(y_start + slope * (left + step - x_start) + 0.5) for step in (0, 1))
        return columns, np.minimum(before, after)
    if y_span < 0:
        x_start, y_start = x_end, y_end
    slope = x_span / y_span
    with np.errstate(divide="ignore"):
        passed = (left + 0.5 - x_start) / slope
    steps = np.ceil(passed) if slope > 0 else np.floor(passed) + 1
    return columns, y_start + steps - 1


def stacked(masks: Sequence[Mask], size: Size) -> Masks:
    """Masks as one array (masks, height, width), also when there is none."""
    return np.stack(masks) if masks else np.zeros((0, *size.hw), dtype=bool)


def _mask_from_runs(runs: Sequence[int], size: Size) -> Mask:
    """The mask that uncompressed run lengths describe, column by column, background first."""
    if sum(runs) != size.width * size.height or min(runs, default=0) < 0:
        raise ImageError(f"run lengths must add up to {size.width * size.height} pixels, found {sum(runs)}")
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return pixels.reshape(size.hw, order="F")
