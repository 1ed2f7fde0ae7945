"""How much two masks overlap. The sums over many are in `thinkseg.evaluation.measures`."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from thinkseg.types import Mask


@dataclass(frozen=True, slots=True)
class Overlap:
    """The pixels that two masks share and that they cover together."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union, 0…1; two empty masks agree: 1."""
        return self.intersection / self.union if self.union else 1.0


def count_overlap(pred: Mask, target: Mask, ignore: Mask | None = None) -> Overlap:
    """Count the overlap of two masks of one size, without the pixels that are to be ignored."""
    if ignore is not None:
        kept = ~ignore
        pred, target = pred & kept, target & kept
    intersection = int(np.count_nonzero(pred & target))
    return Overlap(intersection, int(np.count_nonzero(pred)) + int(np.count_nonzero(target)) - intersection)


def pairwise_mask_iou(
    first: Bool[np.ndarray, "m height width"], second: Bool[np.ndarray, "n height width"]
) -> Float64[np.ndarray, "m n"]:
    """Intersection over union of every mask of one set with every mask of another, 0…1; two empty masks agree: 1."""
    a, b = _packed(first), _packed(second)
    shared = np.array([_count(row & b) for row in a], dtype=np.int64).reshape(len(a), len(b))
    union = _count(a)[:, None] + _count(b) - shared
    return np.asarray(np.divide(shared, union, out=np.ones(shared.shape), where=union > 0))


def _packed(masks: Bool[np.ndarray, "m height width"]) -> UInt8[np.ndarray, "m bytes"]:
    """Eight pixels a byte: pairs are compared in an eighth of the memory and time."""
    count, height, width = masks.shape
    return np.packbits(masks.reshape(count, height * width), axis=1)


def _count(packed: UInt8[np.ndarray, "m bytes"]) -> np.ndarray:
    """Pixels of each mask."""
    return np.asarray(np.bitwise_count(packed).sum(axis=1, dtype=np.int64))
