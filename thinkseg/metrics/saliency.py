"""The measures of foreground segmentation: S, weighted F, mean, maximal and adaptive F and E, MAE, and of the outline.

Masks are measured by our own functions, which are quick: `s_measure` runs in the reward thousands of times a minute.
Maps of grey values are measured by the package `pysodmetrics`, with which ours agree. `SaliencySums` adds up over
samples and shards.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from thinkseg.metrics.boundary import boundary_accuracy, boundary_iou, correction_effort
from thinkseg.metrics.counts import THRESHOLDS, PixelCounts, e_measure, f_measure
from thinkseg.metrics.weighted import weighted_f
from thinkseg.types import Mask

SoftMask = Bool[np.ndarray, "height width"] | Float[np.ndarray, "height width"]
"""A mask, or a map with values 0…1."""

_EPS = float(np.finfo(np.float64).eps)


def s_measure(pred: SoftMask, target: Mask, alpha: float = 0.5) -> float:
    """Structural similarity of a prediction and a mask (Fan et al., Structure-measure, ICCV 2017), 0…1.

    Args:
        pred: a mask, or values 0…1 that are taken as they are.
        target: the true mask, of the same size.
        alpha: the weight of the object-wise against the region-wise similarity.

    Returns:
        1 for a perfect prediction. On an empty target 1 - mean(pred), on a full one mean(pred), as the definition has
        it. The regions are the quadrants around the target's centroid; one without pixels counts nothing.
    """
    foreground = int(np.count_nonzero(target))
    if foreground == 0:
        return 1 - _mean(pred)
    if foreground == target.size:
        return _mean(pred)
    object_score = _object_similarity(pred, target, foreground)
    return max(0.0, alpha * object_score + (1 - alpha) * _region_similarity(pred, target, foreground))


def _object_similarity(pred: SoftMask, target: Mask, foreground: int) -> float:
    """Similarity by the mean and the spread of the prediction on the object and of its opposite off the object."""
    background = target.size - foreground
    if pred.dtype == np.bool_:
        hits = int(np.count_nonzero(pred & target))
        rejections = background - (int(np.count_nonzero(pred)) - hits)
        on_object, off_object = _uniformity_of_counts(hits, foreground), _uniformity_of_counts(rejections, background)
    else:
        on_object, off_object = _uniformity(pred[target]), _uniformity(1 - pred[~target])
    return (on_object * foreground + off_object * background) / target.size


def _uniformity(values: np.ndarray) -> float:
    """2·mean / (mean² + 1 + spread), the spread with n - 1 degrees of freedom."""
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    mean = float(values.mean())
    return 2 * mean / (mean * mean + 1 + spread + _EPS)


def _uniformity_of_counts(ones: int, count: int) -> float:
    """`_uniformity` of so many ones among zeros."""
    mean = ones / count
    spread = (ones * (count - ones) / count / (count - 1)) ** 0.5 if count > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + spread + _EPS)


def _region_similarity(pred: SoftMask, target: Mask, foreground: int) -> float:
    """Similarity in each quadrant around the target's centroid, weighted by their sizes."""
    height, width = target.shape
    rows = np.bitwise_count(np.packbits(target, axis=1)).sum(axis=1, dtype=np.int64)
    columns = np.add.reduce(target.view(np.uint8), axis=0, dtype=np.uint32)
    # Rounded to even as in the reference; the centroid's own row and column belong to the upper left quadrant.
    y = round(int(rows @ np.arange(height)) / foreground) + 1
    x = round(int(columns @ np.arange(width)) / foreground) + 1
    score = 0.0
    for vertical in (slice(0, y), slice(y, height)):
        for horizontal in (slice(0, x), slice(x, width)):
            part = target[vertical, horizontal]
            if part.size:
                score += part.size * _similarity(pred[vertical, horizontal], part)
    return score / target.size


def _similarity(pred: SoftMask, target: Mask) -> float:
    """The structural similarity index of two patches without its constants."""
    count = target.size
    if pred.dtype == np.bool_:
        ones, true_ones = int(np.count_nonzero(pred)), int(np.count_nonzero(target))
        mean, true_mean = ones / count, true_ones / count
        square, true_square = ones * (count - ones) / count, true_ones * (count - true_ones) / count
        product = (count * int(np.count_nonzero(pred & target)) - ones * true_ones) / count
    else:
        mean, true_mean = float(pred.mean()), float(target.mean())
        deviation, true_deviation = pred - mean, target - true_mean
        square, true_square = float((deviation**2).sum()), float((true_deviation**2).sum())
        product = float((deviation * true_deviation).sum())
    freedom = count - 1 + _EPS
    alike = 4 * mean * true_mean * product / freedom
    bound = (mean**2 + true_mean**2) * (square + true_square) / freedom
    if alike == 0:
        return 1.0 if bound == 0 else 0.0
    return alike / (bound + _EPS)


def _mean(pred: SoftMask) -> float:
    return int(np.count_nonzero(pred)) / pred.size if pred.dtype == np.bool_ else float(pred.mean())


