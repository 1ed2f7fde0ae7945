"""What `thinkseg compare` shows: a table for the terminal, and a page that loads nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from thinkseg.evaluation.comparison.intervals import Gain
from thinkseg.evaluation.comparison.runs import ALL, ComparedMeasure, Comparison
from thinkseg.evaluation.measures.registry import format_value, get_measure
from thinkseg.evaluation.reporting.charts import gain_chart
from thinkseg.evaluation.reporting.gallery import choose_cases, render_case
from thinkseg.evaluation.reporting.report import iou_charts, render_page
from thinkseg.evaluation.reporting.text_table import aligned
from thinkseg.types import Sample

KINDS = {True: "risen", False: "fallen", None: "undecided"}
"""The classes of the style sheet."""
TOO_FEW = "too few to tell"


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
    table = [head]
    for group, lines in comparison.lines.items():
        count = max((line.count for line in lines), default=0)
        table.append([f"{group} ({count} samples)" if lines else group, *[""] * (len(head) - 1)])
        table += [
            [
                f"  {get_measure(line.measure).label}",
                *(format_value(line.measure, metric) for metric in line.metrics),
                *(_difference(line, place) for place in range(len(others))),
            ]
            for line in lines
        ]
    return aligned(table)


def _difference(line: ComparedMeasure, place: int) -> str:
    """A difference with its interval, and whether it is for the better."""
    gain = line.gains[place]
    if gain is None:
        return "no interval"
    better = line.is_better(place)
    mark = TOO_FEW if gain.verdict == "too few" else {True: "better", False: "worse", None: ""}[better]
    return f"{_interval(line.measure, gain)} {mark:6}"


def _interval(measure: str, gain: Gain) -> str:
    scale, digits = (100, 1) if get_measure(measure).unit == "share" else (1, 3)
    mean, *ends = (
        "" if value is None else f"{scale * value:+.{digits}f}" for value in (gain.mean, gain.low, gain.high)
    )
    return (f"{mean} [{ends[0]}, {ends[1]}]" if all(ends) else mean).replace("-", "−")


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
            (get_measure(line.measure).label, get_measure(line.measure).meaning)
            for line in comparison.lines.get(ALL, ())
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
        f"{run.name}: {gain.in_words(get_measure(line.measure).label)}"
        for run, gain in zip(comparison.runs[1:], line.gains, strict=True)
        if gain is not None
    ]


def _row(line: ComparedMeasure) -> dict[str, Any]:
    return {
        "label": get_measure(line.measure).label,
        "values": [format_value(line.measure, metric) for metric in line.metrics],
        "gains": [_gain_cell(line, place) for place in range(len(line.gains))],
    }


def _gain_cell(line: ComparedMeasure, place: int) -> dict[str, str]:
    gain = line.gains[place]
    if gain is None:
        return {"text": "–", "kind": ""}
    text = _interval(line.measure, gain)
    text = f"{text} ({TOO_FEW})" if gain.verdict == "too few" else text
    return {"text": text, "kind": KINDS[line.is_better(place)]}


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
