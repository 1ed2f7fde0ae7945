"""``thinkseg evaluate``: a model on a benchmark, with a report.

It writes ``predictions.jsonl`` (a line per sample), ``run.json`` (what was run), ``report.json`` and ``report.html``
into the output folder; with several benchmarks, into a folder of its name for each. Started again, it goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.evaluation.benchmarks import Benchmark
    from thinkseg.evaluation.shards import Shard
    from thinkseg.models.pipeline import Pipeline
    from thinkseg.types import Sample

EXAMPLE = """\
benchmarks:
  scenes    pocket scenes that no training scene shares a cut-out or background with (512; offline)
  folder    your own: pictures in ROOT/images, masks in ROOT/masks; asks for the main object

data sets that lie below ROOT ('thinkseg data list' tells where to get them, and how they have to lie):
  camouflaged   cod10k camo chameleon nc4k
  dichotomous   dis-vd dis-te1 dis-te2 dis-te3 dis-te4
  salient       duts dut-omron hku-is ecssd
  referring     refcoco-val refcoco-testa refcoco-testb refcoco+-val refcoco+-testa refcoco+-testb
                refcocog-val refcocog-test
  several, none grefcoco-val grefcoco-testa grefcoco-testb
  reasoning     reasonseg-val reasonseg-test
  boxes         coco-detection (COCO val2017); folder-detection (ROOT/annotations.json, ROOT/images)
  counts        pixmo-count pixmo-count-val countbench

protocols, to hold a number against a table that was not made by the benchmark's rules (docs/protocols.md):
  referring, reasoning: lisa (as the default), seg-zero, vision-reasoner, seg-r1
  boxes, counts: vision-reasoner

examples:
  thinkseg evaluate scenes --model pocket --out runs/start
  thinkseg evaluate scenes --model runs/rl/final --segmenter grabcut --limit 64 --out runs/try --json
  thinkseg evaluate scenes --model pocket --shard 2/4 --out runs/start
  thinkseg evaluate folder --data my_pictures --out runs/mine
  thinkseg evaluate coco-detection --data data --model runs/rl/final --out runs/boxes
  thinkseg evaluate refcoco-testa --protocol seg-zero --data data --model runs/rl/final --out runs/as_seg_zero
  thinkseg evaluate cod10k camo reasonseg-val --data data --model runs/rl/final --out runs/hidden"""

DONE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("benchmarks", metavar="BENCHMARK", nargs="+", help="names of benchmarks, listed below")
    parser.add_argument(
        "--model", default="pocket", help="the reasoner: 'pocket', a checkpoint folder or a hub id (default: pocket)"
    )
    parser.add_argument(
        "--segmenter", help="'pocket', 'grabcut', a folder or a hub id (default: the one the model was trained with)"
    )
    parser.add_argument("--format", help="answer format, e.g. seg-r1 (default: what the model's thinkseg.json says)")
    parser.add_argument("--data", type=Path, metavar="ROOT", help="where the data sets are, for benchmarks on disk")
    parser.add_argument(
        "--protocol", default="default", help="by whose rules it is scored (default: those of the benchmark's authors)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N samples")
    parser.add_argument(
        "--batch-size", type=int, default=16, metavar="N", help="samples that the model gets at a time (default: 16)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of benchmarks that are composed, not read (default: 0)")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="only part I of N; the last part to end reports")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--device", default="auto", help="'auto', 'cpu', 'cuda', 'cuda:1', … (default: auto)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON in place of the table")


def run(args: argparse.Namespace) -> int:
    """Evaluate every benchmark named and print a table, or JSON, for each."""
    from thinkseg.evaluation.benchmarks import LoadOptions, load_benchmark
    from thinkseg.evaluation.shards import Shard

    if args.batch_size < 1:
        raise InputError(f"a batch has at least 1 sample, found {args.batch_size}")
    names = list(dict.fromkeys(args.benchmarks))
    shard = Shard.parse(args.shard)
    options = LoadOptions(args.limit, args.seed, args.data)
    loaded = [load_benchmark(name, options, args.protocol) for name in names]  # before a model is loaded
    pipeline = _load(args)
    printed = {}
    for benchmark, samples in loaded:
        out = args.out / benchmark.name if len(loaded) > 1 else args.out
        report = evaluate_benchmark(args, pipeline, benchmark, samples, out, shard)
        if report is not None:
            printed[benchmark.name] = report
    if args.json:
        print(json.dumps(printed if len(loaded) > 1 else printed.get(names[0]), ensure_ascii=False))
    return DONE


def evaluate_benchmark(
    args: argparse.Namespace,
    pipeline: Pipeline,
    benchmark: Benchmark,
    samples: Sequence[Sample],
    out: Path,
    shard: Shard,
) -> dict[str, Any] | None:
    """Run one benchmark and report; None while other shards are not whole yet."""
    from thinkseg.evaluation.evaluate import create_header, evaluate, summarize
    from thinkseg.evaluation.machine import command_line, device_of, machine
    from thinkseg.evaluation.progress import ProgressBar
    from thinkseg.evaluation.records import read_records
    from thinkseg.evaluation.report import Run, Story, write_report
    from thinkseg.evaluation.shards import merge_shards
    from thinkseg.evaluation.tables import text_table

    answer_format = pipeline.answer_format.name
    header = create_header(
        benchmark.name,
        args.model,
        args.segmenter,
        answer_format,
        args.seed,
        protocol=args.protocol,
        data="" if args.data is None else str(args.data.resolve()),
    )
    began = time.monotonic()
    with ProgressBar(benchmark.name) as bar:
        report = evaluate(
            pipeline,
            samples,
            out,
            header,
            batch_size=args.batch_size,
            shard=shard,
            progress=bar.update,
            measures=benchmark.measures,
            details=benchmark.details,
        )
    seconds = time.monotonic() - began
    if shard.count > 1:
        merged = merge_shards(out, shard.count, len(samples))
        if merged is None:
            print(
                f"part {shard.index} of {shard.count} is done; the last part to end writes the report", file=sys.stderr
            )
            return None
        report = summarize(header, merged, benchmark.measures)
    story = Story(
        title=f"{args.model} on {benchmark.name}",
        lead=f"{len(samples)} samples: {benchmark.summary}.",
        runs=(Run(str(args.model), report, read_records(out / "predictions.jsonl")),),
        samples=samples,
        measures=benchmark.measures,
        command=command_line(),
        machine=machine(device_of(pipeline)),
        seconds={"evaluate": seconds},
        settings={"segmenter": header.segmenter, "answer format": answer_format, "batch size": args.batch_size},
    )
    content = write_report(out, story)
    if not args.json:
        print(text_table(report, measures=benchmark.measures))
        print(f"\nreport: {out / 'report.html'}")
    return content


def _load(args: argparse.Namespace) -> Pipeline:
    from thinkseg.models.pipeline import load_pipeline

    print(f"loading {args.model} …", file=sys.stderr)
    return load_pipeline(args.model, args.segmenter, args.format, device=args.device, batch_size=args.batch_size)
