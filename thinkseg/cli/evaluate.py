"""``thinkseg evaluate``: a model on a benchmark, with a report.

It writes ``predictions.jsonl`` (a line per sample), ``run.json`` (what was run), ``report.json``, ``report.html``, and
rows for a paper (``table.md``, ``table.tex``) into the output folder; with several benchmarks, into a folder of its
name for each. Started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.cli.model_flags import add_model_flags, asked_of, load_models
from thinkseg.data.discovery.catalog import benchmark_splits
from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.evaluation.benchmarks import Benchmark
    from thinkseg.evaluation.parallel.processes import Tell
    from thinkseg.evaluation.parallel.shards import Shard
    from thinkseg.evaluation.records import PredictionRecord
    from thinkseg.types import Sample


def known_benchmarks() -> str:
    """The benchmarks that are splits of known data sets, by their kind, and the names of all splits of a data set."""
    tasks: dict[str, list[str]] = {}
    splits = Counter(data_set.name for _, data_set, _ in benchmark_splits())
    for name, data_set, _ in benchmark_splits():
        tasks.setdefault("several, none" if data_set.measured_as == "several" else data_set.task, []).append(name)
    tasks["all splits"] = [name for name, count in splits.items() if count > 1]
    return "\n".join(
        textwrap.fill(" ".join(names), 78, initial_indent=f"  {task:14}", subsequent_indent=" " * 16,
                      break_on_hyphens=False)
        for task, names in tasks.items()
    )  # fmt: skip


EXAMPLE = f"""\
benchmarks:
  scenes    pocket scenes that no training scene shares a cut-out or background with (512; offline)
  folder    your own: images in ROOT/images, masks in ROOT/masks; asks for the main object

data sets that lie below ROOT ('thinkseg data list' tells where to get them, and how they have to lie):
{known_benchmarks()}
  boxes         coco-detection (COCO val2017); folder-detection (ROOT/annotations.json, ROOT/images)
  counts        pixmo-count pixmo-count-val countbench

protocols, to hold a number against a table that was not made by the benchmark's rules (docs/protocols.md):
  referring, reasoning: lisa (as the default), seg-zero, vision-reasoner, seg-r1
  boxes, counts: vision-reasoner

examples:
  thinkseg evaluate scenes --model pocket --out runs/start
  thinkseg evaluate scenes --model runs/rl/final --segmenter grabcut --limit 64 --out runs/try --json
  thinkseg evaluate cod10k --data data --model runs/rl/final --processes 8 --save-masks --out runs/cod10k
  thinkseg evaluate scenes --model pocket --shard 2/4 --out runs/start
  torchrun --nproc-per-node 8 -m thinkseg evaluate refcoco --data data --model runs/rl/final --out runs/refcoco
  thinkseg evaluate folder --data my_images --out runs/mine
  thinkseg evaluate coco-detection --data data --model runs/rl/final --out runs/boxes
  thinkseg evaluate refcoco-testa --protocol seg-zero --data data --model runs/rl/final --out runs/as_seg_zero
  thinkseg evaluate cod10k camo reasonseg-val --data data --model runs/rl/final --out runs/hidden"""

DONE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("benchmarks", metavar="BENCHMARK", nargs="+", help="names of benchmarks, listed below")
    parser.add_argument("--data", type=Path, metavar="ROOT", help="where the data sets are, for benchmarks on disk")
    parser.add_argument(
        "--protocol", default="default", help="by whose rules it is scored (default: those of the benchmark's authors)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N samples")
    parser.add_argument(
        "--batch-size", type=int, default=16, metavar="N", help="samples that the model gets at a time (default: 16)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of benchmarks that are composed, not read (default: 0)")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="that share the samples (default: 1)")
    parser.add_argument("--shard", metavar="I/N", help="only part I of N; the last part to end reports")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--save-masks", action="store_true", help="write the predicted masks to DIR/masks, as PNG")
    parser.add_argument("--save-overlays", action="store_true", help="write images with their masks to DIR/overlays")
    parser.add_argument("--json", action="store_true", help="print the report as JSON in place of the table")
    add_model_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate every benchmark named and print a table, or JSON, for each."""
    from thinkseg.evaluation.parallel.shards import WHOLE, Shard, merge_shards, wait_for_shards

    if args.batch_size < 1:
        raise InputError(f"a batch has at least 1 sample, found {args.batch_size}")
    if args.processes < 1:
        raise InputError(f"--processes is at least 1, found {args.processes}")
    given = Shard.parse(args.shard) if args.shard is not None else None
    launched = None if given is not None else Shard.of_environment()
    shard = given or launched or WHOLE
    if args.processes > 1 and shard.count > 1:
        raise InputError("--processes starts the parts by itself; leave out --shard, torchrun and accelerate launch")
    benchmarks = _load_benchmarks(args)  # before a model is loaded
    began = time.monotonic()
    device = _predict_in_processes(args, benchmarks) if args.processes > 1 else _predict(args, benchmarks, shard)
    seconds = time.monotonic() - began
    if launched is not None and launched.index > 1:
        return DONE  # the first part waits for the others and reports
    parts = max(args.processes, shard.count)
    printed = {}
    for benchmark, samples, out in benchmarks:
        if launched is not None:
            wait_for_shards(out, parts, len(samples))
        if parts > 1 and merge_shards(out, parts, len(samples)) is None:
            print(f"part {shard.index} of {parts} is done; the last part to end writes the report", file=sys.stderr)
            continue
        printed[benchmark.name] = _report(args, benchmark, samples, out, device, seconds)
    if args.json and printed:
        print(json.dumps(printed if len(benchmarks) > 1 else next(iter(printed.values())), ensure_ascii=False))
    return DONE


