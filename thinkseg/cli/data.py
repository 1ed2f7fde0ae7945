"""``thinkseg data``: which data sets are known, what is wrong with a copy, ready-made rows, and pictures of samples."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import DataError, InputError

if TYPE_CHECKING:
    from thinkseg.data.catalog import DataSet
    from thinkseg.data.check import CopyReport
    from thinkseg.data.listing import Listing

EXAMPLE = """\
what it does ('thinkseg data ACTION --help' says more):
  list      the data sets that are known: splits, published counts, where to get them, the folders expected
  check     every fault of a copy, by kind and file: exit code 1 if there is one; the copy is only read
  show      samples as one picture, with masks, requests, boxes and points
  prepare   a split as Parquet files that hold the pictures and masks; goes on where it was stopped

data of your own: a CSV, TSV or JSONL file with the columns image, mask, query; or two folders, of pictures and of
masks; or pictures and a file of COCO instances.

examples:
  thinkseg data list cod10k
  thinkseg data check /data/COD10K-v3
  thinkseg data check /data --dataset refcoco --split val --json
  thinkseg data check photos --images shots --masks outlines --allow non-binary
  thinkseg data show /data --dataset duts --split test --out sheet.png
  thinkseg data prepare my_table.csv --split train --out rows"""

DONE, FAULTY = 0, 1

Chosen = list[tuple["DataSet | None", dict[str, "Listing"]]]
"""Data sets with their splits; None for data of one's own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments: one parser for each action."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")

    known = actions.add_parser("list", help="the data sets that are known", allow_abbrev=False)
    known.add_argument("name", metavar="NAME", nargs="?", help="only this one, with the folders that it should have")
    known.add_argument("--json", action="store_true", help="print JSON")

    check = actions.add_parser("check", help="what is wrong with a copy", allow_abbrev=False)
    _add_choice(check)
    check.add_argument(
        "--allow", metavar="KIND", action="append", default=[], help="a kind of fault that is no reason to exit with 1"
    )
    check.add_argument("--names", type=int, default=10, metavar="N", help="files to name of each kind (default: 10)")
    check.add_argument("--workers", type=int, metavar="N", help="threads (default: one for each CPU, at most 8)")
    check.add_argument("--json", action="store_true", help="print JSON, with all files")

    show = actions.add_parser("show", help="samples as one picture", allow_abbrev=False)
    _add_choice(show)
    show.add_argument("--out", type=Path, required=True, metavar="FILE", help="the picture to write, .png or .jpg")
    show.add_argument("--count", type=int, default=12, metavar="N", help="samples, evenly spread (default: 12)")
    show.add_argument("--columns", type=int, default=4, metavar="N", help="samples in a row (default: 4)")

    prepare = actions.add_parser("prepare", help="a split as Parquet files", allow_abbrev=False)
    _add_choice(prepare)
    prepare.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    prepare.add_argument("--rows-per-file", type=int, default=500, metavar="N", help="(default: 500)")
    prepare.add_argument("--longest-side", type=int, metavar="PX", help="shrink larger pictures (default: keep them)")
    prepare.add_argument("--skip-faulty", action="store_true", help="leave out what cannot be read, and say how many")
    prepare.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> int:
    """Do what the action says."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": run_list,
        "check": run_check,
        "show": run_show,
        "prepare": run_prepare,
    }
    return actions[args.action](args)


def run_list(args: argparse.Namespace) -> int:
    """Print the table of data sets, or all about one."""
    from thinkseg.data.catalog import DATA_SETS, known

    chosen = [known(args.name)] if args.name else list(DATA_SETS.values())
    if args.json:
        print(json.dumps([_record(data_set) for data_set in chosen], ensure_ascii=False, indent=2))
    elif args.name:
        print(_description(chosen[0]))
    else:
        rows = [
            ("NAME", "TASK", "SPLITS", "LICENCE", "GET IT FROM"),
            *((row.name, row.task, _split_counts(row), row.licence, row.source) for row in chosen),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        print("\nand data of your own: a table, two folders, or COCO instances ('thinkseg data --help')")
    return DONE


def run_check(args: argparse.Namespace) -> int:
    """Print every fault; 1 when there is one of a kind that is not allowed."""
    from thinkseg.data.check import check_copy
    from thinkseg.data.listing import FaultKind

    unknown = set(args.allow) - set(FaultKind)
    if unknown:
        raise InputError(f"there is no fault '{min(unknown)}' to allow; the kinds are: {', '.join(FaultKind)}")
    root = args.root if args.root.is_dir() else args.root.parent
    reports = []
    for data_set, listings in choose(args):
        with _Bar(f"check {data_set.name if data_set else 'own data'}", "sample") as bar:
            report = check_copy(
                root, listings, data_set, whole=not args.split, workers=args.workers, progress=bar.update
            )
        reports.append(report)
    refused = sum(count for report in reports for kind, count in report.counts.items() if kind not in args.allow)
    if args.json:
        print(json.dumps({"refused": refused, "sets": [report.to_json() for report in reports]}, ensure_ascii=False))
    else:
        print("\n\n".join(_report_text(report, args.names) for report in reports))
    return FAULTY if refused else DONE


def run_show(args: argparse.Namespace) -> int:
    """Write the contact sheet and say where it is."""
    from thinkseg.data.sheets import sample_sheet

    if args.count < 1 or args.columns < 1:
        raise InputError(f"expected at least 1 sample and 1 column, found {args.count} and {args.columns}")
    if args.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"the picture should be named .png or .jpg, found '{args.out}'")
    listing = choose_one(args)
    count = min(args.count, len(listing))
    samples = [listing[index * len(listing) // count] for index in range(count)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sample_sheet(samples, columns=args.columns).save(args.out)
    print(f"{count} of {len(listing)} samples of {listing.name}: {args.out}")
    return DONE


def run_prepare(args: argparse.Namespace) -> int:
    """Write the rows and say what was written."""
    from thinkseg.data.prepare import Settings, prepare

    if args.rows_per_file < 1 or (args.longest_side is not None and args.longest_side < 1):
        raise InputError("'--rows-per-file' and '--longest-side' should be at least 1")
    listing = choose_one(args)
    if not args.skip_faulty:
        listing.whole()
    settings = Settings(args.rows_per_file, args.longest_side, args.skip_faulty)
    with _Bar(f"prepare {listing.name}", "row") as bar:
        made = prepare(listing, args.out, args.split or "train", settings, bar.update)
    if args.json:
        content = {"folder": str(made.folder), "files": [file.name for file in made.files], "rows": made.rows,
                   "left_out": list(made.left_out)}  # fmt: skip
        print(json.dumps(content, ensure_ascii=False))
    else:
        print(f"{made.rows} rows in {len(made.files)} files: {made.folder}")
        if made.left_out:
            print(f"left out, since they cannot be read: {', '.join(made.left_out)}")
    return DONE


def choose(args: argparse.Namespace) -> Chosen:
    """The data sets, each with its splits, that the arguments mean."""
    from thinkseg.data.finding import find_listings

    return find_listings(
        args.root,
        args.dataset,
        args.split,
        images=args.images,
        masks=args.masks,
        annotations=args.annotations,
        query=args.query,
    )


def choose_one(args: argparse.Namespace) -> Listing:
    """The one split that the arguments mean, with at least one sample.

    Raises:
        DataError: there are several, or none.
    """
    found = {
        f"--dataset {data_set.name} --split {split}" if data_set else split: listing
        for data_set, listings in choose(args)
        for split, listing in listings.items()
    }
    if len(found) != 1:
        raise DataError(f"found several splits; say which one: {' or '.join(found)}")
    (listing,) = found.values()
    if not len(listing):
        raise DataError(f"found no sample in '{args.root}'; 'thinkseg data check' says why")
    return listing


def _add_choice(parser: argparse.ArgumentParser) -> None:
    """What to look at: the same for every action."""
    parser.add_argument("root", metavar="ROOT", type=Path, help="a folder of data, or a table")
    parser.add_argument(
        "--dataset", metavar="NAME", default="", help="which data set it is (default: look what is there)"
    )
    parser.add_argument("--split", metavar="SPLIT", default="", help="only this split")
    parser.add_argument("--images", metavar="DIR", default="", help="the folder of pictures, from ROOT on")
    parser.add_argument("--masks", metavar="DIR", default="", help="the folder of masks, from ROOT on")
    parser.add_argument("--annotations", metavar="FILE", default="", help="a file of COCO instances, from ROOT on")
    parser.add_argument("--query", metavar="TEXT", default="", help="what is asked, where the data have no words")


def _report_text(report: CopyReport, names: int) -> str:
    """A report for people."""
    lines = [f"{report.name} in {report.root}"]
    for split in report.splits:
        published = "" if split.expected is None else f" ({split.expected:,} {split.unit} were published)"
        lines.append(f"  {split.split}: {split.samples:,} samples, {split.pictures:,} pictures{published}")
    for kind, count in report.counts.items():
        lines.append(f"\n  {kind}: {count:,} × {kind.meaning}")
        faults = [fault for fault in report.faults if fault.kind is kind]
        lines += [f"    {fault.where}{f': {fault.detail}' if fault.detail else ''}" for fault in faults[:names]]
        if count > names:
            lines.append(f"    and {count - names:,} more (--names {count}, or --json)")
    if not report.faults:
        lines.append("  no fault")
    return "\n".join(lines)


def _split_counts(data_set: DataSet) -> str:
    return ", ".join(
        f"{name} {split.count:,}" if split.count is not None else name for name, split in data_set.splits.items()
    )


def _description(data_set: DataSet) -> str:
    """All about one data set."""
    from thinkseg.data.catalog import expected_tree

    unit = "pictures" if data_set.unit == "pictures" else "samples"
    return "\n".join(
        [
            f"{data_set.name}: {data_set.title}",
            f"  task      {data_set.task}",
            f"  splits    {_split_counts(data_set)} ({unit})",
            f"  asks      {data_set.query if data_set.layout in ('folders', 'coco') else 'its own words'}",
            f"  get it    {data_set.source}",
            f"  licence   {data_set.licence}",
            "  expected  (capitals, dots, dashes and underscores do not count; * stands for anything)",
            *(f"    {line}" for line in expected_tree(data_set)),
        ]
    )


def _record(data_set: DataSet) -> Mapping[str, Any]:
    from thinkseg.data.catalog import expected_tree

    return {
        "name": data_set.name,
        "title": data_set.title,
        "layout": data_set.layout,
        "task": data_set.task,
        "splits": {name: split.count for name, split in data_set.splits.items()},
        "unit": data_set.unit,
        "source": data_set.source,
        "licence": data_set.licence,
        "expected": list(expected_tree(data_set)),
    }


class _Bar:
    """A progress bar on stderr."""

    def __init__(self, title: str, unit: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=title, unit=unit, file=sys.stderr, dynamic_ncols=True)

    def update(self, done: int, total: int) -> None:
        """Move to `done` of `total`."""
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
