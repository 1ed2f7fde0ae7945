"""``thinkseg evaluate``: a model on a benchmark, with a report.

It writes ``predictions.jsonl`` (a line per sample), ``run.json`` (what was run), ``report.json``, ``report.html``, and
rows for a paper (``table.md``, ``table.tex``) into the output folder; with several benchmarks, into a folder of its
name for each. Started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.cli.compare import listed
from thinkseg.cli.data_choice import add_own_data, data_path, own_data_from
from thinkseg.cli.model_flags import add_model_flags, config_from_flags, engine_from_flags, load_aloud
from thinkseg.cli.parser import detail_group
from thinkseg.data.discovery.catalog import benchmark_splits
from thinkseg.errors import InputError
from thinkseg.evaluation.benchmarks import BENCHMARKS, OWN_DATA
from thinkseg.extension import is_reference

if TYPE_CHECKING:
    from thinkseg.evaluation.plan import EvaluationPlan
    from thinkseg.evaluation.run import Run


def known_benchmarks() -> str:
    """The benchmarks that have a line of their own, the others by their kind, and the protocols, from the records."""
    own = {name: benchmark.summary for name, benchmark in BENCHMARKS.items() if not benchmark.listed_as}
    kinds: dict[str, list[str]] = {}
    protocols: dict[tuple[str, ...], list[str]] = {}
    for name, benchmark in BENCHMARKS.items():
        kind = benchmark.listed_as or name
        kinds.setdefault(kind, []).append(name)
        by_rules = protocols.setdefault(tuple(one for one in benchmark.protocols if one != "default"), [])
        by_rules += [] if kind in by_rules else [kind]
    splits = Counter(data_set.name for _, data_set, _ in benchmark_splits())
    several = {"all splits": [name for name, count in splits.items() if count > 1]}
    return "\n".join(
        [
            "benchmarks:",
            *(f"  {name:17} {summary}" for name, summary in own.items()),
            "  FILE.py:NAME      one of your own; thinkseg.evaluation.benchmarks says how to write it",
            "",
            "data sets that lie below ROOT ('thinkseg data list' tells where to get them, and how they have to lie):",
            *(_listed(kind, names) for kind, names in (kinds | several).items() if kind not in own),
            "",
            "protocols, for a number to hold against a table that was made by other rules (docs/protocols.md):",
            *(f"  {', '.join(kinds)}: {', '.join(names)}" for names, kinds in protocols.items() if names),
        ]
    )


def _listed(head: str, names: Sequence[str]) -> str:
    return textwrap.fill(
        " ".join(names), 78, initial_indent=f"  {head:14}", subsequent_indent=" " * 16, break_on_hyphens=False
    )


EXAMPLE = f"""\
{known_benchmarks()}

examples:
  thinkseg evaluate scenes --model pocket --out runs/start
  thinkseg evaluate scenes --model runs/rl/final --segmenter grabcut --limit 64 --out runs/try --json
  thinkseg evaluate cod10k --data data --model runs/rl/final --processes 8 --save-masks --out runs/cod10k
  thinkseg evaluate scenes --model pocket --shard 2/4 --out runs/start
  torchrun --nproc-per-node 8 -m thinkseg evaluate refcoco --data data --model runs/rl/final --out runs/refcoco
  thinkseg evaluate --data my_images --query 'the crack' --out runs/mine
  thinkseg evaluate --data parts/test.csv --model runs/rl/final --out runs/mine
  thinkseg evaluate my_benchmarks.py:corners --model runs/rl/final --out runs/corners
  thinkseg evaluate coco-detection --data data --model runs/rl/final --out runs/boxes
  thinkseg evaluate refcoco-testa --protocol seg-zero --data data --model runs/rl/final --out runs/as_seg_zero
  thinkseg evaluate cod10k camo reasonseg-val --data data --model runs/rl/final --out runs/hidden
  thinkseg evaluate reasonseg-test --model geshang/Seg-R1-7B --protocol seg-r1 --explain"""

LONG = True
DONE = 0
NAMED = 10
"""So many files of each kind that could not be used are named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "benchmarks",
        metavar="BENCHMARK",
        nargs="*",
        help="names of benchmarks, as --help-all lists them; none for your own data, which --data names",
    )
    parser.add_argument(
        "--data", type=data_path, metavar="ROOT", help="where the data sets are, or your own: a table, a folder, rows"
    )
    own = detail_group(parser, "data of your own", "What is said of --data where its files do not say it.")
    add_own_data(own)
    own.add_argument(
        "--encoding", metavar="NAME", default="", help="of tables and JSON, such as gbk (default: UTF-8, or as marked)"
    )
    parser.add_argument("--protocol", default="default", help="by whose rules (default: the benchmark's)")
    parser.add_argument(
        "--measures", metavar="A,B,…", help="names of measures, or FILE.py:NAME (default: the benchmark's)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N samples")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="only print which choices are those of the published numbers",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON in place of the table")
    drawn = detail_group(parser, "images that are written")
    drawn.add_argument("--save-masks", action="store_true", help="write the predicted masks to DIR/masks, as PNG")
    drawn.add_argument("--save-overlays", action="store_true", help="write images with their masks to DIR/overlays")
    work = detail_group(parser, "how the work is done")
    work.add_argument(
        "--batch-size", type=int, default=16, metavar="N", help="samples that the model gets at a time (default: 16)"
    )
    work.add_argument("--seed", type=int, default=0, help="of benchmarks that are composed, not read (default: 0)")
    work.add_argument("--processes", type=int, default=1, metavar="N", help="that share the samples (default: 1)")
    work.add_argument("--shard", metavar="I/N", help="only part I of N; the last part to end reports")
    add_model_flags(parser)


