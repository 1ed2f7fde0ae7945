"""``thinkseg compare``: two or more evaluations of the same samples side by side, with how sure the differences are."""

import argparse
import json
from pathlib import Path

from thinkseg.cli.data_choice import data_path

EXAMPLE = """\
RUN is a folder that 'thinkseg evaluate' has written. The samples are matched by their ids, and runs over different ones
are refused. Differences are to the first run, with their 95 % interval by a paired bootstrap.

examples:
  thinkseg compare runs/start runs/trained
  thinkseg compare runs/start runs/sft runs/rl --names start,SFT,RL --out runs/comparison"""

DONE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="folders of evaluations, two or more")
    parser.add_argument("--names", metavar="A,B,…", help="what the runs are called (default: by their folders)")
    parser.add_argument(
        "--measures", metavar="A,B,…", help="names of measures, or FILE.py:NAME (default: those of the benchmark)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write comparison.html, comparison.json, table.md and table.tex there"
    )
    parser.add_argument(
        "--data", type=data_path, metavar="ROOT", help="where the data set is now, for the page's images"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON in place of the table")


def run(args: argparse.Namespace) -> int:
    """Compare the runs, print a table or JSON, and write the files that were asked for."""
    from thinkseg.api.compare import compare
    from thinkseg.evaluation.provenance import command_line

    comparison = compare(
        args.runs,
        names=listed(args.names),
        measures=listed(args.measures),
        seed=args.seed,
        out=args.out,
        data=args.data,
    )
    if args.json:
        print(json.dumps(comparison.to_json() | {"command": command_line()}, ensure_ascii=False))
        return DONE
    print(comparison)
    if comparison.warning:
        print(f"\n{comparison.warning}")
    if args.out is not None:
        print(f"\nreport: {args.out / 'comparison.html'}")
    return DONE


def listed(words: str | None) -> list[str] | None:
    """Names with commas between; None where nothing is said."""
    return None if words is None else [word.strip() for word in words.split(",")]
