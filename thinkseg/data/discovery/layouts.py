"""Where the splits of a data set lie below a root, one finder per layout. To add a layout: write one, add a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from thinkseg.data.discovery.catalog import DataSet, Layout
from thinkseg.data.discovery.tree import Tree, find_pair, has_images
from thinkseg.data.listing import Listing
from thinkseg.data.prepared.reader import holds_rows, list_rows, row_files
from thinkseg.data.readers.coco import list_coco
from thinkseg.data.readers.folders import NamePatterns, list_folders
from thinkseg.data.readers.reasonseg import list_reasonseg
from thinkseg.data.readers.refcoco import list_refs, load_refs
from thinkseg.errors import DataError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for, and where."""

    data_set: DataSet
    split: str
    tree: Tree
    root_is_data_set: bool = False
    """Whether the root may be the data set's folder under another name."""
    query: str = ""
    """What to ask in place of the data set's own words, where it has none."""
    images: Path | None = None
    """The folder of images, when it does not lie below the root."""
    every_text: bool | None = None
    """For ReasonSeg: whether each wording of a question is a sample; in training only, when None."""
    encoding: str = ""
    """Of the texts, where it is not UTF-8."""

    @property
    def name(self) -> str:
        """Of the split, for messages."""
        return f"{self.data_set.name} {self.split}"


def _folders(wanted: Wanted) -> Listing | None:
    data_set = wanted.data_set
    patterns = data_set.splits[wanted.split].patterns
    pair = find_pair(wanted.tree, patterns, root_is_data_set=wanted.root_is_data_set, single=len(data_set.splits) == 1)
    if pair is None:
        return None
    listing = list_folders(
        *pair,
        wanted.query or data_set.query,
        data_set.task,
        name=wanted.name,
        patterns=NamePatterns(data_set.only, data_set.without, data_set.no_object),
        shared_masks=data_set.shared_masks,
    )
    return listing if len(listing) or listing.faults else None


def _refcoco(wanted: Wanted) -> Listing | None:
    file = _refs_file(wanted)
    if file is None or not any(row["split"] == wanted.split for row in load_refs(file, wanted.encoding)):
        return None
    return list_refs(file, wanted.split, _train2014(wanted), name=wanted.name, encoding=wanted.encoding)


def _reasonseg(wanted: Wanted) -> Listing | None:
    tree, split = wanted.tree, wanted.split
    folders = [*tree.find(f"reason*seg*/{split}"), *(tree.below(tree.root, split) if wanted.root_is_data_set else ())]
    folder = next((folder for folder in folders if any(folder.glob("*.json"))), None)
    every = split == "train" if wanted.every_text is None else wanted.every_text
    if folder is None:
        return None
    return list_reasonseg(folder, every_text=every, name=wanted.name, encoding=wanted.encoding)


def _coco(wanted: Wanted) -> Listing | None:
    file = _file(wanted.tree, f"instances_{wanted.split}.json")
    images = wanted.images or next(filter(has_images, wanted.tree.find(wanted.split)), None)
    query = wanted.query or wanted.data_set.query
    if file is None or images is None:
        return None
    return list_coco(file, images, query, name=wanted.name, encoding=wanted.encoding)


def _lvis(wanted: Wanted) -> Listing | None:
    file = _file(wanted.tree, f"lvis_v1_{wanted.split}.json")
    if file is None:
        return None
    found = (folder for name in ("train2017", "val2017") for folder in wanted.tree.find(name))
    images = wanted.images or next((folder.parent for folder in found if has_images(folder)), None)
    if images is None:
        raise DataError(
            f"found '{file.name}' but no folder 'train2017' or 'val2017' with COCO's images below "
            f"'{wanted.tree.root}'; put them there, or a link to them; the verbs of 'thinkseg data' also take the "
            "folder that holds both as '--images'"
        )
    query = wanted.query or wanted.data_set.query
    absent = wanted.data_set.absent
    return list_coco(file, images, query, name=wanted.name, absent=absent, encoding=wanted.encoding)


def _rows(wanted: Wanted) -> Listing | None:
    tree = wanted.tree
    patterns = wanted.data_set.splits[wanted.split].patterns
    folders = [folder for pattern in patterns for folder in tree.find(pattern.root)]
    folders += [tree.root] if wanted.root_is_data_set and not folders and holds_rows(tree.root) else []
    found = next((folder for folder in folders if row_files(folder, wanted.split)), None)
    return list_rows(found, wanted.split, name=wanted.name) if found else None


LAYOUTS: Mapping[Layout, Callable[[Wanted], Listing | None]] = {
    "folders": _folders,
    "refcoco": _refcoco,
    "reasonseg": _reasonseg,
    "coco": _coco,
    "lvis": _lvis,
    "rows": _rows,
}
"""Each gives the listing of a split, or None when it is not there."""


def _refs_file(wanted: Wanted) -> Path | None:
    """The file of references, in the data set's folder or in ``annotations`` below it."""
    folder_name, file_name = wanted.data_set.refs
    roots = [*wanted.tree.find(folder_name), *([wanted.tree.root] if wanted.root_is_data_set else [])]
    files = (folder / file_name for root in roots for folder in (root, root / "annotations"))
    return next((file for file in files if file.is_file()), None)


def _train2014(wanted: Wanted) -> Path:
    if wanted.images:
        return wanted.images
    found = next(filter(has_images, wanted.tree.find("train2014")), None)
    if found is None:
        raise DataError(
            f"found the references but no folder 'train2014' with COCO's images below '{wanted.tree.root}'; "
            "put it there, or a link to it; the verbs of 'thinkseg data' also take it as '--images'"
        )
    return found


def _file(tree: Tree, name: str) -> Path | None:
    return next((folder / name for folder in tree.folders if (folder / name).is_file()), None)
