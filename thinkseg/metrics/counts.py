"""F and E of masks, from four counts of pixels: no image is needed once they are known.

A grey map is cut at 256 thresholds, from 255 down to 0. A mask cut at any of the upper 255 is the mask itself, and at 0
it is the whole image, so that a curve over all thresholds has just two values. The functions take arrays as well as
single counts, one entry a sample.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Integer

BETA_SQUARED = 0.3
"""The weight of precision in F, as the field has it."""
THRESHOLDS = 256

Count = int | np.integer | Integer[np.ndarray, "..."]
Ratio = float | Float64[np.ndarray, "..."]

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """How many pixels a prediction and a target have; each field is a number, or an array with one entry a sample."""

    shared: Count
    """Predicted and true."""
    predicted: Count
    target: Count
    pixels: Count
    """All that count."""

    def everywhere(self) -> "PixelCounts":
        """The counts of a prediction that covers the whole image: that at threshold 0."""
        return PixelCounts(self.target, self.pixels, self.target, self.pixels)

    def adaptive(self) -> "PixelCounts":
        """The counts at the adaptive threshold, twice the mean: an empty prediction reaches it everywhere, as it is 0.

        So has it the reference implementation, whose numbers are in all tables.
        """
        empty, whole = np.asarray(self.predicted) == 0, self.everywhere()
        return PixelCounts(
            np.where(empty, whole.shared, self.shared),
            np.where(empty, whole.predicted, self.predicted),
            self.target,
            self.pixels,
        )


def f_measure(counts: PixelCounts) -> Ratio:
    """F with β² = 0.3 (Achanta et al., CVPR 2009), 0…1; 0 where nothing is shared."""
    precision = _divided(counts.shared, counts.predicted)
    recall = _divided(counts.shared, counts.target)
    return _divided((1 + BETA_SQUARED) * precision * recall, BETA_SQUARED * precision + recall)


def e_measure(counts: PixelCounts) -> Ratio:
    """Enhanced alignment (Fan et al., IJCAI 2018): 0 to just over 1, since it divides by one pixel less than there are.

    On an empty target the share of pixels left empty, on a full one the share of pixels covered.
    """
    shared, predicted, target, pixels = (
        np.asarray(count, dtype=np.float64) for count in (counts.shared, counts.predicted, counts.target, counts.pixels)
    )
    false_alarms, misses = predicted - shared, target - shared
    parts = ((shared, 1, 1), (false_alarms, 1, 0), (misses, 0, 1), (pixels - predicted - misses, 0, 0))
    aligned = np.zeros(np.broadcast_shapes(shared.shape, pixels.shape))
    for count, predicted_value, true_value in parts:
        pred_deviation, true_deviation = predicted_value - predicted / pixels, true_value - target / pixels
        alignment = 2 * pred_deviation * true_deviation / (pred_deviation**2 + true_deviation**2 + _EPS)
        aligned = aligned + count * (alignment + 1) ** 2 / 4
    aligned = np.where(target == 0, pixels - predicted, np.where(target == pixels, predicted, aligned))
    return np.asarray(aligned / (pixels - 1 + _EPS))


def mean_over_thresholds(at_mask: Ratio, everywhere: Ratio) -> Ratio:
    """The mean of a mask's curve from its two values."""
    return np.asarray(((THRESHOLDS - 1) * at_mask + everywhere) / THRESHOLDS)


def _divided(numerator: Count | Ratio, denominator: Count | Ratio) -> Float64[np.ndarray, "..."]:
    """The ratio, and 0 where it has none."""
    below = np.asarray(denominator, dtype=np.float64)
    above = np.broadcast_to(np.asarray(numerator, dtype=np.float64), below.shape)
    return np.divide(above, below, out=np.zeros(below.shape), where=below != 0)
