"""Carries out a plan: loads the models once, does every benchmark or its part of it, puts parts together, reports.

::

    plan ─▶ benchmarks ─▶ models ─▶ predictions, in one process or several ─▶ merge ─▶ Run ─▶ report

Whatever the way, the samples go through `thinkseg.evaluation.run.evaluate`, and the numbers are the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thinkseg.errors import InputError
from thinkseg.evaluation.parallel.folder_lock import HeldFolder, hold_folder
from thinkseg.evaluation.parallel.processes import Tell, run_processes, share_machine
from thinkseg.evaluation.parallel.shards import WHOLE, Shard, merge_shards, wait_for_shards
from thinkseg.evaluation.plan import EvaluationPlan, LoadedBenchmark
from thinkseg.evaluation.progress import Progress, ProgressBar
from thinkseg.evaluation.provenance import device_of
from thinkseg.evaluation.record_file import HEADER, read_header
from thinkseg.evaluation.reporting.run_report import RunContext, draw_images, write_run_report
from thinkseg.evaluation.run import Predictor, Run, evaluate
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.prompting import remembering
from thinkseg.results.files import prepare_folder
from thinkseg.stopwatch import count

ENCODINGS = 256 * 2**20
"""Bytes that the segmenter's encodings may take: of SAM 2's, of 17 MB an image, 15."""

OpenProgress = Callable[[str], AbstractContextManager[Progress | None]]
"""From the name of a benchmark to what is told how far it is, while it is open."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of one benchmark."""

    run: Run
    """The whole of it, or where other parts are not done yet this process's part."""
    report: dict[str, Any] | None = None
    """What ``report.json`` holds; None for a part, and where nothing is written."""


def run_plan(plan: EvaluationPlan) -> list[Evaluated]:
    """Evaluate every benchmark of a plan.

    Returns:
        One per benchmark, in order.

    Raises:
        InputError: what is asked for cannot work, or is not there.
        DataError: a folder holds another run.
    """
    plan.check()
    if plan.processes > 1 and plan.out is None:
        with TemporaryDirectory() as folder:
            evaluated = run_plan(replace(plan, out=Path(folder)))
        return [Evaluated(replace(one.run, folder=None)) for one in evaluated]
    benchmarks = plan.load_benchmarks()  # before a model is loaded
    shard = plan.shard or plan.launched or WHOLE
    with ExitStack() as held:
        folders = [_hold(held, one, shard) for one in benchmarks]
        began = time.monotonic()
        if plan.processes > 1:
            device, runs = _predict_in_processes(plan, benchmarks), None
        else:
            device, runs = _predict(plan, benchmarks, shard, _bars(plan))
        context = RunContext(plan.command, device, time.monotonic() - began, plan.batch_size, plan.processes)
        parts: Sequence[Run | None] = runs or [None] * len(benchmarks)
        return [_finish(plan, *each, context) for each in zip(benchmarks, folders, parts, strict=True)]


def _hold(held: ExitStack, one: LoadedBenchmark, shard: Shard) -> HeldFolder | None:
    """Keep others out of the folder of a benchmark until all is done."""
    if one.out is None:
        return None
    prepare_folder(one.out)
    return held.enter_context(hold_folder(one.out, shard))


def _predict(
    plan: EvaluationPlan, benchmarks: Sequence[LoadedBenchmark], shard: Shard, open_progress: OpenProgress
) -> tuple[str, list[Run]]:
    """Load the models and do one part of every benchmark; return the device that they ran on, and the parts."""
    pipeline = _keeping(plan.model.pipeline(plan.batch_size))
    runs = []
    for one in benchmarks:
        _refuse_unnamed(plan, one, shard)
        asked = plan.asked(pipeline, one.benchmark)
        with open_progress(one.benchmark.name) as progress:
            run = evaluate(
                asked,
                one.samples,
                one.out,
                plan.header(one, asked),
                batch_size=plan.batch_size,
                shard=shard,
                progress=progress,
                measures=one.benchmark.measures,
            )
        runs.append(run)
    return device_of(pipeline), runs


def _keeping(pipeline: Predictor) -> Predictor:
    """The same, whose segmenter keeps encodings: the queries about an image need not all be in one batch."""
    if not isinstance(pipeline, Pipeline):
        return pipeline
    return replace(pipeline, segmenter=remembering(pipeline.segmenter, ENCODINGS))


def _refuse_unnamed(plan: EvaluationPlan, one: LoadedBenchmark, shard: Shard) -> None:
    """Do not go on with the predictions of a pipeline that cannot be told from another one."""
    if not isinstance(plan.model.checkpoint, str) and one.out is not None and shard.path(one.out).exists():
        raise InputError(
            f"{one.out} holds predictions already, and a pipeline that was handed over cannot be told from the one "
            "that made them; choose another folder, or give the model by its name"
        )


def _predict_in_processes(plan: EvaluationPlan, benchmarks: Sequence[LoadedBenchmark]) -> str:
    """Let several processes do a part each, under one bar; return the devices that they ran on."""
    total = sum(len(one.samples) for one in benchmarks)
    done: dict[tuple[int, str], int] = {}
    with _bars(plan)(f"{plan.processes} processes") as progress:

        def hear(process: int, news: tuple[str, int, float | None]) -> None:
            benchmark, reached, iou = news
            count("samples", reached - done.get((process, benchmark), reached))  # what was there before comes first
            done[process, benchmark] = reached
            if progress is not None:
                progress(sum(done.values()), total, iou)

        devices: list[str] = run_processes(plan.processes, partial(_work, plan), hear)
    return ", ".join(dict.fromkeys(devices))


def _work(plan: EvaluationPlan, number: int, tell: Tell) -> str:
    """One of the processes."""
    share_machine(number, plan.processes)

    @contextmanager
    def telling(benchmark: str) -> Iterator[Progress]:
        yield lambda done, _total, iou: tell((benchmark, done, iou))

    device, _ = _predict(plan, plan.load_benchmarks(), Shard(number + 1, plan.processes), telling)
    return device


def _bars(plan: EvaluationPlan) -> OpenProgress:
    return ProgressBar if plan.progress else lambda _title: nullcontext()


def _finish(
    plan: EvaluationPlan, one: LoadedBenchmark, folder: HeldFolder | None, part: Run | None, context: RunContext
) -> Evaluated:
    """Put the parts together, if it is this process that does so and all are there, and report."""
    launched = plan.launched
    parts = plan.processes if part is None else part.shard.count
    if one.out is None or folder is None or (part is not None and launched is not None and launched.index > 1):
        assert part is not None  # several processes have a folder
        return Evaluated(part)  # of the launched ones the first waits for the others and reports
    if launched is not None:
        wait_for_shards(one.out, parts, len(one.samples))
    with folder.alone():  # two parts may end at once
        run = part
        if parts > 1:
            records = merge_shards(one.out, parts, len(one.samples))
            if records is None:
                assert part is not None
                return Evaluated(part)
            run = Run.from_records(read_header(one.out / HEADER), records, one.benchmark.measures, folder=one.out)
        assert run is not None
        run = replace(run, name=plan.model.name)
        draw_images(run, one.samples, plan.images, plan.progress)
        return Evaluated(run, write_run_report(run, one.benchmark, one.samples, context))
