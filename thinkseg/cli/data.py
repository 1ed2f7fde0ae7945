"""``thinkseg data``: which data sets are known, what is wrong with a copy, ready-made rows, and images of samples."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.cli.data_choice import add_choice, choose, choose_one
from thinkseg.cli.data_download import add_download_arguments, run_download
from thinkseg.cli.data_prepare import add_prepare_arguments, run_prepare
from thinkseg.cli.data_split import add_split_arguments, counted, run_split
from thinkseg.errors import InputError
from thinkseg.extension import is_reference
from thinkseg.meter import Meter

if TYPE_CHECKING:
    from thinkseg.data.discovery.catalog import DataSet
    from thinkseg.data.validation.check import CopyReport

EXAMPLE = """\
what it does ('thinkseg data ACTION --help' says more):
  list      the data sets that are known: splits, published counts, where to get them, the folders expected
  download  one of them into a folder, where its terms let a program do so; else where to go and what to put where
  check     every fault of a copy, by kind and file: exit code 1 if there is one; the copy is only read
  show      samples as one image, with masks, requests, boxes and points
  split     two parts, to learn from and to measure on; no image is in both
  prepare   a split as Parquet files that hold the images and masks, or as the rows that Seg-Zero and VisionReasoner
            train on; goes on where it was stopped

data of your own: a CSV, TSV or JSONL file with the columns image, mask, query; or two folders, of images and of
masks; or what a tool for annotation has written (COCO JSON, YOLO, labelme, Label Studio, CVAT, Pascal VOC, masks by
colour), found by itself or named with --dataset (docs/data/formats.md). Prepared and published rows are read, too. Or
code of your own, named as FILE.py:NAME: a function that gives samples (docs/data/own.md).

examples:
  thinkseg data list cod10k
  thinkseg data download coco --split val2017 --out data
  thinkseg data check /data/COD10K-v3
  thinkseg data check /data --dataset refcoco --split val --json
  thinkseg data check photos --images shots --masks outlines --allow non-binary
  thinkseg data check my_data.py:load --option folder=photos
  thinkseg data show /data --dataset duts --split test --out sheet.png
  thinkseg data split my_table.csv --test 0.2 --group patient --out parts
  thinkseg data split photos --query 'the crack' --out parts
  thinkseg data prepare my_table.csv --split train --out rows
  thinkseg data prepare /data --dataset refcocog --split train --schema seg-zero --resize 840 \\
      --keep-iou 0.6 --segmenter facebook/sam2.1-hiera-large --out rows/refcocog-840
  thinkseg data show rows/refcocog-840 --out sheet.png"""

DONE, FAULTY = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments: one parser for each action."""
    actions = parser.add_subparsers(
        dest="action", metavar="{list,download,check,show,split,prepare}", required=True, title="actions"
    )

    known = actions.add_parser("list", help="the data sets that are known", allow_abbrev=False)
    known.add_argument("name", metavar="NAME", nargs="?", help="only this one, with the folders that it should have")
    known.add_argument("--json", action="store_true", help="print JSON")

    download = actions.add_parser("download", help="a known data set into a folder", allow_abbrev=False)
    add_download_arguments(download)

    check = actions.add_parser("check", help="what is wrong with a copy", allow_abbrev=False)
    add_choice(check)
    check.add_argument(
        "--allow", metavar="KIND", action="append", default=[], help="a kind of fault that is no reason to exit with 1"
    )
    check.add_argument("--names", type=int, default=10, metavar="N", help="files to name of each kind (default: 10)")
    check.add_argument("--workers", type=int, metavar="N", help="threads (default: one for each CPU, at most 8)")
    check.add_argument("--json", action="store_true", help="print JSON, with all files")

    show = actions.add_parser("show", help="samples as one image", allow_abbrev=False)
    add_choice(show)
    show.add_argument("--out", type=Path, required=True, metavar="FILE", help="the image to write, .png or .jpg")
    show.add_argument("--count", type=int, default=12, metavar="N", help="samples, evenly spread (default: 12)")
    show.add_argument("--columns", type=int, default=4, metavar="N", help="samples in a row (default: 4)")

    split = actions.add_parser("split", help="two parts of your data, by image", allow_abbrev=False)
    add_split_arguments(split)

    prepare = actions.add_parser("prepare", help="a split as Parquet files", allow_abbrev=False)
    add_prepare_arguments(prepare)


