"""Is one run better than another, or was it luck? A paired bootstrap over the samples answers.

Both runs saw the same samples, so the difference is taken sample by sample, which cancels what makes a sample hard for
both. Drawing the samples again with replacement, many times, shows how much the mean difference moves by the choice of
samples alone: the middle 95 % of those means is the interval.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thinkseg.errors import DataError
from thinkseg.evaluation.records import PredictionRecord

CHUNK_VALUES = 4_000_000
"""How many drawn values are in memory at a time."""


class Gain(NamedTuple):
    """A mean difference, after minus before, with the ends of its interval and the number of samples it rests on."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def is_real(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0

    def in_words(self, unit: str = "mean IoU") -> str:
        """The gain as a sentence."""
        interval = f"95 % interval {self.low:+.3f} to {self.high:+.3f}, {self.n} samples"
        if self.low > 0:
            return f"{unit[0].upper()}{unit[1:]} rose by {self.mean:.3f} ({interval})."
        if self.high < 0:
            return f"{unit[0].upper()}{unit[1:]} fell by {-self.mean:.3f} ({interval})."
        return f"No change of {unit} could be shown: {self.mean:+.3f} ({interval}, which includes zero)."


def paired_bootstrap(
    before: Float[np.ndarray, " samples"],
    after: Float[np.ndarray, " _"],
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Gain:
    """Mean of ``after - before`` with its percentile bootstrap interval (Efron and Tibshirani, 1993, chapter 13).

    Args:
        before: one value per sample.
        after: the values of the same samples in the same order.
        resamples: how often the samples are drawn again.
        seed: of the draws; the same seed gives the same interval.
        confidence: share of the resampled means that lie in the interval, 0…1.

    Raises:
        DataError: the two differ in length, or are empty.
    """
    if before.shape != after.shape or before.size == 0:
        raise DataError(
            "A paired comparison needs the same samples on both sides, at least one; "
            f"found {before.size} and {after.size}."
        )
    differences = after - before
    count = differences.size
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_VALUES // count)
    means = np.concatenate(
        [
            differences[rng.integers(count, size=(min(rows, resamples - start), count))].mean(axis=1)
            for start in range(0, resamples, rows)
        ]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Gain(float(differences.mean()), float(low), float(high), count)


def compare(before: Sequence[PredictionRecord], after: Sequence[PredictionRecord], seed: int = 0) -> dict[str, Gain]:
    """The gain in mean IoU of each task, and of all samples under the name ``all``, which comes first.

    Raises:
        DataError: the two runs are not of the same samples in the same order.
    """
    if [record.id for record in before] != [record.id for record in after]:
        raise DataError("A paired comparison needs two runs over the same samples in the same order; these differ.")
    gains = {"all": _gain(before, after, seed)}
    for task in dict.fromkeys(record.task for record in before if record.task):
        pairs = [(old, new) for old, new in zip(before, after, strict=True) if old.task == task]
        gains[task] = _gain([old for old, _ in pairs], [new for _, new in pairs], seed)
    return gains


def _gain(before: Sequence[PredictionRecord], after: Sequence[PredictionRecord], seed: int) -> Gain:
    old = np.array([record.iou for record in before], dtype=float)
    new = np.array([record.iou for record in after], dtype=float)
    return paired_bootstrap(old, new, seed=seed)
