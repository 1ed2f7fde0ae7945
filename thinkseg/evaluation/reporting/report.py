"""Writes what was found: ``report.json`` for programs, ``report.html`` for people.

The page is one file that loads nothing: style, charts and images are inside, there is no script, and whatever a model
or a data set wrote is escaped. It shows one run, or two side by side (before and after) with the gain between them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from thinkseg.evaluation.comparison.intervals import Gain, compare
from thinkseg.evaluation.measures.groups import MASK_MEASURES
from thinkseg.evaluation.measures.registry import format_value, get_measure
from thinkseg.evaluation.reporting.charts import gain_chart, histogram_chart, line_chart, success_chart
from thinkseg.evaluation.reporting.gallery import render_gallery
from thinkseg.evaluation.reporting.tables import table_rows
from thinkseg.evaluation.run import Run
from thinkseg.types import Failure, Report, Sample

if TYPE_CHECKING:
    from thinkseg.evaluation.report_file import ReportFile

SHOWN_FAILURES = 8
TILES = (
    *("ap", "ap_by_area", "exact_count", "count_error", "giou", "s_measure", "n_acc", "t_acc", "box_accuracy"),
    *("any_box_accuracy", "any_box_or_hull_accuracy", "correct_abstentions", "parse_failures"),
)
"""The measures that a report shows first, where they were taken."""


@dataclass(frozen=True, slots=True)
class ReportContext:
    """All that a report tells."""

    title: str
    runs: tuple[Run] | tuple[Run, Run]
    """One run, or two over the same samples: before and after."""
    samples: Sequence[Sample]
    """In the order of the records; only those that are shown are asked for."""
    command: str
    """What to type to get the same again."""
    lead: str = ""
    measures: tuple[str, ...] = MASK_MEASURES
    curves: Mapping[str, tuple[Sequence[int], Sequence[float | None]]] = field(default_factory=dict)
    """By their title, the steps and values of what is drawn over the training."""
    machine: Mapping[str, str | int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage took."""
    settings: Mapping[str, str | int | float] = field(default_factory=dict)
    published: Sequence[Mapping[str, str]] = ()
    """Of a single run, its choices beside those behind published numbers: see `ExplainedRun.rows`."""
    seed: int = 0

    @property
    def paired(self) -> bool:
        """Whether there is a before and an after."""
        return len(self.runs) == 2

    def gains(self) -> dict[str, Gain]:
        """The gain of all samples and of each task; none for a single run."""
        return compare(self.runs[0].records, self.runs[-1].records, self.seed) if self.paired else {}


def write_report(out: Path, context: ReportContext) -> dict[str, Any]:
    """Write ``report.json`` and ``report.html`` into the folder and return what the former holds."""
    from thinkseg.evaluation.report_file import write_report_file

    gains = context.gains()
    content = report_file(context, gains)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.html").write_text(report_html(context, gains), encoding="utf-8", errors="backslashreplace")
    write_report_file(out, content)  # last: where it is, the run is finished
    return content.to_json()


def report_file(context: ReportContext, gains: Mapping[str, Gain]) -> ReportFile:
    """What ``report.json`` holds. A single run's numbers are at the top, those of two under their names."""
    from thinkseg.evaluation.report_file import GainValue, ReportFile, RunNumbers

    last = context.runs[-1].report
    content: dict[str, Any] = {
        "benchmark": last.benchmark,
        "protocol": last.protocol,
        "seed": last.seed,
        "command": context.command,
        "commit": last.commit,
        "versions": dict(last.versions),
        "machine": dict(context.machine),
        "seconds": {stage: round(seconds, 1) for stage, seconds in context.seconds.items()},
        "settings": dict(context.settings),
    }
    if context.paired:
        values = {name: GainValue(**gain._asdict()) for name, gain in gains.items()}
        content |= {"gain": values.pop("all"), "gain_by_task": values}
        content |= {run.name: RunNumbers.of(run.report) for run in context.runs}
    else:
        content |= dict(RunNumbers.of(last))
    if context.published:
        content["published"] = [dict(row) for row in context.published]
    return ReportFile.model_validate(content)


