"""All that is written of one finished run besides its lines: the report, rows for a paper, and images if asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from thinkseg.answers.base import TOLERANT
from thinkseg.evaluation.benchmarks import Benchmark
from thinkseg.evaluation.explaining import ExplainedRun
from thinkseg.evaluation.provenance import machine
from thinkseg.evaluation.reporting.export import save_masks, save_overlays
from thinkseg.evaluation.reporting.latex_tables import rows_of, write_rows
from thinkseg.evaluation.reporting.report import ReportContext, write_report
from thinkseg.evaluation.run import Run
from thinkseg.meter import Meter
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.types import Sample


@dataclass(frozen=True, slots=True)
class RunContext:
    """How a run was made, for its report."""

    command: str
    device: str
    seconds: float
    batch_size: int
    processes: int


def write_run_report(run: Run, benchmark: Benchmark, samples: Sequence[Sample], made: RunContext) -> dict[str, Any]:
    """Write the report and the rows into the run's folder and return what ``report.json`` holds."""
    assert run.folder is not None
    write_rows(run.folder, rows_of(run.report, run.name), run.measures)
    context = ReportContext(
        title=f"{run.name} on {benchmark.name}",
        lead=" ".join([f"{len(samples)} samples: {benchmark.summary}.", *read_in_words(run.header.answer_format)]),
        runs=(run,),
        samples=samples,
        measures=run.measures,
        command=made.command,
        machine=machine(made.device),
        seconds={"evaluate": made.seconds},
        published=_explained(run, benchmark).rows(),
        settings={
            "segmenter": run.header.segmenter,
            "answer format": run.header.answer_format,
            "instruction": run.header.instruction or "ThinkSeg's own",
            **run.header.asked,
            "batch size": made.batch_size,
            "processes": made.processes,
        },
    )
    return write_report(run.folder, context)


def read_in_words(answer_format: str) -> list[str]:
    """What has to stand beside the numbers about how answers were read; nothing where nothing special was done."""
    if not answer_format.endswith(TOLERANT):
        return []
    return [f"Answers were read tolerantly ({answer_format}), as models write them that were never tuned."]


def _explained(run: Run, benchmark: Benchmark) -> ExplainedRun:
    """The run as it is held against published ones."""
    header = run.header
    asked = {name: value for name, value in header.asked.items() if name in CheckpointConfig.model_fields}
    return ExplainedRun(
        benchmark.name,
        benchmark.task,
        header.protocol,
        header.model,
        CheckpointConfig(**asked),
        header.dtype,
        header.instruction,
        header.answer_format,
    )


def draw_images(run: Run, samples: Sequence[Sample], wanted: Collection[str], progress: bool = True) -> None:
    """Write the predicted masks, or the images with them, into the run's folder.

    Args:
        run: whole.
        samples: in the order of its records.
        wanted: any of ``masks`` and ``overlays``, the names of the folders.
        progress: whether bars are drawn on stderr.
    """
    if run.folder is None:
        return
    makers = {
        "masks": lambda folder: save_masks(folder, run.records),
        "overlays": lambda folder: save_overlays(folder, run.records, samples),
    }
    for name in (name for name in makers if name in wanted):
        paths = makers[name](run.folder / name)
        with Meter(name, "image", len(run.records)) if progress else nullcontext() as meter:
            for done, _ in enumerate(paths, start=1):
                if meter is not None:
                    meter.move(done)
