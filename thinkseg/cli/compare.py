"""``thinkseg compare``: two or more evaluations of the same samples side by side, with how sure the differences are."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.evaluation.records import PredictionRecord, RunHeader
    from thinkseg.types import Sample

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
        "--out", type=Path, metavar="DIR", help="write comparison.html, comparison.json, table.md and table.tex there"
    )
    parser.add_argument("--data", type=Path, metavar="ROOT", help="where the data set is now, for the page's images")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON in place of the table")


def run(args: argparse.Namespace) -> int:
    """Compare the runs, print a table or JSON, and write the files that were asked for."""
    from thinkseg.evaluation.comparison.runs import compare_runs, to_json
    from thinkseg.evaluation.provenance import command_line
    from thinkseg.evaluation.record_file import write_json
    from thinkseg.evaluation.reporting.comparison_page import Context, comparison_html, text_table
    from thinkseg.evaluation.reporting.latex_tables import rows_of, write_rows
    from thinkseg.evaluation.run import Run

    if len(args.runs) < 2:
        raise InputError("'thinkseg compare' needs at least two folders of evaluations")
    names = _names(args)
    runs = [Run.open(folder, name) for folder, name in zip(args.runs, names, strict=True)]
    headers = [one.header for one in runs]
    comparison = compare_runs(runs, args.seed)
    content = to_json(comparison) | {"warning": (warning := _warning(headers, names)), "command": command_line()}
    print(json.dumps(content, ensure_ascii=False) if args.json else text_table(comparison))
    if warning and not args.json:
        print(f"\n{warning}")
    if args.out is not None:
        samples = _samples(headers[0], comparison.runs[0].records, args.data)
        args.out.mkdir(parents=True, exist_ok=True)
        page = comparison_html(comparison, Context(command_line(), samples, warning, args.seed))
        (args.out / "comparison.html").write_text(page, encoding="utf-8")
        rows = {name: metrics for one in runs for name, metrics in rows_of(one.report, one.name).items()}
        write_rows(args.out, rows, list(dict.fromkeys(name for metrics in rows.values() for name in metrics)))
        write_json(args.out / "comparison.json", content)
        if not args.json:
            print(f"\nreport: {args.out / 'comparison.html'}")
    return DONE


def _names(args: argparse.Namespace) -> list[str]:
    """What the runs are called: as asked for, or as much of their paths as tells them apart."""
    if args.names is not None:
        names = [name.strip() for name in args.names.split(",")]
    else:
        paths = [folder.resolve() for folder in args.runs]
        depth = next((n for n in range(1, 9) if len({path.parts[-n:] for path in paths}) == len(paths)), 9)
        names = ["/".join(path.parts[-depth:]) for path in paths]
    if len(names) != len(args.runs) or len(set(names)) != len(names) or not all(names):
        raise InputError(f"{len(args.runs)} runs need as many names, all different; found {', '.join(names)}")
    return names


def _warning(headers: Sequence[RunHeader], names: Sequence[str]) -> str:
    """What makes the numbers of these runs different besides the models."""
    differing = []
    for field in ("benchmark", "protocol", "seed", "segmenter", "answer_format"):
        values = [str(getattr(header, field)) for header in headers]
        if len(set(values)) > 1:
            told = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            differing.append(f"{field.replace('_', ' ')} ({told})")
    return f"The runs differ in more than the model: {'; '.join(differing)}." if differing else ""


def _samples(header: RunHeader, records: Sequence[PredictionRecord], root: Path | None) -> Sequence[Sample] | None:
    """The samples behind the records, for the images; None where they are not at hand."""
    from thinkseg.evaluation.benchmarks import LoadOptions, load_benchmark

    root = root if root is not None else Path(header.data) if header.data else None
    try:
        _, samples = load_benchmark(header.benchmark, LoadOptions(len(records), header.seed, root), header.protocol)
        same = len(samples) == len(records) and samples[len(records) - 1].id == records[-1].id
    except InputError:
        return None
    return samples if same else None
