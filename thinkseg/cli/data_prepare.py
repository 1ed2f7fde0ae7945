"""``thinkseg data prepare``: a split as rows in Parquet files, ThinkSeg's own or the published ones."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.cli.data_choice import add_choice, choose_one
from thinkseg.cli.data_engine import ENGINES, add_engine_flags, check_engine_flags, engine_from_flags, write_asked
from thinkseg.errors import InputError
from thinkseg.meter import Meter

if TYPE_CHECKING:
    from thinkseg.data.prepared.builder import Segment
    from thinkseg.data.prepared.writer import Prepared

DONE = 0


def add_prepare_arguments(prepare: argparse.ArgumentParser) -> None:
    """The action's arguments."""
    add_choice(prepare)
    prepare.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files")
    prepare.add_argument(
        "--rows-per-file", type=int, metavar="N", help="(default: 500; all in one for easyr1, which reads one file)"
    )
    prepare.add_argument(
        "--schema",
        choices=("thinkseg", "seg-zero", "vision-reasoner", "verl", "easyr1"),
        default="thinkseg",
        help="the columns: ThinkSeg's own, with masks (default), those of the published rows, with boxes and points, "
        "or those that veRL and EasyR1 train on (docs/verl.md)",
    )
    sizes = prepare.add_mutually_exclusive_group()
    sizes.add_argument("--longest-side", type=int, metavar="PX", help="shrink larger images (default: keep them)")
    sizes.add_argument(
        "--resize",
        type=int,
        metavar="PX",
        help="stretch every image to a square, of a multiple of 28 for Qwen2-VL and Qwen2.5-VL, of 32 for Qwen3-VL "
        "and Qwen3.5 (default: 840 for published schemas; for verl and easyr1 the model's canvas, if it has one)",
    )
    prepare.add_argument(
        "--points",
        type=int,
        choices=(0, 1, 2),
        default=0,
        help="in ThinkSeg's own schema: write the box of each object and so many points as the answer to imitate "
        "(default: 0, the masks imply them)",
    )
    prepare.add_argument(
        "--published-points",
        action="store_true",
        help="find points as in the published rows, which do not know the image's border: those of an object that is "
        "cut off lie there (default: in the object's middle)",
    )
    prepare.add_argument(
        "--keep-iou",
        type=float,
        metavar="IOU",
        help="leave out what a segmenter prompted with box and point 1 does not reach, e.g. 0.6 (default: keep all)",
    )
    prepare.add_argument(
        "--segmenter", metavar="NAME", help="for --keep-iou: 'pocket', 'grabcut', a folder, a hub id or FILE.py:NAME"
    )
    prepare.add_argument("--device", default="auto", help="for --keep-iou: 'auto', 'cpu', 'cuda', … (default: auto)")
    prepare.add_argument("--skip-faulty", action="store_true", help="leave out what cannot be read, and say how many")
    prepare.add_argument("--json", action="store_true", help="print what was written as JSON")
    add_engine_flags(prepare)


def run_prepare(args: argparse.Namespace) -> int:
    """Write the rows and say what was written."""
    from thinkseg.data.prepared.builder import BuilderOptions
    from thinkseg.data.prepared.writer import prepare
    from thinkseg.results.files import prepare_folder

    _check_numbers(args)
    check_engine_flags(args)
    listing = choose_one(args)
    if not args.skip_faulty:
        listing.require_complete()
    engine, asked = engine_from_flags(args) if args.schema in ENGINES else (None, None)
    settings = BuilderOptions(
        rows_per_file=args.rows_per_file or (max(1, len(listing)) if args.schema == "easyr1" else 500),
        longest_side=args.longest_side,
        skip_faulty=args.skip_faulty,
        schema=args.schema,
        resize=None if engine else args.resize,
        points=args.points,
        published_points=args.published_points,
        keep_iou=args.keep_iou,
        segmenter=args.segmenter or "",
        asked="" if asked is None else json.dumps({"model": args.model, **asked.as_json()}),
    )
    prepare_folder(args.out)
    segment = _segment(args.segmenter, args.device) if args.segmenter else None
    with Meter(f"prepare {listing.name}", "row") as meter:
        made = prepare(listing, args.out, args.split or "train", settings, meter.move, segment, engine)
    if asked is not None:
        write_asked(asked, args.out)
    if args.json:
        content = {"folder": str(made.folder), "files": [file.name for file in made.files], "rows": made.rows,
                   "left_out": dict(made.left_out)}  # fmt: skip
        print(json.dumps(content, ensure_ascii=False))
    else:
        print(_made_text(made))
    return DONE


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers that cannot be, and settings of one thing without the other."""
    sizes = (args.rows_per_file, args.longest_side, args.resize)
    if any(size is not None and size < 1 for size in sizes):
        raise InputError("'--rows-per-file', '--longest-side' and '--resize' should be at least 1")
    if args.keep_iou is not None and not 0 < args.keep_iou <= 1:
        raise InputError(f"'--keep-iou' should be above 0 and at most 1, found {args.keep_iou}")
    if (args.keep_iou is None) != (args.segmenter is None):
        raise InputError("'--keep-iou' and '--segmenter' go together: say both, or neither")
    if args.points and args.schema != "thinkseg":
        raise InputError(f"'--points' is for the schema 'thinkseg'; '{args.schema}' has a number of its own")
    if args.published_points and args.schema == "thinkseg" and not args.points and args.keep_iou is None:
        raise InputError("'--published-points' says how points are found: ask for some, with '--points' or a schema")
    if args.resize and args.resize % 28 and args.resize % 32:
        print(
            f"thinkseg: {args.resize} is a multiple neither of 28 nor of 32, so that no Qwen model sees images of "
            "this size; answers are still right, each in the frame of its row",
            file=sys.stderr,
        )


def _segment(name: str, device: str) -> Segment:
    """A segmenter of one answer at a time."""
    from thinkseg.models.segmenter import load_segmenter

    segmenter = load_segmenter(name, device)
    return lambda image, answer: segmenter.segment(image, [answer])[0].masks


def _made_text(made: Prepared, names: int = 5) -> str:
    """What was written, and what was left out and why, for people."""
    from thinkseg.data.prepared.builder import REASONS
    from thinkseg.data.prepared.writer import MANIFEST, kind_of

    lines = [f"{made.rows} rows in {len(made.files)} files: {made.folder}"]
    for kind, meaning in REASONS.items():
        gone = [identifier for identifier, why in made.left_out.items() if kind_of(why) == kind]
        if gone:
            more = f", and {len(gone) - names} more in {MANIFEST}" if len(gone) > names else ""
            lines.append(f"left out {len(gone)} × {kind} ({meaning}): {', '.join(gone[:names])}{more}")
    return "\n".join(lines)
