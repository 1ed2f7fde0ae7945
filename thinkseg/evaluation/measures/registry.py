"""The measures by their names: the one table from which reports, comparisons, papers' rows and `thinkseg metrics` read.

Rules, the same for every run: every sample is in the denominator of every number that it can speak to; a parse failure
counts as an empty mask and is counted as a failure besides; an empty prediction on an empty target has IoU 1 (as in
LISA and gRefCOCO). A sample whose true mask is not known, since boxes or a count were annotated, speaks to no measure
of masks. A number that no sample can speak to is None, not 0.
"""

from collections.abc import Iterable, Mapping, Sequence

from thinkseg.evaluation.measures.base import (
    ExtraMetric,
    Measure,
    Records,
    check_measure,
    mean,
    mean_of_extra,
    ratio_of,
)
from thinkseg.evaluation.measures.extra_metrics import COUNTS, extra_metrics_of
from thinkseg.evaluation.measures.groups import MASK_MEASURES
from thinkseg.evaluation.measures.objects import (
    any_box_is_right,
    any_box_or_hull_is_right,
    box_rate,
    count_error,
    count_is_right,
    detection,
    first_box_is_right,
)
from thinkseg.evaluation.measures.thresholds import Kind, Letter, at_thresholds
from thinkseg.extension import resolve
from thinkseg.metrics.boundary import boundary_accuracy, boundary_iou, correction_effort
from thinkseg.metrics.weighted import weighted_f
from thinkseg.types import Metric


def _is_above(threshold: float) -> Measure:
    return Measure(
        f"P@{threshold}",
        f"Share of the samples whose IoU is above {threshold}.",
        mean(lambda record: record.iou > threshold if record.has_target else None),
        unit="share",
    )


def _at_thresholds(letter: Letter, kind: Kind) -> Measure:
    title = {"f": "F with β² = 0.3", "e": "Enhanced alignment of mask and target"}[letter]
    where = {
        "mean": "the mean over 256 thresholds",
        "max": "the maximum of the mean curve over 256 thresholds",
        "adaptive": "at twice the mean value",
    }[kind]
    return Measure(f"{kind} {letter.upper()}", f"{title}, {where}.", at_thresholds(letter, kind), extra=COUNTS)


def _precision(label: str, meaning: str, name: str, *, by_area: bool = False) -> Measure:
    return Measure(label, meaning, detection(name, by_area=by_area), from_masks=False)


