"""What is measured of one prediction and its target: the one place where a mask is held against the truth.

`score_pair` makes the record that every measure reads. An evaluation adds what the model wrote; two folders of masks,
or two arrays, need nothing else, so that the same masks have the same numbers everywhere.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Float64

from thinkseg.errors import InputError, ThinkSegError, reason_of
from thinkseg.evaluation.measures.base import ExtraMetric
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.imaging import rle_from_mask
from thinkseg.metrics.grey import grey_curves, grey_weighted_f, stretched
from thinkseg.metrics.overlap import count_overlap
from thinkseg.metrics.saliency import SoftMask, s_measure
from thinkseg.types import Mask


@dataclass(frozen=True, slots=True, eq=False)
class GreyRecord(PredictionRecord):
    """The record of a map of grey values, whose F and E are no function of four counts."""

    curves: Mapping[str, Float64[np.ndarray, "256"]] = field(default_factory=dict)
    """F and E (``"f"``, ``"e"``) at each of 256 thresholds, from the highest to the lowest."""
    adaptive: Mapping[str, float] = field(default_factory=dict)
    """F and E at twice the mean value."""


def score_pair(
    name: str,
    pred: SoftMask,
    target: Mask,
    *,
    ignore: Mask | None = None,
    extra: Mapping[str, ExtraMetric] | None = None,
) -> PredictionRecord:
    """Hold a prediction against its target.

    Args:
        name: of the sample.
        pred: a mask, or a map of values 0…1. What counts pixels cuts a map at one half; the measures of grey values
            stretch it to the whole range first, as the field does.
        target: of the same size.
        ignore: pixels that count neither way: they are empty on both sides.
        extra: what to measure besides, by name; see `extra_metrics_of`.

    Raises:
        InputError: an extra metric of the user's own fails, or is no finite number.
    """
    whole = pred if pred.dtype == np.bool_ else pred > 0.5
    kept = None if ignore is None else ~ignore
    mask, target = (whole, target) if kept is None else (whole & kept, target & kept)
    counted = max(target.size if kept is None else int(np.count_nonzero(kept)), 1)
    overlap = count_overlap(mask, target)
    extra = extra or {}
    record = PredictionRecord(
        id=name,
        task="",
        query="",
        text="",
        finish_reason="stop",
        frame=None,
        objects=[],
        failure=None,
        failure_detail="",
        intersection=overlap.intersection,
        union=overlap.union,
        iou=overlap.iou,
        s_measure=s_measure(mask, target) if pred.dtype == np.bool_ else 0.0,
        mae=(overlap.union - overlap.intersection) / counted,
        target_empty=not target.any(),
        predicted_empty=not mask.any(),
        rle=rle_from_mask(whole),
        extra={title: _measured(title, of, mask, target, name) for title, of in extra.items()},
    )
    if pred.dtype == np.bool_:
        return record
    values = stretched(pred)
    return _with_grey_values(record, values if kept is None else values * kept, target, counted)


def _measured(title: str, of: ExtraMetric, mask: Mask, target: Mask, name: str) -> float:
    """An extra metric of a pair, which is a finite number."""
    try:
        value = of(mask, target)
    except (ThinkSegError, ModuleNotFoundError):  # a package that is missing is told by its own name
        raise
    except Exception as error:
        raise InputError(f"the extra metric '{title}' fails for '{name}': {reason_of(error)}") from error
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"the extra metric '{title}' should be a finite number, found {value!r} for '{name}'")
    return number


def _with_grey_values(
    record: PredictionRecord, values: Float64[np.ndarray, "height width"], target: Mask, counted: int
) -> GreyRecord:
    """The record with what is measured of the values rather than of the mask."""
    extra = record.extra
    if "weighted_f" in extra:
        extra = extra | {"weighted_f": grey_weighted_f(values, target)}
    curves, adaptive = grey_curves(values, target) if "pixels" in extra else ({}, {})
    measured = {
        "s_measure": s_measure(values, target),
        "mae": float(np.abs(values - target).sum()) / counted,
        "extra": extra,
        "curves": curves,
        "adaptive": adaptive,
    }
    return GreyRecord(**{one.name: getattr(record, one.name) for one in fields(record)} | measured)
