"""Masks from COCO's polygons and run lengths, drawn by COCO's own tools: for COCO, LVIS and the RefCOCO family.

ReasonSeg's polygons are drawn by its authors' rule, in `thinkseg.data.readers.reasonseg`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from thinkseg.data.fields import shown
from thinkseg.errors import ImageError
from thinkseg.imaging import MAX_PIXELS, RunLengths, mask_from_rle
from thinkseg.types import Mask, Masks, Size

Segmentation = list[list[float]] | dict[str, Any]
"""Polygons x, y, x, y, … of one object, or run lengths with "size" and "counts"."""

FARTHEST = 100_000.0
"""Pixels: a corner farther away is refused, as COCO's tools walk along every edge."""


def mask_from_segmentation(segmentation: object, size: Size) -> Mask:
    """Draw COCO's polygons or run lengths; several polygons make one mask, and a flat list of numbers is one polygon.

    Args:
        segmentation: a `Segmentation`, or whatever else a file holds in its place.
        size: of the image.

    Raises:
        ImageError: it is neither, or run lengths that do not fill the size, or a polygon of fewer than three corners,
            or with one that is not finite or far away.
    """
    from pycocotools import mask as coco

    if isinstance(segmentation, dict):
        mask = mask_from_run_lengths(segmentation)
        if mask.shape != size.hw:
            raise ImageError(f"run lengths are for {mask.shape} (height, width), the image is {size.hw}")
        return mask
    if size.width * size.height > MAX_PIXELS:  # COCO's tools crash
        raise ImageError(f"an image of more than {MAX_PIXELS:,} pixels is not read, and so is no mask of it")
    if not segmentation and (segmentation is None or isinstance(segmentation, list)):
        return np.zeros(size.hw, dtype=bool)
    if not isinstance(segmentation, list):
        raise ImageError(f"{_EXPECTED}, found {shown(segmentation)}")
    polygons = [segmentation] if all(map(_is_number, segmentation)) else segmentation
    drawn = coco.merge(coco.frPyObjects([_corners(polygon) for polygon in polygons], *size.hw))
    return mask_from_rle(RunLengths(size=list(size.hw), counts=drawn["counts"].decode()))


def mask_from_run_lengths(told: object) -> Mask:
    """The mask of run lengths of either kind: "counts" is COCO's compressed text, or the lengths themselves.

    Raises:
        ImageError: it is no object with "size" and "counts", or the runs do not fill the size.
    """
    if not isinstance(told, dict) or not {"size", "counts"} <= told.keys():
        raise ImageError(f"run lengths should be an object with 'size' and 'counts', found {shown(told)}")
    size, counts = told["size"], told["counts"]
    if not (isinstance(size, list | tuple) and len(size) == 2 and all(map(_is_length, size))):
        raise ImageError(f"the 'size' of run lengths should be [height, width], found {shown(size)}")
    if max(size) * max(1, min(size)) > MAX_PIXELS:
        raise ImageError(f"run lengths of more than {MAX_PIXELS:,} pixels are not read, found the size {shown(size)}")
    height, width = map(int, size)
    if isinstance(counts, bytes):
        counts = counts.decode("latin-1")
    if isinstance(counts, str):
        return mask_from_rle(RunLengths(size=[height, width], counts=counts))
    if not isinstance(counts, list) or not all(map(_is_length, counts)):
        raise ImageError(f"the 'counts' of run lengths should be text or a list of lengths, found {shown(counts)}")
    total = sum(map(int, counts))
    if total != height * width:
        raise ImageError(
            f"run lengths of {height}×{width} pixels must add up to {height * width}, found {shown(total)}"
        )
    runs = np.array(counts, dtype=np.int64)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape((height, width), order="F")


_EXPECTED = (
    "a segmentation should be a list of polygons [[x1, y1, x2, y2, x3, y3, …], …], or run lengths with 'size' and "
    "'counts'"
)


def stacked(masks: Sequence[Mask], size: Size) -> Masks:
    """Masks as one array (masks, height, width), also when there is none."""
    return np.stack(masks) if masks else np.zeros((0, *size.hw), dtype=bool)


def _corners(polygon: object) -> list[float]:
    """A polygon that COCO's tools can draw: they take four numbers for a box, and check nothing."""
    if not isinstance(polygon, list) or not all(map(_is_number, polygon)):
        raise ImageError(f"{_EXPECTED}, found {shown(polygon)} for a polygon")
    if len(polygon) % 2 or len(polygon) < 6:
        found = f"{len(polygon)} numbers" if len(polygon) % 2 else str(len(polygon) // 2)
        raise ImageError(f"a polygon needs three corners or more, an x and a y for each, found {found}")
    if not all(abs(value) <= FARTHEST for value in polygon):  # as it is: a whole number may be too large for a float
        raise ImageError(f"a polygon needs corners that are finite and within {FARTHEST:,.0f} pixels of the image")
    return list(map(float, polygon))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_length(value: object) -> bool:
    """Whether a value is a whole number from 0 on."""
    return _is_number(value) and value >= 0 and value == value // 1  # type: ignore[operator]
