"""The S-measure, of masks and of soft maps: our own, since it runs in the reward thousands of times a minute."""

import numpy as np
from jaxtyping import Bool, Float

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
