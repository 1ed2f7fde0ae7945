"""``thinkseg push``: a finished checkpoint to the hub, private unless asked otherwise."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

EXAMPLE = """\
it needs a login ('hf auth login') and uploads safetensors, settings and README.md, nothing else

examples:
  thinkseg push runs/seg_r1/rl/final me/seg-r1-mine --dry-run
  thinkseg push runs/seg_r1/rl/final me/seg-r1-mine"""

DONE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a whole checkpoint, such as a run's 'final'")
    parser.add_argument("repo_id", metavar="OWNER/NAME", help="where on the hub; made if it does not exist")
    parser.add_argument("--public", action="store_true", help="let everybody see it (default: private)")
    parser.add_argument("--message", metavar="TEXT", help="what the commit says")
    parser.add_argument("--dry-run", action="store_true", help="list what would be uploaded, with sizes, and stop")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, api: Any = None) -> int:
    """Check the folder, then list it or upload it, by the API of whoever is logged in or the one that is given."""
    from thinkseg.models.publishing import check_repo_id, files_to_publish, left_out, push

    check_repo_id(args.repo_id)
    files, others = files_to_publish(args.folder), left_out(args.folder)
    address = None
    if not args.dry_run:
        address = push(args.folder, args.repo_id, public=args.public, message=args.message, api=api)
    if args.json:
        sizes = {file.name: file.bytes for file in files}
        told = {"repo_id": args.repo_id, "public": args.public, "files": sizes, "left_out": others, "commit": address}
        print(json.dumps(told))
        return DONE
    width = max(len(file.name) for file in files)
    for file in files:
        print(f"{file.name:{width}}  {_size(file.bytes):>10}")
    if others:
        print(f"left out, as no part of a checkpoint: {', '.join(map(repr, others))}")
    seen = "everybody" if args.public else "you alone"
    total = _size(sum(file.bytes for file in files))
    if args.dry_run:
        print(f"{len(files)} files, {total}, would go to {args.repo_id}, seen by {seen}; nothing was uploaded")
    else:
        print(f"{len(files)} files, {total}: {address}")
    return DONE


def _size(count: int) -> str:
    """A number of bytes in words."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