def run(args: argparse.Namespace, **parts: Any) -> int:
    """Do what the action says.

    Args:
        args: the flags.
        parts: what `run_download` takes besides, in place of its own.
    """
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": run_list,
        "download": lambda words: run_download(words, **parts),
        "check": run_check,
        "show": run_show,
        "split": run_split,
        "prepare": run_prepare,
    }
    return actions[args.action](args)


def run_list(args: argparse.Namespace) -> int:
    """Print the table of data sets, or all about one."""
    from thinkseg.data.discovery.catalog import DATA_SETS, known
    from thinkseg.data.discovery.formats import FORMATS

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
        print("\nand data of your own: a table, two folders ('thinkseg data --help'), or")
        for own in FORMATS.values():
            print(f"  {own.name.ljust(widths[0])}  {own.title}")
    return DONE


def run_check(args: argparse.Namespace) -> int:
    """Print every fault; 1 when there is one of a kind that is not allowed."""
    from thinkseg.data.listing import FaultKind
    from thinkseg.data.validation.check import check_copy

    unknown = set(args.allow) - set(FaultKind)
    if unknown:
        raise InputError(f"there is no fault '{min(unknown)}' to allow; the kinds are: {', '.join(FaultKind)}")
    root = args.root if args.root.is_dir() or is_reference(str(args.root)) else args.root.parent
    reports = []
    for data_set, listings in choose(args):
        with Meter(f"check {data_set.name if data_set else 'own data'}", "sample") as meter:
            report = check_copy(
                root, listings, data_set, whole=not args.split, workers=args.workers, progress=meter.move
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
    from thinkseg.data.preview import listing_sheet

    if args.count < 1 or args.columns < 1:
        raise InputError(f"expected at least 1 sample and 1 column, found {args.count} and {args.columns}")
    if args.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"the image should be named .png or .jpg, found '{args.out}'")
    listing = choose_one(args)
    count = min(args.count, len(listing))
    indices = [index * len(listing) // count for index in range(count)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    listing_sheet(listing, indices, columns=args.columns).save(args.out)
    print(f"{count} of {len(listing)} samples of {listing.name}: {args.out}")
    return DONE


def _report_text(report: CopyReport, names: int) -> str:
    """A report for people."""
    lines = [f"{report.name} in {report.root}"]
    for split in report.splits:
        published = "" if split.expected is None else f" ({split.expected:,} {split.unit} were published)"
        samples, images = counted(split.samples, "sample"), counted(split.image_count, "image")
        lines.append(f"  {split.split}: {samples}, {images}{published}")
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


def _asked(data_set: DataSet) -> str:
    """What is asked, in words."""
    if data_set.layout == "folders":
        return data_set.query
    return "for the name of a category" if data_set.layout in ("coco", "lvis") else "its own words"


def _description(data_set: DataSet) -> str:
    """All about one data set."""
    from thinkseg.data.discovery.catalog import expected_tree

    unit = "images" if data_set.unit == "images" else "samples"
    return "\n".join(
        [
            f"{data_set.name}: {data_set.title}",
            f"  task      {data_set.task}",
            f"  splits    {_split_counts(data_set)} ({unit})",
            f"  asks      {_asked(data_set)}",
            f"  get it    {_where(data_set)}",
            f"  licence   {data_set.licence}",
            "  expected  (capitals, dots, dashes and underscores do not count; * stands for anything)",
            *(f"    {line}" for line in expected_tree(data_set)),
        ]
    )


def _where(data_set: DataSet) -> str:
    return data_set.source + (f", or: thinkseg data download {data_set.name}" if data_set.archives else "")


def _record(data_set: DataSet) -> Mapping[str, Any]:
    from thinkseg.data.discovery.catalog import expected_tree

    return {
        "name": data_set.name,
        "title": data_set.title,
        "layout": data_set.layout,
        "task": data_set.task,
        "splits": {name: split.count for name, split in data_set.splits.items()},
        "unit": data_set.unit,
        "source": data_set.source,
        "download": [archive.url for archive in data_set.archives],
        "licence": data_set.licence,
        "expected": list(expected_tree(data_set)),
    }
