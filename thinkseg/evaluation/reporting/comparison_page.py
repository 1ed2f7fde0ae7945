"""What a comparison writes: a page that loads nothing, the numbers as JSON, and rows for papers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from thinkseg.errors import InputError
from thinkseg.evaluation.benchmarks import LoadOptions, load_benchmark
from thinkseg.evaluation.comparison.compared import ALL, TOO_FEW, ComparedMeasure, Comparison
from thinkseg.evaluation.measures.registry import format_value, get_measure
from thinkseg.evaluation.record_file import write_json
from thinkseg.evaluation.reporting.charts import gain_chart
from thinkseg.evaluation.reporting.gallery import render_gallery
from thinkseg.evaluation.reporting.latex_tables import rows_of, write_rows
from thinkseg.evaluation.reporting.report import iou_charts, render_page
from thinkseg.evaluation.run import Run
from thinkseg.extension import is_reference
from thinkseg.types import Sample

KINDS = {True: "risen", False: "fallen", None: "undecided"}
"""The classes of the style sheet."""


@dataclass(frozen=True, slots=True)
class ComparisonContext:
    """What a page tells besides the numbers."""

    command: str
    """What to type to get the same again."""
    samples: Sequence[Sample] | None = None
    """In the order of the records; None where the images are not at hand."""


def write_comparison(out: Path, comparison: Comparison, context: ComparisonContext) -> None:
    """Write ``comparison.html``, ``comparison.json``, ``table.md`` and ``table.tex`` into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "comparison.html").write_text(
        comparison_html(comparison, context), encoding="utf-8", errors="backslashreplace"
    )
    rows = {name: metrics for run in comparison.runs for name, metrics in rows_of(run.report, run.name).items()}
    write_rows(out, rows, list(dict.fromkeys(name for metrics in rows.values() for name in metrics)))
    write_json(out / "comparison.json", comparison.to_json() | {"command": context.command})


def samples_of(run: Run, root: Path | None = None) -> Sequence[Sample] | None:
    """The samples behind the records of a run, for their images; None where they are not at hand.

    A benchmark of the user's own is code, which a folder of results cannot ask to be run.

    Args:
        run: the samples come in the order of its records.
        root: where the data set is now; where the run had it when None.
    """
    header, records = run.header, run.records
    if is_reference(header.benchmark):
        return None
    root = root if root is not None else Path(header.data) if header.data else None
    try:
        options = LoadOptions.of_run(header.asked, len(records), header.seed, root)
        _, samples = load_benchmark(header.benchmark, options, header.protocol)
        same = len(samples) == len(records) and samples[len(records) - 1].id == records[-1].id
    except InputError:
        return None
    return samples if same else None


def comparison_html(comparison: Comparison, context: ComparisonContext) -> str:
    """The page, whole."""
    first, *others = comparison.runs
    return render_page(
        "comparison.html",
        title=" and ".join(run.name for run in comparison.runs),
        benchmark=first.report.benchmark,
        count=len(first.records),
        names=[run.name for run in comparison.runs],
        warning=comparison.warning,
        verdicts=_verdicts(comparison),
        groups=[{"name": group, "lines": [_row(line) for line in lines]} for group, lines in comparison.lines.items()],
        gain_charts=[(run.name, _gain_chart(comparison, place)) for place, run in enumerate(others)],
        iou_charts=iou_charts(comparison.runs),
        meanings=[
            (get_measure(line.measure).label, get_measure(line.measure).meaning)
            for line in comparison.lines.get(ALL, ())
        ],
        tasks=[] if context.samples is None else render_gallery(comparison.runs, context.samples, comparison.seed),
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
    if line.gains[place] is None:
        return {"text": "–", "kind": ""}
    text, verdict = line.interval(place), line.verdict(place)
    return {"text": f"{text} ({TOO_FEW})" if verdict == TOO_FEW else text, "kind": KINDS[line.is_better(place)]}


def _gain_chart(comparison: Comparison, place: int) -> Markup:
    """The gain in mean IoU of a run over the first, of all samples and of each task."""
    gains = {}
    for group, lines in comparison.lines.items():
        gain = next((line.gains[place] for line in lines if line.measure == "giou"), None)
        if gain is not None:
            gains["all samples" if group == ALL else group] = gain
    return gain_chart(gains) if gains else Markup("")
