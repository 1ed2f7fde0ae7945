"""Is one run better than another, or was it luck? The difference of a measure between two runs, with its interval.

Both runs saw the same samples. These are drawn again with replacement, the same ones for both, and every measure is
worked out anew from its sums: that cancels what makes a sample hard for both. The interval is the bias-corrected and
accelerated one of `scipy.stats.bootstrap` (BCa; Efron and Tibshirani, 1993, chapter 14).
"""

import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Integer

from thinkseg.errors import DataError
from thinkseg.evaluation.measures.base import RatioOfSums, Records, Rows, ratio
from thinkseg.evaluation.measures.registry import get_measure, measure
from thinkseg.evaluation.protocols import counted_records

RESAMPLES = 10_000
CONFIDENCE = 0.95
ENOUGH = 30
"""With fewer samples nothing is said about better and worse."""
CHUNK_DRAWS = 4_000_000
"""How many drawn samples are in memory at a time."""
EQUAL = 1e-12
"""Differences that vary by less are the same one, rounded."""

Verdict = Literal["risen", "fallen", "undecided", "too few"]


class Gain(NamedTuple):
    """A difference, after minus before, with the ends of its interval and the number of samples it rests on."""

    mean: float
    low: float | None
    """None where there is no interval: with fewer than two samples."""
    high: float | None
    n: int

    @property
    def verdict(self) -> Verdict:
        """What may be said: ``risen`` and ``fallen`` where the whole interval lies on one side of zero."""
        if self.n < ENOUGH or self.low is None or self.high is None:
            return "too few"
        return "risen" if self.low > 0 else "fallen" if self.high < 0 else "undecided"

    def in_words(self, unit: str = "mean IoU") -> str:
        """The gain as a sentence."""
        title = unit[0].upper() + unit[1:]
        if self.low is None or self.high is None:
            return f"{title} differs by {self.mean:+.3f}: {self.n} samples are too few to tell."
        interval = f"95 % interval {self.low:+.3f} to {self.high:+.3f}, {self.n} samples"
        if self.verdict == "too few":
            return f"{title} differs by {self.mean:+.3f} ({interval}): too few to tell."
        if self.verdict == "risen":
            return f"{title} rose by {self.mean:.3f} ({interval})."
        if self.verdict == "fallen":
            return f"{title} fell by {-self.mean:.3f} ({interval})."
        return f"No change of {unit} could be shown: {self.mean:+.3f} ({interval}, which includes zero)."


def differences(
    names: Sequence[str], before: Records, after: Records, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Gain]:
    """The difference of each named measure between two runs, with its interval.

    Args:
        names: of measures. One that is no ratio of sums, or that one of the runs has nothing to say about, is left out.
        before: of a run.
        after: of another one, over the same samples in the same order.
        seed: of the draws, which are the same ones for all measures; the same seed gives the same intervals.
        resamples: how often the samples are drawn again.

    Raises:
        DataError: the two are not over the same samples in the same order, or there are none.
    """
    if not before or [record.id for record in before] != [record.id for record in after]:
        raise DataError("a paired comparison needs two runs over the same samples in the same order; these differ")
    metrics = [measure(counted_records(run), names) for run in (before, after)]
    hows = {name: get_measure(name).how for name in names if all(name in of for of in metrics)}
    ratios = {name: how for name, how in hows.items() if isinstance(how, RatioOfSums)}
    if not ratios:
        return {}
    tables = [[_counted(how.rows(run), run) for how in ratios.values()] for run in (before, after)]
    intervals = _intervals(tables[0], tables[1], seed, resamples)
    gains = {}
    for name, (low, high) in zip(ratios, intervals, strict=True):
        old, new = (of[name] for of in metrics)
        mean, n = new.value - old.value, min(old.count, new.count)
        gains[name] = Gain(mean, None, None, n) if n < 2 else _closed(mean, low, high, n)
    return gains


def compare(before: Records, after: Records, seed: int = 0) -> dict[str, Gain]:
    """The gain in mean IoU of all samples, under the name ``all``, and of each task.

    Raises:
        DataError: the two runs are not of the same samples in the same order.
    """
    groups = {"all": (before, after)}
    for task in dict.fromkeys(record.task for record in before if record.task):
        pairs = [(old, new) for old, new in zip(before, after, strict=False) if old.task == task]
        groups[task] = [old for old, _ in pairs], [new for _, new in pairs]
    gains = {name: differences(["giou"], *group, seed=seed) for name, group in groups.items()}
    return {name: found["giou"] for name, found in gains.items() if found}


def interval_of(names: Sequence[str], records: Records, *, seed: int = 0) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each named measure of one run, its samples drawn again with replacement.

    Args:
        names: of measures. One that is no ratio of sums, or has nothing to say about the records, is left out.
        records: of the run.
        seed: of the draws.

    Returns:
        The two ends by name; nothing with fewer than two records.
    """
    if len(records) < 2:
        return {}
    found = measure(counted_records(records), names)
    hows = {name: get_measure(name).how for name in names if name in found}
    ratios = {name: how for name, how in hows.items() if isinstance(how, RatioOfSums)}
    after = [_counted(how.rows(records), records) for how in ratios.values()]
    before = [rows * ([0.0] * (rows.shape[1] - 1) + [1.0]) for rows in after]  # whose measure is 0
    return dict(zip(ratios, _intervals(before, after, seed, RESAMPLES), strict=True)) if ratios else {}


def _closed(mean: float, low: float, high: float, n: int) -> Gain:
    """A gain whose interval is the difference itself where all draws gave the same."""
    return Gain(mean, mean, mean, n) if high - low < EQUAL else Gain(mean, low, high, n)


def _counted(rows: Rows, records: Records) -> Rows:
    """Rows without those of records that a protocol leaves out of the denominator."""
    return rows * np.array([record.counted for record in records], dtype=np.float64)[:, None]


def _intervals(before: Sequence[Rows], after: Sequence[Rows], seed: int, resamples: int) -> list[tuple[float, float]]:
    """The ends of the interval of each measure's difference, from its rows in both runs.

    A draw in which a measure has nothing to speak to has no number, and where all draws give the same there is no bias
    to correct: BCa has no interval then, and the middle 95 % of the draws that have a number take its place.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    count = len(before[0])
    if count < 2:
        return [(np.nan, np.nan)] * len(before)

    def statistic(drawn: Integer[np.ndarray, "*draws size"], axis: int = -1) -> Float64[np.ndarray, "measures *draws"]:
        assert axis == -1
        times = _times(drawn, count)
        return np.stack([ratio(times @ new) - ratio(times @ old) for old, new in zip(before, after, strict=True)])

    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            (np.arange(count),),
            statistic,
            n_resamples=resamples,
            batch=max(1, CHUNK_DRAWS // count),
            vectorized=True,
            paired=True,
            confidence_level=CONFIDENCE,
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    ends = np.stack(found.confidence_interval, axis=1)
    for place, draws in enumerate(found.bootstrap_distribution):
        known = draws[np.isfinite(draws)]
        if known.size and (known.size < draws.size or not np.isfinite(ends[place]).all()):
            ends[place] = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return [(float(low), float(high)) for low, high in ends]


def _times(drawn: Integer[np.ndarray, "*draws size"], count: int) -> Float64[np.ndarray, "*draws samples"]:
    """How often each of so many samples was drawn."""
    rows = drawn.reshape(-1, drawn.shape[-1])
    places = rows + np.arange(len(rows))[:, None] * count
    times = np.bincount(places.ravel(), minlength=len(rows) * count)
    return times.reshape(*drawn.shape[:-1], count).astype(np.float64)
