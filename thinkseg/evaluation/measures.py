"""From records to the numbers of a report. Every sample is in the denominator of every number that it can speak to.

Rules, the same for every run: an unreadable answer counts as an empty mask and is counted as unreadable besides; an
empty prediction on an empty target has IoU 1 (as in LISA and gRefCOCO). Counts come first and ratios last, so the
records of shards may be put together in any order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thinkseg.evaluation.records import Record
from thinkseg.types import Metric

Records = Sequence[Record]


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a report."""

    label: str
    """The head of its column."""
    meaning: str
    """What it is, in a sentence."""
    of: Callable[[Records], Metric | None]
    """The value over the records that it can speak to; None where there is none."""
    is_share: bool = False
    """Whether it is printed in per cent."""
    higher_is_better: bool = True


def _mean(values: Sequence[float]) -> Metric | None:
    return Metric(float(np.mean(values)), len(values)) if values else None


def _ciou(records: Records) -> Metric | None:
    if all(record.target_empty for record in records):
        return None  # there is no pixel that could be right
    union = sum(record.union for record in records)
    return Metric(sum(record.intersection for record in records) / union, len(records))


MEASURES: Mapping[str, Measure] = {
    "giou": Measure(
        "mean IoU",
        "Mean over the samples of intersection over union (gIoU); 1 where both are empty.",
        lambda records: _mean([record.iou for record in records]),
    ),
    "ciou": Measure("cIoU", "Sum of all intersections over the sum of all unions: large objects weigh more.", _ciou),
    "s_measure": Measure(
        "S-measure",
        "Structural similarity of mask and target, by region and by object (α = 0.5).",
        lambda records: _mean([record.s_measure for record in records]),
    ),
    "mae": Measure(
        "MAE",
        "Mean absolute error: the share of pixels that are wrong.",
        lambda records: _mean([record.mae for record in records]),
        higher_is_better=False,
    ),
    "unreadable": Measure(
        "unreadable",
        "Share of answers that could not be read; each counts as an empty mask.",
        lambda records: _mean([float(record.failure is not None) for record in records]),
        is_share=True,
        higher_is_better=False,
    ),
    "right_refusals": Measure(
        "right refusals",
        'Share of the samples without a target that were answered with "nothing there".',
        lambda records: _mean([float(record.refused) for record in records if record.target_empty]),
        is_share=True,
    ),
    "false_refusals": Measure(
        "false refusals",
        'Share of the samples with a target that were answered with "nothing there".',
        lambda records: _mean([float(record.refused) for record in records if not record.target_empty]),
        is_share=True,
        higher_is_better=False,
    ),
}


def measure(records: Records, names: Sequence[str] = tuple(MEASURES)) -> dict[str, Metric]:
    """The named measures of the records; one that has nothing to speak to is left out."""
    metrics = {name: MEASURES[name].of(records) for name in names} if records else {}
    return {name: metric for name, metric in metrics.items() if metric is not None}


def measure_by_task(records: Records, names: Sequence[str] = tuple(MEASURES)) -> dict[str, dict[str, Metric]]:
    """The measures of each task, in the order in which the tasks first appear."""
    tasks = dict.fromkeys(record.task for record in records if record.task)
    return {task: measure([record for record in records if record.task == task], names) for task in tasks}


def format_value(name: str, metric: Metric | None) -> str:
    """A value as a table prints it, three decimals or per cent; a dash where there is none."""
    if metric is None:
        return "–"
    return f"{100 * metric.value:.1f} %" if MEASURES[name].is_share else f"{metric.value:.3f}"