@dataclass(frozen=True, slots=True, eq=False)
class SaliencySums:
    """Sums over many samples, from which all means follow; add two to merge shards."""

    s: float = 0.0
    weighted_f: float = 0.0
    mae: float = 0.0
    adaptive_e: float = 0.0
    adaptive_f: float = 0.0
    e_curve: Float[np.ndarray, "256"] = field(default_factory=lambda: np.zeros(THRESHOLDS))
    """E at each of 256 thresholds, from the highest to the lowest."""
    f_curve: Float[np.ndarray, "256"] = field(default_factory=lambda: np.zeros(THRESHOLDS))
    boundary_accuracy: float = 0.0
    boundary_iou: float = 0.0
    effort: float | None = None
    """Sum of the correction efforts; None where they were not measured."""
    count: int = 0

    def __add__(self, other: "SaliencySums") -> "SaliencySums":
        if not self.count or not other.count:
            return self if self.count else other
        return SaliencySums(
            self.s + other.s,
            self.weighted_f + other.weighted_f,
            self.mae + other.mae,
            self.adaptive_e + other.adaptive_e,
            self.adaptive_f + other.adaptive_f,
            self.e_curve + other.e_curve,
            self.f_curve + other.f_curve,
            self.boundary_accuracy + other.boundary_accuracy,
            self.boundary_iou + other.boundary_iou,
            None if self.effort is None or other.effort is None else self.effort + other.effort,
            self.count + other.count,
        )

    def scores(self) -> dict[str, float]:
        """The means by name, none without samples; maxima are those of the mean curves, as in the literature."""
        if not self.count:
            return {}
        scores = {
            "s_measure": self.s / self.count,
            "weighted_f": self.weighted_f / self.count,
            "max_f": float(self.f_curve.max()) / self.count,
            "mean_f": float(self.f_curve.mean()) / self.count,
            "adaptive_f": self.adaptive_f / self.count,
            "max_e": float(self.e_curve.max()) / self.count,
            "mean_e": float(self.e_curve.mean()) / self.count,
            "adaptive_e": self.adaptive_e / self.count,
            "mae": self.mae / self.count,
            "mba": self.boundary_accuracy / self.count,
            "biou": self.boundary_iou / self.count,
        }
        return scores if self.effort is None else scores | {"hce": self.effort / self.count}


def measure_saliency(pred: SoftMask, target: Mask, *, effort: bool = False) -> SaliencySums:
    """All measures of one sample.

    Args:
        pred: a mask, or values 0…1; stretched to the whole range first, as the field does.
        target: the true mask, of the same size.
        effort: whether to count the human correction effort, too, which takes seconds on large images.
    """
    mask = pred if pred.dtype == np.bool_ else pred > 0.5
    return replace(
        _measure_mask(mask, target) if pred.dtype == np.bool_ else _measure_map(pred, target),
        boundary_accuracy=boundary_accuracy(mask, target),
        boundary_iou=boundary_iou(mask, target),
        effort=correction_effort(mask, target) if effort else None,
        count=1,
    )


def _measure_mask(pred: Mask, target: Mask) -> SaliencySums:
    """What needs no outline, from counts of pixels and the weighted F."""
    shared, predicted, wanted = (int(np.count_nonzero(mask)) for mask in (pred & target, pred, target))
    counts = PixelCounts(shared, predicted, wanted, target.size)
    curves = []
    for measure in (e_measure, f_measure):
        curve = np.full(THRESHOLDS, float(measure(counts)))
        curve[-1] = float(measure(counts.everywhere()))
        curves.append(curve)
    return SaliencySums(
        s=s_measure(pred, target),
        weighted_f=weighted_f(pred, target),
        mae=(predicted + wanted - 2 * shared) / target.size,
        adaptive_e=float(e_measure(counts.adaptive())),
        adaptive_f=float(f_measure(counts.adaptive())),
        e_curve=curves[0],
        f_curve=curves[1],
    )


def _measure_map(pred: SoftMask, target: Mask) -> SaliencySums:
    """The same of grey values, by the package."""
    # Imported here, as it brings scikit-learn along, for which the rewards need not wait.
    from py_sod_metrics import MAE, Emeasure, FmeasureHandler, FmeasureV2, WeightedFmeasure

    values = pred.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if high > low:
        values = (values - low) / (high - low)
    f = FmeasureV2({"f": FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=0.3)})
    e, weighted, mae = Emeasure(), WeightedFmeasure(), MAE()
    for measure in (f, e, weighted, mae):
        measure.step(values, target, normalize=False)  # its own scaling takes a mask of 0 and 1 for an empty one
    f_scores, e_scores = f.get_results()["f"], e.get_results()["em"]
    return SaliencySums(
        s=s_measure(values, target),
        weighted_f=float(weighted.get_results()["wfm"]),
        mae=float(mae.get_results()["mae"]),
        adaptive_e=float(e_scores["adp"]),
        adaptive_f=float(f_scores["adaptive"]),
        e_curve=np.asarray(e_scores["curve"], dtype=np.float64),
        f_curve=np.asarray(f_scores["dynamic"], dtype=np.float64),
    )


def saliency_scores(pred: SoftMask, target: Mask) -> dict[str, float]:
    """All measures of one sample by name: see `SaliencySums.scores`."""
    return measure_saliency(pred, target).scores()
