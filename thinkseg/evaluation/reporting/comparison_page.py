"""What `thinkseg compare` shows: a table for the terminal, and a page that loads nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from thinkseg.evaluation.comparison.paired import Gain
from thinkseg.evaluation.comparison.runs import ALL, ComparedMeasure, Comparison, better
from thinkseg.evaluation.measures.registry import MEASURES, format_value
from thinkseg.evaluation.reporting.charts import gain_chart
from thinkseg.evaluation.reporting.gallery import choose_cases, render_case
from thinkseg.evaluation.reporting.report import iou_charts, render_page
from thinkseg.types import Sample

MARKS = {True: "better", False: "worse", None: ""}
KINDS = {True: "risen", False: "fallen", None: "undecided"}
"""The classes of the style sheet."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a page tells besides the numbers."""

    command: str
    samples: Sequence[Sample] | None = None
    """In the order of the records; None where the images are not at hand."""
    warning: str = ""
    seed: int = 0


def text_table(comparison: Comparison) -> str:
    """For the terminal: a line per measure with each run's value and, but for the first, its difference to that."""
    first, *others = [run.name for run in comparison.runs]
    head = ["", first, *others, *(f"{name} − {first}" for name in others)]
    blocks = []
    for group, lines in comparison.lines.items():
        title = f"{group} ({lines[0].metrics[0].count} samples)" if lines else group
        blocks.append([title, *[""] * (len(head) - 1)])
        blocks += [
            [
                f"  {MEASURES[line.measure].label}",
                *(format_value(line.measure, metric) for metric in line.metrics),
                *(_difference(line.measure, gain) for gain in line.gains),
            ]
            for line in lines
        ]
    widths = [max(len(row[place]) for row in (head, *blocks)) for place in range(len(head))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in (head, *blocks)
    )


def _difference(measure: str, gain: Gain | None) -> str:
    """A difference with its interval, and whether it is for the better."""
    if gain is None:
        return "no interval"
    return f"{_interval(measure, gain)} {MARKS[better(measure, gain)]:6}"


def _interval(measure: str, gain: Gain) -> str:
    scale, digits = (100, 1) if MEASURES[measure].is_share else (1, 3)
    mean, low, high = (f"{scale * value:+.{digits}f}" for value in (gain.mean, gain.low, gain.high))
    return f"{mean} [{low}, {high}]".replace("-", "−")


def comparison_html(comparison: Comparison, context: Context) -> str:
    """The page, whole."""
    first, *others = comparison.runs
    return render_page(
        "comparison.html",
        title=" and ".join(run.name for run in comparison.runs),
        benchmark=first.report.benchmark,
        count=len(first.records),
        names=[run.name for run in comparison.runs],
        warning=context.warning,
        verdicts=_verdicts(comparison),
        groups=[{"name": group, "lines": [_row(line) for line in lines]} for group, lines in comparison.lines.items()],
        gain_charts=[(run.name, _gain_chart(comparison, place)) for place, run in enumerate(others)],
        iou_charts=iou_charts(comparison.runs),
        meanings=[
            (MEASURES[line.measure].label, MEASURES[line.measure].meaning) for line in comparison.lines.get(ALL, ())
        ],
        tasks=_images(comparison, context),
        image_note="For each task the samples with the largest gains of "
        f"{comparison.runs[-1].name} over {first.name}, the median, the largest losses, and one drawn at random.",
        failures=[
            (run.name, sum(record.failure is not None for record in run.records), len(run.records))
            for run in comparison.runs
        ],
        command=context.command,
        facts=[
            (run.name, f"{run.report.model}, protocol {run.report.protocol}, seed {run.report.seed}")
            for run in comparison.runs
        ],
    )


def _verdicts(comparison: Comparison) -> list[str]:
    """What became of the first measure of each run, in words."""
    line = comparison.lines[ALL][0] if comparison.lines.get(ALL) else None
    if line is None:
        return []
    return [
        f"{run.name}: {gain.in_words(MEASURES[line.measure].label)}"
        for run, gain in zip(comparison.runs[1:], line.gains, strict=True)
        if gain is not None
    ]


def _row(line: ComparedMeasure) -> dict[str, Any]:
    return {
        "label": MEASURES[line.measure].label,
        "values": [format_value(line.measure, metric) for metric in line.metrics],
        "gains": [
            {"text": _interval(line.measure, gain), "kind": KINDS[better(line.measure, gain)]}
            if gain is not None
            else {"text": "–", "kind": ""}
            for gain in line.gains
        ],
    }


def _gain_chart(comparison: Comparison, place: int) -> Markup:
    """The gain in mean IoU of a run over the first, of all samples and of each task."""
    gains = {}
    for group, lines in comparison.lines.items():
        gain = next((line.gains[place] for line in lines if line.measure == "giou"), None)
        if gain is not None:
            gains["all samples" if group == ALL else group] = gain
    return gain_chart(gains) if gains else Markup("")


def _images(comparison: Comparison, context: Context) -> list[dict[str, Any]]:
    """The samples on which the last run differs most from the first."""
    if context.samples is None:
        return []
    first, last = comparison.runs[0].records, comparison.runs[-1].records
    tasks: dict[str, list[dict[str, Any]]] = {}
    for case in choose_cases(first, last, context.seed):
        views = [(run.name, run.records[case.index]) for run in comparison.runs]
        tasks.setdefault(first[case.index].task, []).append(render_case(case, context.samples[case.index], views))
    return [{"name": name, "cases": cases} for name, cases in tasks.items()]
