"""F and E over 256 thresholds, of masks from counts of pixels and of grey maps from their curves."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float64

from thinkseg.evaluation.measures.base import RatioOfSums, Records, Rows, extra_of, rows_of
from thinkseg.evaluation.measures.pairs import GreyRecord
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.metrics.counts import THRESHOLDS, PixelCounts, Ratio, e_measure, f_measure, mean_over_thresholds

Kind = Literal["mean", "max", "adaptive"]
Letter = Literal["f", "e"]
FORMULAS: dict[Letter, Callable[[PixelCounts], Ratio]] = {"f": f_measure, "e": e_measure}


def at_thresholds(letter: Letter, kind: Kind) -> RatioOfSums:
    """The mean over all thresholds, the maximum of the mean curve, or the value at the adaptive threshold."""

    def rows(records: Records) -> Rows:
        places = [place for place, record in enumerate(records) if record.has_target]
        if not places:
            return np.zeros((len(records), 2))
        known = [records[place] for place in places]
        grey = any(isinstance(record, GreyRecord) for record in known)
        found = (_rows_of_curves if grey else _rows_of_counts)(known, letter, kind)
        whole = np.zeros((len(records), found.shape[1]))
        whole[places] = found
        return whole

    return RatioOfSums(rows)


def _rows_of_counts(records: Records, letter: Letter, kind: Kind) -> Rows:
    """A mask has the same value at all thresholds but the last one: two numerators are its whole curve."""
    counts = _counts(records)
    if kind == "adaptive":
        return rows_of(np.asarray(FORMULAS[letter](counts.adaptive())))
    at_mask, everywhere = _values(counts, letter)
    return rows_of(mean_over(at_mask, everywhere)) if kind == "mean" else rows_of(at_mask, everywhere)


def _rows_of_curves(records: Records, letter: Letter, kind: Kind) -> Rows:
    """Curves of 256 values, a mask's among them."""
    if kind == "adaptive":
        return rows_of(np.array([_adaptive(record, letter) for record in records]))
    curves = np.array([_curve(record, letter) for record in records])
    return rows_of(curves.mean(axis=1)) if kind == "mean" else rows_of(*curves.T)


def mean_over(at_mask: Float64[np.ndarray, " n"], everywhere: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """The mean of each mask's curve."""
    return np.asarray(mean_over_thresholds(at_mask, everywhere))


def _values(counts: PixelCounts, letter: Letter) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(FORMULAS[letter](counts)), np.asarray(FORMULAS[letter](counts.everywhere()))


def _curve(record: PredictionRecord, letter: Letter) -> Float64[np.ndarray, "256"]:
    if isinstance(record, GreyRecord):
        return record.curves[letter]
    (at_mask,), (everywhere,) = _values(_counts([record]), letter)
    return np.array([at_mask] * (THRESHOLDS - 1) + [everywhere], dtype=np.float64)


def _adaptive(record: PredictionRecord, letter: Letter) -> float:
    if isinstance(record, GreyRecord):
        return record.adaptive[letter]
    return float(np.asarray(FORMULAS[letter](_counts([record]).adaptive()))[0])


def _counts(records: Records) -> PixelCounts:
    shared = np.array([record.intersection for record in records], dtype=np.int64)
    union = np.array([record.union for record in records], dtype=np.int64)
    target, pixels = (
        np.array([extra_of(record, name) for record in records], dtype=np.int64) for name in ("target", "pixels")
    )
    return PixelCounts(shared, union - target + shared, target, pixels)
