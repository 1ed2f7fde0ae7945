"""The numbers of a report as ratios of sums: from each record its terms, then one sum, then one ratio.

So shards add up in any order to the same last digit, and a bootstrap can draw samples again without asking what a
number means. The terms of a measure are a row per record: one or more numerators, of whose sums the largest counts (a
maximum over thresholds has one for each), and a denominator, 0 where the record has nothing to say.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from thinkseg.errors import DataError
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.metrics.counts import PixelCounts, Ratio, e_measure, f_measure, mean_over_thresholds
from thinkseg.types import Metric

Terms = Float64[np.ndarray, "records terms"]
FromRecords = Callable[[Sequence[PredictionRecord]], Terms]


def value_of(sums: Sequence[float]) -> float:
    """The number, from the sums of its terms; not a number where the denominator is 0."""
    *numerators, denominator = sums
    return max(numerators) / denominator if denominator else math.nan


def metric(name: str, records: Sequence[PredictionRecord]) -> Metric | None:
    """A measure of `TERMS` over the records that it can speak to, summed without rounding; None where there is none."""
    terms = TERMS[name](records)
    count = int(np.count_nonzero(terms[:, -1]))
    return Metric(value_of([math.fsum(column) for column in terms.T]), count) if count else None


def _mean(number: Callable[[PredictionRecord], float]) -> FromRecords:
    return lambda records: _rows(np.array([number(record) for record in records], dtype=np.float64))


def _share(of: Callable[[PredictionRecord], bool], among: Callable[[PredictionRecord], bool]) -> FromRecords:
    """Among some records the share of those of which something is true."""
    return lambda records: np.array(
        [(among(record) and of(record), among(record)) for record in records], dtype=np.float64
    ).reshape(-1, 2)


def _above(threshold: float) -> FromRecords:
    return _mean(lambda record: float(record.iou > threshold))


def _detail(name: str) -> FromRecords:
    return lambda records: _rows(_details(records, name))


def _at_thresholds(measure: Callable[[PixelCounts], Ratio], kind: str) -> FromRecords:
    """F or E: the mean over all thresholds, at the adaptive one, or for the maximum both values of the curve."""

    def terms(records: Sequence[PredictionRecord]) -> Terms:
        counts = _counts(records)
        if kind == "adaptive":
            return _rows(np.asarray(measure(counts.adaptive())))
        at_mask, everywhere = np.asarray(measure(counts)), np.asarray(measure(counts.everywhere()))
        if kind == "mean":
            return _rows(np.asarray(mean_over_thresholds(at_mask, everywhere)))
        return _rows(at_mask, everywhere)

    return terms


def _rows(*numerators: Float64[np.ndarray, " records"]) -> Terms:
    """Numerators with 1 as the denominator of each record."""
    return np.stack([*numerators, np.ones_like(numerators[0])], axis=1)


def _counts(records: Sequence[PredictionRecord]) -> PixelCounts:
    shared = np.array([record.intersection for record in records], dtype=np.int64)
    union = np.array([record.union for record in records], dtype=np.int64)
    target, pixels = (_details(records, name).astype(np.int64) for name in ("target", "pixels"))
    return PixelCounts(shared, union - target + shared, target, pixels)


def _details(records: Sequence[PredictionRecord], name: str) -> Float64[np.ndarray, " records"]:
    missing = next((record.id for record in records if name not in record.details), None)
    if missing is not None:
        raise DataError(
            f"The predictions have no '{name}' for sample '{missing}': they were made for other measures. "
            "Evaluate again into another folder with --out."
        )
    return np.array([record.details[name] for record in records], dtype=np.float64)


TERMS: Mapping[str, FromRecords] = {
    "giou": _mean(lambda record: record.iou),
    "ciou": lambda records: np.array([(r.intersection, r.union) for r in records], dtype=np.float64).reshape(-1, 2),
    **{f"p{round(100 * threshold)}": _above(threshold) for threshold in (0.5, 0.6, 0.7, 0.8, 0.9)},
    "s_measure": _mean(lambda record: record.s_measure),
    "weighted_f": _detail("weighted_f"),
    **{f"{kind}_f": _at_thresholds(f_measure, kind) for kind in ("mean", "max", "adaptive")},
    **{f"{kind}_e": _at_thresholds(e_measure, kind) for kind in ("mean", "max", "adaptive")},
    "mae": _mean(lambda record: record.mae),
    "mba": _detail("mba"),
    "biou": _detail("biou"),
    "hce": _detail("hce"),
    "parse_failures": _mean(lambda record: float(record.failure is not None)),
    "correct_abstentions": _share(lambda record: record.abstained, lambda record: record.target_empty),
    "false_abstentions": _share(lambda record: record.abstained, lambda record: not record.target_empty),
}
"""By the name of a measure."""
