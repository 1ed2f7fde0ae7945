"""Masks from COCO's polygons and run lengths, drawn by COCO's own tools: for COCO, LVIS and the RefCOCO family.

ReasonSeg's polygons are drawn by its authors' rule, in `thinkseg.data.readers.reasonseg`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from thinkseg.errors import ImageError
from thinkseg.imaging import RunLengths, mask_from_rle
from thinkseg.types import Mask, Masks, Size

Segmentation = list[list[float]] | dict[str, Any]
"""Polygons x, y, x, y, … of one object, or run lengths with "size" and "counts"."""

FARTHEST = 100_000.0
"""Pixels: a corner farther away is refused, as COCO's tools walk along every edge."""


def mask_from_segmentation(segmentation: Segmentation, size: Size) -> Mask:
    """Draw COCO's polygons or run lengths; several polygons make one mask.

    Raises:
        ImageError: run lengths that do not fill the size.
        ValueError: a polygon of fewer than three corners, or with one that is not finite or far away.
    """
    from pycocotools import mask as coco

    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != list(size.hw):
            raise ImageError(f"run lengths are for {segmentation['size']} (height, width), the image is {size.hw}")
        if isinstance(segmentation["counts"], str):
            return mask_from_rle(RunLengths(size=list(size.hw), counts=segmentation["counts"]))
        counts = list(map(int, segmentation["counts"]))
        if sum(counts) != size.width * size.height or min(counts, default=0) < 0:
            raise ImageError(f"run lengths must add up to {size.width * size.height} pixels, found {sum(counts)}")
        drawn = coco.frPyObjects({"size": list(size.hw), "counts": counts}, *size.hw)
    elif segmentation:
        drawn = coco.merge(coco.frPyObjects([_corners(polygon) for polygon in segmentation], *size.hw))
    else:
        return np.zeros(size.hw, dtype=bool)
    return mask_from_rle(RunLengths(size=list(size.hw), counts=drawn["counts"].decode()))


def stacked(masks: Sequence[Mask], size: Size) -> Masks:
    """Masks as one array (masks, height, width), also when there is none."""
    return np.stack(masks) if masks else np.zeros((0, *size.hw), dtype=bool)


def _corners(polygon: Sequence[float]) -> list[float]:
    """A polygon that COCO's tools can draw: they take four numbers for a box, and check nothing."""
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    if len(corners) < 3:
        raise ValueError(f"a polygon needs three corners or more, found {len(corners)}")
    if not (np.abs(corners) <= FARTHEST).all():
        raise ValueError(f"a polygon needs corners that are finite and within {FARTHEST:,.0f} pixels of the image")
    return list(map(float, polygon))
