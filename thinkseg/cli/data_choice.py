"""What all actions of ``thinkseg data`` have in common: which data are meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.errors import DataError, InputError
from thinkseg.extension import is_reference

if TYPE_CHECKING:
    from thinkseg.data.discovery.catalog import DataSet
    from thinkseg.data.listing import Listing

Chosen = list[tuple["DataSet | None", dict[str, "Listing"]]]
"""Data sets with their splits; None for data of one's own."""


def choose(args: argparse.Namespace) -> Chosen:
    """The data sets, each with its splits, that the arguments mean."""
    from thinkseg.data.discovery.custom import OwnData
    from thinkseg.data.discovery.load import find_listings
    from thinkseg.data.source import load_source

    if is_reference(str(args.root)):
        if args.dataset or args.images or args.masks or args.annotations or args.query:
            raise InputError(
                f"'{args.root}' is code of your own, which is told by '--option NAME=VALUE' and '--split' alone"
            )
        return [(None, {args.split or "all": load_source(str(args.root), _options(args.option), args.split)})]
    if args.option:
        raise InputError(f"'--option' is for code of your own, FILE.py:NAME; '{args.root}' is none")
    return find_listings(OwnData(**{field.name: getattr(args, field.name) for field in fields(OwnData)}))


def _options(words: Sequence[str]) -> dict[str, object]:
    """From NAME=VALUE to keyword arguments; values are read as a recipe's."""
    from thinkseg.training.parsing import parse_yaml

    options: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"expected '--option NAME=VALUE', found '{word}'")
        options[name] = parse_yaml(value, f"the value of '--option {word}'")
    return options


def choose_one(args: argparse.Namespace) -> Listing:
    """The one split that the arguments mean, with at least one sample.

    Raises:
        DataError: there are several, or none.
    """
    from thinkseg.data.listing import Broken

    found = {
        f"--dataset {data_set.name} --split {split}" if data_set else split: listing
        for data_set, listings in choose(args)
        for split, listing in listings.items()
    }
    if len(found) != 1:
        raise DataError(f"found several splits; say which one: {' or '.join(found)}")
    (listing,) = found.values()
    if isinstance(listing, Broken):
        raise listing.error
    if not len(listing):
        raise DataError(f"found no sample in '{args.root}'; 'thinkseg data check' says why")
    return listing


def told_path(word: str) -> str:
    """A path as it was told, of argparse: a blank one would be the folder that one is in."""
    if not word.strip():
        raise argparse.ArgumentTypeError("expected a path, found a blank one; '.' is the folder that you are in")
    return word


def data_path(word: str) -> Path:
    """The same, as a path."""
    return Path(told_path(word))


def add_choice(parser: argparse.ArgumentParser) -> None:
    """What to look at: the same for every action."""
    parser.add_argument(
        "root",
        metavar="ROOT",
        type=data_path,
        help="a folder of data, a table, rows, or code of your own (FILE.py:NAME)",
    )
    parser.add_argument(
        "--dataset", metavar="NAME", default="", help="which data set or format it is (default: look what is there)"
    )
    parser.add_argument("--split", metavar="SPLIT", default="", help="only this split")
    images, masks = OWN_FLAGS["images"][0], OWN_FLAGS["masks"][0]
    parser.add_argument("--images", images, metavar="DIR", default="", help="the folder of images, from ROOT on")
    parser.add_argument("--masks", masks, metavar="DIR", default="", help="the folder of masks, from ROOT on")
    parser.add_argument("--annotations", metavar="FILE", default="", help="a file of COCO instances, or a class map")
    parser.add_argument(
        "--option", metavar="NAME=VALUE", action="append", default=[], help="a keyword argument of code of your own"
    )
    parser.add_argument("--query", metavar="TEXT", default="", help="the query, where the data have none")
    parser.add_argument(
        "--encoding", metavar="NAME", default="", help="of tables and JSON, such as gbk (default: UTF-8, or as marked)"
    )


OWN_FLAGS = {
    "query": (
        "--query",
        "TEXT",
        "what to ask of every image, such as 'the crack', where the data bring no words of their own",
    ),
    "split": ("--split", "SPLIT", "own data of several splits: which one"),
    "images": ("--image-folder", "DIR", "own data: the folder of images, from the data on (default: by its name)"),
    "masks": ("--mask-folder", "DIR", "own data: the folder of masks, from the data on (default: by its name)"),
    "dataset": ("--dataset", "FORMAT", "own data: the format, such as yolo (default: look what is there)"),
    "annotations": ("--annotations", "FILE", "own data: a file of COCO instances, or a class map"),
}
"""What is said of data of the user's own beside where they are: flag, what stands behind it, and what it is for."""


def add_own_data(parser: argparse._ActionsContainer) -> None:
    """What is said of data of the user's own: the same for every verb that is told with --data where they are."""
    for name, (flag, value, told) in OWN_FLAGS.items():
        parser.add_argument(flag, dest=f"own_{name}", metavar=value, default="", help=told)


def own_data_from(args: argparse.Namespace) -> dict[str, str]:
    """What the flags say of data of the user's own."""
    return {name: getattr(args, f"own_{name}") for name in OWN_FLAGS}
