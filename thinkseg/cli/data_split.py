"""``thinkseg data split``: two parts of some data, to learn from and to measure on, with no image in both."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from thinkseg.cli.data_choice import add_choice, choose_one

DONE = 0


def add_split_arguments(split: argparse.ArgumentParser) -> None:
    """The action's arguments."""
    add_choice(split)
    split.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the two tables")
    split.add_argument(
        "--test", type=float, default=0.2, metavar="SHARE", help="of the images, kept to measure on (default: 0.2)"
    )
    split.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    split.add_argument(
        "--group",
        metavar="COLUMN",
        default="",
        help="rows of a table with one value here stay together: a patient, say",
    )
    split.add_argument("--json", action="store_true", help="print what was written as JSON")


def run_split(args: argparse.Namespace) -> int:
    """Write both parts and say what is in them."""
    from thinkseg.data.splitting.writing import split_data

    made = split_data(choose_one(args), args.out, args.test, args.seed, args.group, args.encoding)
    parts = made.parts
    if args.json:
        content = {
            name: {"path": str(path), "samples": len(places), "images": images}
            for name, path, places, images in (
                ("train", made.train, parts.train, parts.images[0]),
                ("test", made.test, parts.test, parts.images[1]),
            )
        }
        print(json.dumps(content | {"copies": parts.copies, "seed": args.seed}, ensure_ascii=False))
        return DONE
    for name, path, places, images in (
        ("to learn from", made.train, parts.train, parts.images[0]),
        ("to measure on", made.test, parts.test, parts.images[1]),
    ):
        print(f"{name}: {counted(len(places), 'sample')} of {counted(images, 'image')}: {path}")
    if parts.copies:
        print(
            f"{counted(parts.copies, 'image')} with the pixels of another one: all copies of an image are in one part"
        )
    print(f"seed {args.seed}: the same command draws the same parts")
    return DONE


def counted(number: int, word: str) -> str:
    """A number with its word, in the plural where it is not one."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
