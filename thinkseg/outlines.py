"""The outlines of a mask as polygons, along the edges of its pixels.

Corners are where pixels meet: the mask of pixel (3, 5) alone is the square from (3, 5) to (4, 6). So a polygon that is
drawn as COCO's tools draw it gives back every pixel of its mask; a simpler one, with fewer corners, loses some.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import label

Ring = Float64[np.ndarray, "_ 2"]
"""x and y of each corner, without the first one again at the end; around a part clockwise, around a hole the other way,
as one sees the image."""

EDITABLE = 1.0
"""A tolerance, in pixels, that leaves an outline few enough corners for a person to move."""
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Row and column of a step to the right, down, to the left and up."""


def polygons_from_mask(mask: Bool[np.ndarray, "height width"], tolerance: float = 0.0) -> list[Ring]:
    """A polygon around each part of a mask, from the top down.

    Parts are pixels that share sides. A hole is joined to the rim around it by a line that is walked there and back, so
    that it stays a hole where polygons are filled, by whichever rule.

    Args:
        mask: at any size.
        tolerance: how far, in pixels, the outline may be from that of the pixels, so that it has fewer corners
            (Douglas and Peucker's algorithm, as OpenCV has it); 0 keeps every pixel.
    """
    parts, count = label(mask)
    rims: list[Ring | None] = [None] * count
    holes: list[list[Ring]] = [[] for _ in range(count)]
    for ring, (row, column) in _rings(mask):
        part = int(parts[row, column]) - 1
        simple = _simplified(ring, tolerance)
        if _area(ring) > 0:
            rims[part] = simple
        else:
            holes[part].append(simple)
    return [joined([rim, *inside]) for rim, inside in zip(rims, holes, strict=True) if rim is not None]


def rings_from_mask(mask: Bool[np.ndarray, "height width"], tolerance: float = 0.0) -> list[Ring]:
    """All rings of a mask, those around its holes apart: for whoever draws outlines, or fills by the even-odd rule.

    Args:
        mask: at any size.
        tolerance: as for `polygons_from_mask`.
    """
    return [_simplified(ring, tolerance) for ring, _ in _rings(mask)]


def joined(rings: Sequence[Ring]) -> Ring:
    """One polygon of several rings: from each to the next goes a line that is walked back in the end.

    Args:
        rings: at least one.
    """
    if len(rings) == 1:
        return rings[0]
    first, *others = rings
    start = _nearest(first, others[0][0])
    walked, starts = [_closed(first, start)], [first[start]]
    for ring in others:
        start = _nearest(ring, starts[-1])
        walked.append(_closed(ring, start))
        starts.append(ring[start])
    return np.concatenate([*walked, np.array(starts[-2::-1])])


def _nearest(ring: Ring, point: Float64[np.ndarray, "2"]) -> int:
    """Which corner is the nearest to a point."""
    return int(((ring - point) ** 2).sum(axis=1).argmin())


def _closed(ring: Ring, start: int) -> Ring:
    """A ring from one of its corners to the same corner."""
    return np.concatenate([ring[start:], ring[: start + 1]])


def _rings(mask: Bool[np.ndarray, "height width"]) -> list[tuple[Ring, tuple[int, int]]]:
    """The rings between what is in a mask and what is not, each with a pixel of the part that it bounds.

    One walks with the part on the right hand, and where two corners of it meet, turns to the right: so parts that only
    touch at a corner are apart.
    """
    padded = np.pad(mask, 1)
    below, above = padded[1:, 1:-1], padded[:-1, 1:-1]
    right, left = padded[1:-1, 1:], padded[1:-1, :-1]
    height, width = mask.shape
    edges = np.zeros((4, height + 1, width + 1), dtype=bool)  # which of the four steps goes from each corner on
    edges[0, :, :width] = below & ~above
    edges[2, :, 1:] = above & ~below
    edges[1, :height, :] = left & ~right
    edges[3, 1:, :] = right & ~left
    found = []
    for row, column in np.argwhere(edges[0]).tolist():
        if edges[0, row, column]:
            found.append((_walk(edges, row, column), (row, column)))
    return found


def _walk(edges: Bool[np.ndarray, "4 rows columns"], row: int, column: int) -> Ring:
    """The corners of the ring that goes to the right from a point; its edges are taken away."""
    corners: list[tuple[int, int]] = []
    y, x, step = row, column, 0
    while True:
        edges[step, y, x] = False
        y, x = y + _STEPS[step][0], x + _STEPS[step][1]
        if (y, x) == (row, column) and step in _ENDS:
            before = step
            step = next((turn for turn in _turns(step) if turn == 0 or edges[turn, y, x]), 0)
            if step == 0:
                corners += [(x, y)] if before != 0 else []
                return np.array(corners, dtype=np.float64)
        else:
            before = step
            step = next(turn for turn in _turns(step) if edges[turn, y, x])
        corners += [(x, y)] if before != step else []


_ENDS = (0, 1, 3)
"""Steps after which one may go on to the right, as the first step went."""


def _turns(step: int) -> tuple[int, int, int]:
    """Where one looks for the next step: to the right, straight on, to the left."""
    return (step + 1) % 4, step, (step + 3) % 4


def _simplified(ring: Ring, tolerance: float) -> Ring:
    """A ring with fewer corners; as it is where that would leave no area."""
    if tolerance <= 0:
        return ring
    simple: Ring = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, closed=True)[:, 0].astype(np.float64)
    return simple if len(simple) > 2 and _area(simple) * _area(ring) > 0 else ring


def _area(ring: Ring) -> float:
    """Twice the area, above 0 where one walks clockwise as the image is seen."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
