"""What a measure is: the contract of every number of a report, those of the user's own among them.

A measure is made from the records of an evaluation. Nearly all are a ratio of sums: every record gives a row of one or
more numerators and a denominator, the rows are added up, and the ratio comes last. So shards add up in any order to the
same last digit, and a bootstrap can draw the samples again without asking what a number means.

One of your own is a `Measure` in a file of yours. Name it wherever measures are named: ``my_measures.py:dice`` in
``thinkseg metrics --measures``, in `thinkseg.measure` and in the ``measures`` of a `Benchmark`. A whole one::

    from thinkseg.evaluation.measures.base import Measure, mean, mean_of_extra


    def dice_of(pred, target):
        both = pred.sum() + target.sum()
        return 2 * (pred & target).sum() / both if both else 1.0


    dice = Measure(
        label="Dice",
        meaning="Mean over the samples of 2·|A ∩ B| / (|A| + |B|); 1 where both are empty.",
        how=mean_of_extra("dice"),
        extra={"dice": dice_of},
    )

    def over_segmentation(record):
        if record.target_empty or not record.has_target:  # a benchmark of boxes has no true masks
            return None
        return record.union > 2 * record.intersection


    over_segmented = Measure(
        label="over-segmented",
        meaning="Share of the samples with a target whose mask covers more than twice what is shared.",
        how=mean(over_segmentation),
        unit="share",
        better="lower",
    )
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.extension import described
from thinkseg.types import Mask, Metric

Records = Sequence[PredictionRecord]
Rows = Float64[np.ndarray, "records _"]
"""One row per record: one or more numerators, of whose sums the largest counts (a maximum over thresholds has one for
each), and a denominator of at least 0, which is 0 where the record has nothing to say."""
ExtraMetric = Callable[[Mask, Mask], float]
"""From prediction and target of one size, without the pixels that are to be ignored, to a number."""


@dataclass(frozen=True, slots=True)
class RatioOfSums:
    """A number that is the largest sum of numerators over the sum of denominators."""

    rows: Callable[[Records], Rows]

    def metric(self, records: Records) -> Metric | None:
        """The number over the records that it can speak to, summed without rounding; None where there is none."""
        rows = self.rows(records)
        count = int(np.count_nonzero(rows[:, -1]))
        sums = np.array([math.fsum(column) for column in rows.T])
        return Metric(float(ratio(sums)), count) if count else None


@dataclass(frozen=True, slots=True)
class OverAll:
    """A number of all records at once, which is no ratio of sums: parts do not add up to it, and it has no interval."""

    metric: Callable[[Records], Metric | None]
    by: str
    """How it is computed, in a few words."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a report. Its name is the key under which the registry has it, or the reference to it."""

    label: str
    """The head of its column."""
    meaning: str
    """What it is, in a sentence."""
    how: RatioOfSums | OverAll
    """How it is made from records."""
    unit: Literal["plain", "share"] = "plain"
    """A share is printed in per cent."""
    better: Literal["higher", "lower"] = "higher"
    extra: Mapping[str, ExtraMetric] = field(default_factory=dict)
    """What it needs of a sample besides the counts that every record has: computed once, when the sample is scored, and
    kept in ``record.extra`` under these names."""
    from_masks: bool = True
    """Whether masks alone are enough; otherwise it asks for what a model wrote."""

    def __post_init__(self) -> None:
        if not (isinstance(self.label, str) and self.label and isinstance(self.meaning, str)):
            raise ValueError(f"a measure has a label and a meaning in words, found {self.label!r}, {self.meaning!r}")
        if not isinstance(self.how, RatioOfSums | OverAll):
            raise ValueError(f"a measure's 'how' is a RatioOfSums (see mean) or OverAll, found {self.how!r}")
        if self.unit not in ("plain", "share") or self.better not in ("higher", "lower"):
            raise ValueError(
                "a measure's unit is 'plain' or 'share' and its better 'higher' or 'lower', "
                f"found {self.unit!r} and {self.better!r}"
            )
        if not all(isinstance(name, str) and callable(of) for name, of in dict(self.extra).items()):
            raise ValueError(f"a measure's 'extra' has functions of two masks by name, found {self.extra!r}")

    def is_better(self, difference: float) -> bool:
        """Whether a difference that is not 0 is for the better."""
        return (difference > 0) == (self.better == "higher")

    def format(self, value: float, digits: int = 3) -> str:
        """A value as a table prints it: so many decimals, or per cent with two less."""
        if math.isnan(value):
            return "–"
        return f"{100 * value:.{digits - 2}f} %" if self.unit == "share" else f"{value:.{digits}f}"


def ratio(sums: Float64[np.ndarray, "*batch columns"]) -> Float64[np.ndarray, "*batch"]:
    """The number, from the sums of its rows; not a number where the denominator is 0."""
    above, below = sums[..., :-1].max(axis=-1), sums[..., -1]
    return np.asarray(np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0))


def mean(of: Callable[[PredictionRecord], float | None]) -> RatioOfSums:
    """The mean of a number of each record (a share, where it is true or false), over those for which it is not None."""

    def row(record: PredictionRecord) -> tuple[float, float]:
        value = of(record)
        return (0.0, 0.0) if value is None else (_number(value, record), 1.0)

    return ratio_of(row)


def ratio_of(row: Callable[[PredictionRecord], tuple[float, float]]) -> RatioOfSums:
    """The sum of one number of each record over the sum of another, which is at least 0."""
    return RatioOfSums(lambda records: np.array([row(record) for record in records], dtype=np.float64).reshape(-1, 2))


def mean_of_extra(name: str) -> RatioOfSums:
    """The mean of an extra metric, over the samples whose true mask is known."""
    return mean(lambda record: extra_of(record, name) if record.has_target else None)


def rows_of(*numerators: Float64[np.ndarray, " records"]) -> Rows:
    """Rows of these numerators with 1 as the denominator of each record."""
    return np.stack([*numerators, np.ones_like(numerators[0])], axis=1)


def extra_of(record: PredictionRecord, name: str) -> float:
    """An extra metric of a record.

    Raises:
        DataError: it was not measured when the sample was scored.
    """
    if name not in record.extra:
        raise DataError(
            f"the predictions have no '{name}' for sample '{record.id}': they were made for other measures. "
            "Evaluate again into another folder with --out"
        )
    return record.extra[name]


def check_measure(value: Any, reference: str) -> Measure:
    """What a reference names, if it is a measure.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, Measure):
        raise InputError(
            f"'{reference}' should be a thinkseg.evaluation.measures.base.Measure (its docstring has one), "
            f"found {described(value)}"
        )
    return value


def _number(value: Any, record: PredictionRecord) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"a measure of '{record.id}' should be a finite number or None, found {value!r}")
    return number