def _load_benchmarks(args: argparse.Namespace) -> list[tuple[Benchmark, Sequence[Sample], Path]]:
    """What is to be evaluated, and where to."""
    from thinkseg.evaluation.benchmarks import LoadOptions, benchmark_names, load_benchmark

    names = benchmark_names(args.benchmarks)
    options = LoadOptions(args.limit, args.seed, args.data)
    loaded = [load_benchmark(name, options, args.protocol) for name in names]
    return [
        (benchmark, samples, args.out / benchmark.name if len(names) > 1 else args.out) for benchmark, samples in loaded
    ]


def _predict(
    args: argparse.Namespace,
    benchmarks: Sequence[tuple[Benchmark, Sequence[Sample], Path]],
    shard: Shard,
    tell: Tell | None = None,
) -> str:
    """Load the models, do one part of every benchmark, and return the device that they ran on.

    Args:
        args: the call.
        benchmarks: what to evaluate.
        shard: which part.
        tell: told of every sample, in place of a bar.
    """
    from thinkseg.evaluation.progress import ProgressBar
    from thinkseg.evaluation.provenance import device_of, reasoner_revision
    from thinkseg.evaluation.records import RunHeader
    from thinkseg.evaluation.run import evaluate

    asked = asked_of(args)
    pipeline = load_models(args, batch_size=args.batch_size)
    for benchmark, samples, out in benchmarks:
        header = RunHeader(
            benchmark=benchmark.name,
            model=args.model,
            model_revision=reasoner_revision(args.model),
            segmenter=args.segmenter or "the model's own",
            seed=args.seed,
            answer_format=pipeline.answer_format.name,
            protocol=args.protocol,
            data="" if args.data is None else str(args.data.resolve()),
            asked=asked,
        )
        with ProgressBar(benchmark.name) as bar:
            progress = bar if tell is None else partial(_tell, tell, benchmark.name)
            evaluate(
                pipeline,
                samples,
                out,
                header,
                batch_size=args.batch_size,
                shard=shard,
                progress=progress,
                measures=benchmark.measures,
            )
    return device_of(pipeline)


def _tell(tell: Tell, benchmark: str, done: int, _total: int, iou: float | None) -> None:
    tell((benchmark, done, iou))


def _predict_in_processes(
    args: argparse.Namespace, benchmarks: Sequence[tuple[Benchmark, Sequence[Sample], Path]]
) -> str:
    """Let several processes do a part each, under one bar."""
    from thinkseg.evaluation.parallel.processes import run_processes
    from thinkseg.evaluation.progress import ProgressBar

    total = sum(len(samples) for _, samples, _ in benchmarks)
    done: dict[tuple[int, str], int] = {}
    with ProgressBar(f"{args.processes} processes") as bar:

        def hear(process: int, news: tuple[str, int, float | None]) -> None:
            benchmark, count, iou = news
            done[process, benchmark] = count
            bar(sum(done.values()), total, iou)

        devices: list[str] = run_processes(args.processes, partial(_work, args), hear)
    return ", ".join(dict.fromkeys(devices))


def _work(args: argparse.Namespace, number: int, tell: Tell) -> str:
    """One of the processes."""
    from thinkseg.evaluation.parallel.shards import Shard

    os.environ["LOCAL_RANK"] = str(number)  # each takes the next GPU
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // args.processes)))
    return _predict(args, _load_benchmarks(args), Shard(number + 1, args.processes), tell)


def _report(
    args: argparse.Namespace, benchmark: Benchmark, samples: Sequence[Sample], out: Path, device: str, seconds: float
) -> dict[str, Any]:
    """Measure a whole run, write its report and print its table; return what ``report.json`` holds."""
    from thinkseg.evaluation.provenance import command_line, machine
    from thinkseg.evaluation.reporting.latex_tables import rows_of, write_rows
    from thinkseg.evaluation.reporting.report import ReportContext, write_report
    from thinkseg.evaluation.reporting.tables import text_table
    from thinkseg.evaluation.run import Run

    done = Run.open(out, str(args.model))
    header, report = done.header, done.report
    _save_images(args, samples, done.records, out)
    write_rows(out, rows_of(report, str(args.model)), benchmark.measures)
    context = ReportContext(
        title=f"{args.model} on {benchmark.name}",
        lead=f"{len(samples)} samples: {benchmark.summary}.",
        runs=(done,),
        samples=samples,
        measures=benchmark.measures,
        command=command_line(),
        machine=machine(device),
        seconds={"evaluate": seconds},
        settings={
            "segmenter": header.segmenter,
            "answer format": header.answer_format,
            **asked_of(args),
            "batch size": args.batch_size,
            "processes": args.processes,
        },
    )
    content = write_report(out, context)
    if not args.json:
        print(text_table(report, measures=benchmark.measures))
        print(f"\nreport: {out / 'report.html'}")
    return content


def _save_images(
    args: argparse.Namespace, samples: Sequence[Sample], records: Sequence[PredictionRecord], out: Path
) -> None:
    from tqdm import tqdm

    from thinkseg.evaluation.reporting.export import save_masks, save_overlays

    if args.save_masks:
        for _ in tqdm(save_masks(out / "masks", records), "masks", len(records), file=sys.stderr):
            pass
    if args.save_overlays:
        for _ in tqdm(save_overlays(out / "overlays", records, samples), "overlays", len(records), file=sys.stderr):
            pass
