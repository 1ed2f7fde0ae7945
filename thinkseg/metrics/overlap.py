"""How much masks overlap. Counts come first and ratios last, so that the shards of an evaluation add up.

sums = sum((OverlapSums.of(count_overlap(pred, target)) for pred, target in pairs), OverlapSums())
sums.giou, sums.ciou, sums.precision_at(0.5)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from thinkseg.types import Mask

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""The IoUs of Precision@0.5…0.9 in referring segmentation."""


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


@dataclass(frozen=True, slots=True)
class OverlapSums:
    """Sums over many samples, from which all ratios follow; add two to merge shards."""

    intersection: int = 0
    union: int = 0
    iou: float = 0.0
    """Sum of the samples' IoUs."""
    hits: tuple[int, ...] = (0,) * len(THRESHOLDS)
    """For each of `THRESHOLDS` the number of samples whose IoU is above it."""
    count: int = 0

    @classmethod
    def of(cls, overlap: Overlap, *, empty: float | None = 1.0) -> "OverlapSums":
        """The sums of one sample.

        Args:
            overlap: its counts.
            empty: the IoU of an empty prediction on an empty target: 1 as in LISA and gRefCOCO, 0 as in others, or None
                to leave such samples out, which shrinks the denominator.
        """
        if overlap.union:
            iou = overlap.iou
        elif empty is None:
            return cls()
        else:
            iou = empty
        hits = tuple(int(iou > threshold) for threshold in THRESHOLDS)
        return cls(overlap.intersection, overlap.union, iou, hits, 1)

    def __add__(self, other: "OverlapSums") -> "OverlapSums":
        return OverlapSums(
            self.intersection + other.intersection,
            self.union + other.union,
            self.iou + other.iou,
            tuple(mine + theirs for mine, theirs in zip(self.hits, other.hits, strict=True)),
            self.count + other.count,
        )

    @property
    def giou(self) -> float:
        """Mean IoU over the samples; not a number when there are none."""
        return self.iou / self.count if self.count else float("nan")

    @property
    def ciou(self) -> float:
        """Sum of intersections over sum of unions, in which large objects weigh more; not a number without pixels."""
        return self.intersection / self.union if self.union else float("nan")

    def precision_at(self, threshold: float) -> float:
        """The share of samples with a larger IoU than one of `THRESHOLDS`; not a number when there are none."""
        if threshold not in THRESHOLDS:
            raise ValueError(f"precision is counted at {THRESHOLDS}, not at {threshold}")
        return self.hits[THRESHOLDS.index(threshold)] / self.count if self.count else float("nan")