def report_html(context: ReportContext, gains: Mapping[str, Gain]) -> str:
    """The page, whole."""
    first, last = context.runs[0], context.runs[-1]
    return render_page(
        "report.html",
        title=context.title,
        lead=context.lead,
        benchmark=last.report.benchmark,
        names=[run.name for run in context.runs],
        paired=context.paired,
        tiles=[_tile(name, context) for name in TILES if name in last.report.metrics],
        verdict=gains["all"].in_words() if gains else "",
        heads=[get_measure(name).label for name in context.measures],
        rows=table_rows(first.report, last.report if context.paired else None, context.measures),
        gain_chart=gain_chart({"all tasks" if task == "all" else task: gain for task, gain in gains.items()})
        if gains
        else Markup(""),
        iou_charts=iou_charts(context.runs),
        meanings=[(get_measure(name).label, _meaning(name, last.report)) for name in context.measures],
        curves=[(title, line_chart(title, *points)) for title, points in context.curves.items()],
        step_count=max((len(steps) for steps, _ in context.curves.values()), default=0),
        tasks=render_gallery(context.runs, context.samples, context.seed),
        image_note=_image_note(context),
        failures=[_failures(run) for run in context.runs],
        command=context.command,
        facts=_facts(context, first, last),
        published=context.published,
    )


def render_page(template: str, **values: Any) -> str:
    """A page from a template of this package; whatever it is given is escaped."""
    page: str = _environment().get_template(template).render(**values)
    return page


@cache  # it keeps the templates compiled, which takes longer than to fill in a page
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("thinkseg.evaluation.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def iou_charts(runs: Sequence[Run]) -> list[tuple[str, Markup]]:
    """How many samples have which IoU, and the share that reaches each; nothing where there are no masks to compare."""
    if not any(record.has_target for run in runs for record in run.records):
        return []
    ious = {run.name: np.array([r.iou for r in run.records if r.has_target], dtype=float) for run in runs}
    return [
        ("Samples by their IoU", histogram_chart(ious)),
        ("Share of samples that reach an IoU", success_chart(ious)),
    ]


def _tile(name: str, context: ReportContext) -> dict[str, str]:
    new = context.runs[-1].report.metrics[name]
    was = (
        f"before: {format_value(name, context.runs[0].report.metrics.get(name))}"
        if context.paired
        else f"{new.count} samples"
    )
    return {"name": get_measure(name).label, "now": format_value(name, new), "was": was}


def _image_note(context: ReportContext) -> str:
    chosen = (
        "For each task the samples with the largest gains, the median, the largest losses, and one drawn at random"
        if context.paired
        else "For each task the best sample, the median, the worst, and one drawn at random"
    )
    return (
        f"{chosen}. Boxes and points are the model's own, carried over to the image; a filled point is meant to be "
        "on the object, a hollow one on the background. The text below an image is the model's, letter by letter."
    )


def _failures(run: Run) -> dict[str, Any]:
    unreadable = [(record, record.failure) for record in run.records if record.failure is not None]
    kinds = [(Failure(name).sentence, count) for name, count in Counter(run.report.failures).most_common()]
    shown = [
        {
            "task": record.task,
            "query": record.query,
            "text": record.text,
            "detail": record.failure_detail or failure.sentence,
        }
        for record, failure in unreadable[:SHOWN_FAILURES]
    ]
    return {"name": run.name, "count": len(unreadable), "total": len(run.records), "kinds": kinds, "shown": shown}


def _meaning(name: str, report: Report) -> str:
    """What a measure is, and on how many samples it rests."""
    metric = report.metrics.get(name)
    rests = "no sample can speak to it" if metric is None else f"{metric.count:,} samples"
    return f"{get_measure(name).meaning} ({rests})"


def _facts(context: ReportContext, first: Run, last: Run) -> list[tuple[str, str]]:
    facts = [("model", last.report.model)] if not context.paired else [
        (f"model {first.name}", first.report.model),
        (f"model {last.name}", last.report.model),
    ]  # fmt: skip
    facts += [(name, str(value)) for name, value in context.settings.items()]
    facts += [("seed", str(last.report.seed)), ("protocol", last.report.protocol)]
    unknown = sum(record.failure is not None and record.failure.of_truth for record in last.records)
    dropped = sum(not record.counted for record in last.records) - unknown
    facts += [("left out, true mask unreadable", f"{unknown:,} of {len(last.records):,} samples")] if unknown else []
    facts += [("left out by the protocol", f"{dropped:,} of {len(last.records):,} samples")] if dropped else []
    facts += [("commit", last.report.commit)] if last.report.commit else []
    facts += (
        [("machine", ", ".join(f"{name} {value}" for name, value in context.machine.items()))]
        if context.machine
        else []
    )
    facts += [("versions", ", ".join(f"{name} {version}" for name, version in last.report.versions.items()))]
    return facts + [(f"time to {stage}", duration(seconds)) for stage, seconds in context.seconds.items()]


def duration(seconds: float) -> str:
    """A length of time in words: ``7 min 50 s``, ``12 s``."""
    return f"{int(seconds) // 60} min {int(seconds) % 60} s" if seconds >= 60 else f"{seconds:.0f} s"