MEASURES: Mapping[str, Measure] = {
    "giou": Measure(
        "mean IoU",
        "Mean over the samples of intersection over union (gIoU); 1 where both are empty.",
        mean(lambda record: record.iou if record.has_target else None),
    ),
    "ciou": Measure(
        "cIoU",
        "Sum of all intersections over the sum of all unions: large objects weigh more.",
        ratio_of(lambda record: (record.intersection, record.union)),
    ),
    "s_measure": Measure(
        "S-measure",
        "Structural similarity of mask and target, by region and by object (α = 0.5).",
        mean(lambda record: record.s_measure if record.has_target else None),
    ),
    **{f"p{round(100 * threshold)}": _is_above(threshold) for threshold in (0.5, 0.6, 0.7, 0.8, 0.9)},
    "weighted_f": Measure(
        "weighted F",
        "F with misses weighed by their surroundings and false alarms by their distance from the object.",
        mean_of_extra("weighted_f"),
        extra={"weighted_f": weighted_f},
    ),
    "mean_f": _at_thresholds("f", "mean"),
    "max_f": _at_thresholds("f", "max"),
    "adaptive_f": _at_thresholds("f", "adaptive"),
    "mean_e": _at_thresholds("e", "mean"),
    "max_e": _at_thresholds("e", "max"),
    "adaptive_e": _at_thresholds("e", "adaptive"),
    "mae": Measure(
        "MAE",
        "Mean absolute error: the share of pixels that are wrong.",
        mean(lambda record: record.mae if record.has_target else None),
        better="lower",
    ),
    "mba": Measure(
        "MBA",
        "Mean boundary accuracy: share of right pixels in five rims around the target's outline.",
        mean_of_extra("mba"),
        extra={"mba": boundary_accuracy},
    ),
    "biou": Measure(
        "boundary IoU",
        "IoU of the inner rims of mask and target, 2 % of the diagonal wide.",
        mean_of_extra("biou"),
        extra={"biou": boundary_iou},
    ),
    "hce": Measure(
        "HCE",
        "Human correction effort: the clicks that it takes to put the mask right.",
        mean_of_extra("hce"),
        better="lower",
        extra={"hce": correction_effort},
    ),
    "parse_failures": Measure(
        "parse failures",
        "Share of completions that are no answer; each counts as an empty mask.",
        mean(lambda record: record.failure is not None and record.failure.of_model),
        unit="share",
        better="lower",
        from_masks=False,
    ),
    "correct_abstentions": Measure(
        "correct abstentions",
        'Share of the samples without a target that were answered with "nothing there".',
        mean(lambda record: record.abstained if record.target_empty else None),
        unit="share",
        from_masks=False,
    ),
    "false_abstentions": Measure(
        "false abstentions",
        'Share of the samples with a target that were answered with "nothing there".',
        mean(lambda record: None if record.target_empty else record.abstained),
        unit="share",
        better="lower",
        from_masks=False,
    ),
    "n_acc": Measure(
        "N-acc",
        "Share of the samples without a target whose mask is empty (gRefCOCO): TP / (TP + FN).",
        mean(lambda record: record.predicted_empty if record.target_empty else None),
        unit="share",
    ),
    "t_acc": Measure(
        "T-acc",
        "Share of the samples with a target whose mask is not empty (gRefCOCO): TN / (TN + FP).",
        mean(lambda record: None if record.target_empty else not record.predicted_empty),
        unit="share",
    ),
    "box_accuracy": Measure(
        "box accuracy",
        "Share of the samples whose first box has an IoU of at least 0.5 with the true box.",
        mean(first_box_is_right),
        unit="share",
        from_masks=False,
    ),
    "any_box_accuracy": Measure(
        "any box right",
        "Share of the samples with a box, whichever, of an IoU above 0.5 with the true box (VisionReasoner).",
        mean(any_box_is_right),
        unit="share",
        from_masks=False,
    ),
    "any_box_or_hull_accuracy": Measure(
        "any box or hull right",
        "The same, the smallest box around all boxes counted with them (VisionReasoner since August 2025).",
        mean(any_box_or_hull_is_right),
        unit="share",
        from_masks=False,
    ),
    "ap": _precision(
        "AP",
        "Average precision of boxes, IoU 0.50…0.95; without confidences it is precision up to the recall reached.",
        "ap",
    ),
    "ap50": _precision("AP50", "The same at IoU 0.50.", "ap50"),
    "ap75": _precision("AP75", "The same at IoU 0.75.", "ap75"),
    "ap_by_area": _precision(
        "AP by area",
        "Average precision of boxes, IoU 0.50…0.95, the largest box taken for the surest (VisionReasoner).",
        "ap",
        by_area=True,
    ),
    "ap50_by_area": _precision("AP50 by area", "The same at IoU 0.50.", "ap50", by_area=True),
    "ap75_by_area": _precision("AP75 by area", "The same at IoU 0.75.", "ap75", by_area=True),
    "box_precision": Measure(
        "precision",
        "Share of the boxes that have an object of their own at IoU 0.50.",
        box_rate("boxes"),
        unit="share",
        from_masks=False,
    ),
    "box_recall": Measure(
        "recall",
        "Share of the true objects that have a box of their own at IoU 0.50.",
        box_rate("objects"),
        unit="share",
        from_masks=False,
    ),
    "exact_count": Measure(
        "exact count",
        "Share of the samples with the right number of objects.",
        mean(count_is_right),
        unit="share",
        from_masks=False,
    ),
    "count_error": Measure(
        "count MAE",
        "Mean absolute difference between the number of objects and the true one.",
        mean(count_error),
        better="lower",
        from_masks=False,
    ),
}


def get_measure(name: str) -> Measure:
    """A measure of the table, or one of the user's own by its reference.

    Raises:
        InputError: there is none, or what the reference names is no measure.
    """
    return resolve(name, MEASURES, "measure", check_measure)


def extra_metrics(names: Iterable[str]) -> dict[str, ExtraMetric]:
    """What is to be computed of every sample so that the named measures can be taken of its record."""
    return extra_metrics_of(get_measure(name) for name in names)


def measure(records: Records, names: Sequence[str] = MASK_MEASURES) -> dict[str, Metric]:
    """The named measures of the records; one that has nothing to speak to is left out."""
    metrics = {name: get_measure(name).how.metric(records) for name in names} if records else {}
    return {name: metric for name, metric in metrics.items() if metric is not None}


def measure_by_task(records: Records, names: Sequence[str] = MASK_MEASURES) -> dict[str, dict[str, Metric]]:
    """The measures of each task, in the order in which the tasks first appear."""
    tasks = dict.fromkeys(record.task for record in records if record.task)
    return {task: measure([record for record in records if record.task == task], names) for task in tasks}


def format_value(name: str, metric: Metric | None) -> str:
    """A value as a table prints it, three decimals or per cent; a dash where there is none."""
    return "–" if metric is None else get_measure(name).format(metric.value)
