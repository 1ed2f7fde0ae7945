"""Weighted F of masks, many times quicker than on grey maps, and the same number.

The measure (Margolin et al., "How to evaluate foreground maps?", CVPR 2014) forgives a miss that is surrounded by hits,
and weighs a false alarm by its distance from the object. On a mask only the misses, a rim of three pixels around them
and the false alarms matter, so that neither a filter over the whole image nor a table of nearest pixels is needed.
"""

import cv2
import numpy as np
from jaxtyping import Float64

from thinkseg.types import Mask

REACH = 3
"""Half the side of the Gaussian window, in pixels, without its middle."""
SIGMA = 5.0
"""Of the Gaussian, in pixels."""
HALVING = 5.0
"""A false alarm weighs 1 at the object and 2 far off; at this distance in pixels it is half way."""

_EPS = float(np.finfo(np.float64).eps)
_NEAR = REACH + 1
"""The nearest pixel of the object to any pixel in a window around a miss is at most so many rows and columns off."""
_BY_DISTANCE = sorted(
    ((dy, dx) for dy in range(-_NEAR, _NEAR + 1) for dx in range(-_NEAR, _NEAR + 1) if 0 < dx * dx + dy * dy <= 18),
    key=lambda step: (step[0] ** 2 + step[1] ** 2, step[1], step[0]),
)
"""Where to look for the nearest pixel; of several the leftmost, then the uppermost, which is the reference's choice."""


def weighted_f(pred: Mask, target: Mask) -> float:
    """Weighted F with β = 1 of two masks of one size, 0…1; 0 on an empty target, as in the reference implementation."""
    wanted = int(np.count_nonzero(target))
    if wanted == 0:
        return 0.0
    found = wanted - _weight_of_misses(target & ~pred, target)
    recall = found / wanted
    precision = found / (found + _weight_of_false_alarms(pred & ~target, target) + _EPS)
    return 2 * recall * precision / (recall + precision + _EPS)


def _weight_of_misses(misses: Mask, target: Mask) -> float:
    """The sum over the misses of the share of misses around each, by a Gaussian window; no more than 1 each."""
    if not misses.any():
        return 0.0
    window = _bounds(misses, REACH + _NEAR)
    misses, target = misses[window], target[window]
    side = np.arange(-REACH, REACH + 1)
    kernel = np.exp(-(side**2) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    errors = _spread_to_rim(misses, target)
    around = cv2.sepFilter2D(errors, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    return float(np.minimum(around[misses], 1.0).sum())


def _spread_to_rim(misses: Mask, target: Mask) -> np.ndarray:
    """The misses as 0 and 1; off the object, as far as a window reaches, the value of the object's nearest pixel."""
    errors = misses.astype(np.uint8)
    rim = cv2.dilate(errors, np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)).astype(np.bool_) & ~target
    rows, columns = np.nonzero(rim)
    on_object, missed = np.pad(target, _NEAR), np.pad(misses, _NEAR)
    for dy, dx in _BY_DISTANCE:
        there = (rows + dy + _NEAR, columns + dx + _NEAR)
        nearest = on_object[there]
        errors[rows[nearest], columns[nearest]] = missed[there][nearest]
        rows, columns = rows[~nearest], columns[~nearest]
    return errors


def _weight_of_false_alarms(false_alarms: Mask, target: Mask) -> float:
    """The sum of their weights, 1 to 2 each, by their distance from the object."""
    if not false_alarms.any():
        return 0.0
    window = _bounds(false_alarms | target, 0)
    off_object = (~target[window]).astype(np.uint8)
    distances = cv2.distanceTransform(off_object, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[false_alarms[window]]
    weights: Float64[np.ndarray, " alarms"] = 2 - np.exp2(-distances.astype(np.float64) / HALVING)
    return float(weights.sum())


def _bounds(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Rows and columns that hold all of a mask that is not empty, and a margin where the image has one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + 1 + margin),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + 1 + margin),
    )
