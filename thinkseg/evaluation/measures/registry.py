"""From records to the numbers of a report. Every sample is in the denominator of every number that it can speak to.

Rules, the same for every run: a parse failure counts as an empty mask and is counted as a failure besides; an empty
prediction on an empty target has IoU 1 (as in LISA and gRefCOCO). Counts come first and ratios last, so the
records of shards may be put together in any order.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from thinkseg.evaluation.measures.objects import (
    any_box_accuracy,
    box_accuracy,
    count_error,
    detection,
    exact_counts,
    no_target_accuracy,
    target_accuracy,
)
from thinkseg.evaluation.measures.terms import metric
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.types import Metric

Records = Sequence[PredictionRecord]


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
    return Metric(math.fsum(values) / len(values), len(values)) if values else None


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
    **{
        f"p{percent}": Measure(
            f"P@0.{percent // 10}",
            f"Share of the samples whose IoU is above 0.{percent // 10}.",
            partial(metric, f"p{percent}"),
            is_share=True,
        )
        for percent in (50, 60, 70, 80, 90)
    },
    "weighted_f": Measure(
        "weighted F",
        "F with misses weighed by their surroundings and false alarms by their distance from the object.",
        partial(metric, "weighted_f"),
    ),
    **{
        f"{kind}_{letter.lower()}": Measure(
            f"{kind} {letter}", f"{title}, {where}.", partial(metric, f"{kind}_{letter.lower()}")
        )
        for letter, title in (("F", "F with β² = 0.3"), ("E", "Enhanced alignment of mask and target"))
        for kind, where in (
            ("mean", "the mean over 256 thresholds"),
            ("max", "the maximum of the mean curve over 256 thresholds"),
            ("adaptive", "at twice the mean value"),
        )
    },
    "mae": Measure(
        "MAE",
        "Mean absolute error: the share of pixels that are wrong.",
        lambda records: _mean([record.mae for record in records]),
        higher_is_better=False,
    ),
    "mba": Measure(
        "MBA",
        "Mean boundary accuracy: share of right pixels in five rims around the target's outline.",
        partial(metric, "mba"),
    ),
    "biou": Measure(
        "boundary IoU", "IoU of the inner rims of mask and target, 2 % of the diagonal wide.", partial(metric, "biou")
    ),
    "hce": Measure(
        "HCE",
        "Human correction effort: the clicks that it takes to put the mask right.",
        partial(metric, "hce"),
        higher_is_better=False,
    ),
    "parse_failures": Measure(
        "parse_failures",
        "Share of answers that could not be read; each counts as an empty mask.",
        lambda records: _mean([float(record.failure is not None) for record in records]),
        is_share=True,
        higher_is_better=False,
    ),
    "correct_abstentions": Measure(
        "correct abstentions",
        'Share of the samples without a target that were answered with "nothing there".',
        lambda records: _mean([float(record.abstained) for record in records if record.target_empty]),
        is_share=True,
    ),
    "false_abstentions": Measure(
        "false abstentions",
        'Share of the samples with a target that were answered with "nothing there".',
        lambda records: _mean([float(record.abstained) for record in records if not record.target_empty]),
        is_share=True,
        higher_is_better=False,
    ),
    "n_acc": Measure(
        "N-acc",
        "Share of the samples without a target whose mask is empty (gRefCOCO).",
        no_target_accuracy,
        is_share=True,
    ),
    "t_acc": Measure(
        "T-acc",
        "Share of the samples with a target whose mask is not empty (gRefCOCO).",
        target_accuracy,
        is_share=True,
    ),
    "box_accuracy": Measure(
        "box accuracy",
        "Share of the samples whose first box has an IoU of at least 0.5 with the true box.",
        box_accuracy,
        is_share=True,
    ),
    "any_box_accuracy": Measure(
        "any box right",
        "Share of the samples with a box, whichever, of an IoU above 0.5 with the true box (VisionReasoner).",
        any_box_accuracy,
        is_share=True,
    ),
    "ap": Measure(
        "AP",
        "Average precision of boxes, IoU 0.50…0.95; without confidences it is precision up to the recall reached.",
        detection("ap"),
    ),
    "ap50": Measure("AP50", "The same at IoU 0.50.", detection("ap50")),
    "ap75": Measure("AP75", "The same at IoU 0.75.", detection("ap75")),
    "ap_by_area": Measure(
        "AP by area",
        "Average precision of boxes, IoU 0.50…0.95, the largest box taken for the surest (VisionReasoner).",
        detection("ap", by_area=True),
    ),
    "ap50_by_area": Measure("AP50 by area", "The same at IoU 0.50.", detection("ap50", by_area=True)),
    "ap75_by_area": Measure("AP75 by area", "The same at IoU 0.75.", detection("ap75", by_area=True)),
    "box_precision": Measure(
        "precision",
        "Share of the boxes that have an object of their own at IoU 0.50.",
        detection("precision50"),
        is_share=True,
    ),
    "box_recall": Measure(
        "recall",
        "Share of the true objects that have a box of their own at IoU 0.50.",
        detection("recall50"),
        is_share=True,
    ),
    "exact_count": Measure(
        "exact count", "Share of the samples with the right number of objects.", exact_counts, is_share=True
    ),
    "count_error": Measure(
        "count MAE",
        "Mean absolute difference between the number of objects and the true one.",
        count_error,
        higher_is_better=False,
    ),
}

MASK_MEASURES = ("giou", "ciou", "s_measure", "mae", "parse_failures", "correct_abstentions", "false_abstentions")
"""What a report of masks has, where a benchmark names no others."""


def measure(records: Records, names: Sequence[str] = MASK_MEASURES) -> dict[str, Metric]:
    """The named measures of the records; one that has nothing to speak to is left out."""
    metrics = {name: MEASURES[name].of(records) for name in names} if records else {}
    return {name: metric for name, metric in metrics.items() if metric is not None}


def measure_by_task(records: Records, names: Sequence[str] = MASK_MEASURES) -> dict[str, dict[str, Metric]]:
    """The measures of each task, in the order in which the tasks first appear."""
    tasks = dict.fromkeys(record.task for record in records if record.task)
    return {task: measure([record for record in records if record.task == task], names) for task in tasks}


def format_value(name: str, metric: Metric | None) -> str:
    """A value as a table prints it, three decimals or per cent; a dash where there is none."""
    if metric is None:
        return "–"
    return f"{100 * metric.value:.1f} %" if MEASURES[name].is_share else f"{metric.value:.3f}"