def run(args: argparse.Namespace, load: Callable[..., Any] = load_aloud) -> int:
    """Evaluate every benchmark named and print a table, or JSON, for each; the models are loaded by `load`."""
    if args.explain:
        return _explain(plan_from_flags(args, load), as_json=args.json)
    if args.out is None:
        raise InputError("results need a folder: say --out DIR, or --explain to run nothing")
    from thinkseg.evaluation.job import run_plan
    from thinkseg.evaluation.reporting.run_report import read_in_words
    from thinkseg.evaluation.reporting.tables import text_table
    from thinkseg.writing import json_text

    printed, evaluated = {}, run_plan(plan_from_flags(args, load))
    for one in evaluated:
        run, shard = one.run, one.run.shard
        if one.report is not None:
            printed[run.header.benchmark] = one.report
            _name_bad_files(run)
            if not args.json:
                assert run.folder is not None
                print(text_table(run.report, measures=run.measures))
                for sentence in read_in_words(run.header.answer_format):
                    print(f"\n{sentence}")
                print(f"\nreport: {run.folder / 'report.html'}")
        elif args.shard is not None:
            told = f"part {shard.index} of {shard.count} is done; the last part to end writes the report"
            print(told, file=sys.stderr)
    if args.json and printed:
        print(json_text(printed if len(evaluated) > 1 else next(iter(printed.values()))))
    return DONE


def _explain(plan: EvaluationPlan, *, as_json: bool) -> int:
    """Print how the runs compare with published ones."""
    from thinkseg.evaluation.explaining import explained_text
    from thinkseg.writing import json_text

    runs = plan.explained()
    if as_json:
        rows = {run.benchmark: run.rows() for run in runs}
        print(json_text(rows if len(runs) > 1 else runs[0].rows()))
    else:
        print("\n\n".join(explained_text(run) for run in runs))
    return DONE


def _name_bad_files(run: Run) -> None:
    """Tell which images could not be asked about, which had no answer, and which true masks could not be read."""
    failed = [(record.failure, record.failure_detail) for record in run.records if record.failure is not None]
    images = [detail for failure, detail in failed if failure.of_image]
    truths = [detail for failure, detail in failed if failure.of_truth]
    unanswered = [detail for failure, detail in failed if failure.of_engine]
    for details, told, names in (
        (images, "counted as an empty mask", "unreadable_image or refused_image"),
        (truths, "left out of every measure", "unreadable_truth"),
        (unanswered, "counted as an empty mask", "unanswered"),
    ):
        for detail in details[:NAMED]:
            print(f"{told}: {detail}", file=sys.stderr)
        if len(details) > NAMED:
            print(f"{len(details) - NAMED} more are in predictions.jsonl, as {names}", file=sys.stderr)
    if truths:
        print(
            f"{len(truths)} of {len(run.records)} samples are left out: their true masks are not known; "
            "'thinkseg data check' finds such files beforehand",
            file=sys.stderr,
        )


def plan_from_flags(args: argparse.Namespace, load: Callable[..., Any]) -> EvaluationPlan:
    """What the flags ask for."""
    from thinkseg.evaluation.benchmarks import LoadOptions
    from thinkseg.evaluation.parallel.shards import Shard
    from thinkseg.evaluation.plan import EvaluatedModel, EvaluationPlan
    from thinkseg.evaluation.provenance import command_line

    if not args.benchmarks and args.data is None:
        raise InputError("say which benchmark, such as 'scenes', or with --data which data of your own")
    misplaced = next((name for name in args.benchmarks if name not in BENCHMARKS and os.path.exists(name)), None)
    if misplaced is not None and not is_reference(misplaced) and args.data is None:
        raise InputError(
            f"'{misplaced}' is no benchmark but a path: say --data {shlex.quote(misplaced)} for your own data"
        )
    return EvaluationPlan(
        benchmarks=args.benchmarks or [OWN_DATA],
        model=EvaluatedModel(
            args.model, config_from_flags(args), args.device, args.dtype, load, engine_from_flags(args)
        ),
        out=args.out,
        options=LoadOptions(args.limit, args.seed, args.data, args.encoding, **own_data_from(args)),
        protocol=args.protocol,
        batch_size=args.batch_size,
        processes=args.processes,
        shard=None if args.shard is None else Shard.parse(args.shard),
        images=frozenset(name for name in ("masks", "overlays") if getattr(args, f"save_{name}")),
        measures=None if args.measures is None else tuple(listed(args.measures) or ()),
        command=command_line(),
    )
