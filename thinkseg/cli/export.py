"""``thinkseg export``: masks in a format that other tools read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.cli.data_choice import add_own_data, data_path, own_data_from

if TYPE_CHECKING:
    from thinkseg.data.writers.written import Written

EXAMPLE = """\
SOURCE is a folder that 'thinkseg segment' or 'thinkseg evaluate' has written, or data of any kind, as for 'thinkseg
data'. Nothing of it is changed; DIR has to be new or empty, and gets the images, too.

formats:
  coco      annotations.json with run lengths, or with --polygons what people can edit; images/
  yolo      data.yaml, images/ and labels/: a polygon for each object
  labelme   a JSON file beside each image, to be corrected by hand; masks, or with --polygons polygons
  csv       table.csv (image, query, mask) and objects/: what ThinkSeg reads, and all that it knows
  cutouts   NAME.png: what was found, transparent around it
  objects   NAME.object-1.png, …: the mask of each object

examples:
  thinkseg segment photos/ --query 'the crack' --out cut && thinkseg export cut --to yolo --out cracks
  thinkseg export cut --to cutouts --no-crop --out stickers
  thinkseg export runs/mine --to coco --polygons --tolerance 0.5 --out predicted   # of an evaluation
  thinkseg export labelled.csv --to labelme --out for_labelme"""

DONE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from thinkseg.data.writers.formats import WRITERS

    parser.add_argument("source", type=data_path, metavar="SOURCE", help="results, an evaluation, or data")
    parser.add_argument("--to", required=True, choices=tuple(WRITERS), metavar="FORMAT", help=f"{', '.join(WRITERS)}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or an empty folder")
    parser.add_argument(
        "--polygons", action="store_true", help="coco and labelme: polygons in place of masks that keep every pixel"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1.0,
        metavar="PX",
        help="of polygons: how far from the pixels' outline they may be (default: 1; 0 keeps every pixel)",
    )
    parser.add_argument("--no-images", action="store_true", help="do not copy the images")
    parser.add_argument("--no-crop", action="store_true", help="cutouts: of the whole image's size")
    add_own_data(parser)
    parser.add_argument("--encoding", metavar="NAME", default="", help="of tables and JSON, such as gbk")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> int:
    """Write, and say what was written, left out and changed."""
    from thinkseg.api.export import export
    from thinkseg.writing import json_text

    written = export(
        args.source,
        args.out,
        args.to,
        polygons=args.polygons,
        tolerance=args.tolerance,
        copy_images=not args.no_images,
        crop=not args.no_crop,
        encoding=args.encoding,
        **own_data_from(args),
    )
    print(json_text(written.to_json()) if args.json else told(written))
    return DONE


def told(written: Written) -> str:
    """What was written, for people."""
    from thinkseg.results.record import counted, share_text

    lines = [
        f"{counted(written.samples, 'request')} about {counted(written.images, 'image')}, "
        f"{counted(written.objects, 'object')}: {written.main}"
    ]
    lines += [f"left out {count} × {reason}" for reason, count in written.left_out.items()]
    if written.pixels:
        share = share_text(written.changed / written.pixels)
        lines.append(
            f"polygons changed {written.changed:,} of {written.pixels:,} pixels ({share}), of one object at most "
            f"{share_text(written.worst)}" + ("; --tolerance 0 follows every pixel" if written.changed else "")
        )
    return "\n".join(lines)
