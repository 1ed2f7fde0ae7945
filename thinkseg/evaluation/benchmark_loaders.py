"""How the samples of ThinkSeg's own benchmarks are read; `thinkseg.evaluation.benchmarks` has their table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thinkseg.data.discovery.catalog import known
from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import load_dataset, load_own
from thinkseg.data.readers.coco import list_coco
from thinkseg.data.readers.counting import SUFFIXES, find_counts, list_counts
from thinkseg.data.readers.folders import FolderListing
from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.load_options import LoadOptions
from thinkseg.types import Sample


def load_held_out_scenes(count: int, options: LoadOptions) -> Sequence[Sample]:
    """Pocket scenes of things and backgrounds that no training scene shows."""
    return load_scenes("test", count if options.limit is None else options.limit, options.seed)


def load_folder(options: LoadOptions) -> Sequence[Sample]:
    """The user's own images and masks, as every verb takes them: a table, folders, COCO instances, rows, or code."""
    if options.root is None:
        raise InputError("'folder' needs --data ROOT: a table, a folder of images and masks, rows, or FILE.py:NAME")
    listing = load_own(OwnData(options.root, encoding=options.encoding, **options.of_own()))
    if isinstance(listing, FolderListing):
        listing.task = "salient"
    # An image that has no mask would shrink the denominator, so that only a whole listing is taken.
    return listing.require_complete()


def load_own_boxes(options: LoadOptions) -> Sequence[Sample]:
    """The user's own boxes in COCO's format."""
    if options.root is None:
        raise InputError("'folder-detection' needs --data ROOT, with 'annotations.json' and a folder 'images' in it")
    file, images = options.root / "annotations.json", options.root / "images"
    return list_coco(file, images, encoding=options.encoding).require_complete()


def load_coco(options: LoadOptions) -> Sequence[Sample]:
    """Boxes of all objects of a category in COCO's val2017."""
    listing = load_dataset("coco", "val2017", _root("coco-detection", options), encoding=options.encoding)
    expected = known("coco").splits["val2017"].count
    if options.limit is None and listing.image_count != expected:
        raise DataError(
            f"'coco-detection' has {expected} images, found {listing.image_count}; the copy on disk is not whole; "
            "boxes of your own in COCO's format are the benchmark 'folder-detection'"
        )
    return listing


def load_split(name: str, data_set: str, split: str, options: LoadOptions) -> Sequence[Sample]:
    """A split of a known data set."""
    return load_dataset(data_set, split, _root(name, options), encoding=options.encoding)


def load_counts(name: str, folder: str, split: str, source: str, options: LoadOptions) -> Sequence[Sample]:
    """Images with the number of their objects, from a table."""
    root = _root(name, options)
    file = find_counts(root, folder, split)
    if file is None:
        raise DataError(
            f"found no '{split}*' ({', '.join(SUFFIXES)}) in a folder '{folder}' of '{root}'; get it: {source}"
        )
    return list_counts(file, name=name, encoding=options.encoding).require_complete()


def _root(name: str, options: LoadOptions) -> Path:
    if options.root is None:
        raise InputError(f"'{name}' needs --data ROOT, the folder that the data set lies in or below")
    if not options.root.is_dir():
        raise DataError(f"'{name}' is looked for below '{options.root}', which is no folder; check --data")
    return options.root
