"""Known data sets on disk: what lies below a root, and its samples.

::

    samples = load_dataset("cod10k", "test", "/data")     # lists; opens no picture

The root may be a folder of many data sets, the folder of this one, or the very split.
"""

from __future__ import annotations

from pathlib import Path

from thinkseg.data.catalog import DATA_SETS, DataSet, known
from thinkseg.data.coco import list_coco
from thinkseg.data.folders import list_folders
from thinkseg.data.listing import Listing
from thinkseg.data.places import Tree, find_pair, has_pictures
from thinkseg.data.reasonseg import list_reasonseg
from thinkseg.data.refcoco import list_refs, load_refs
from thinkseg.errors import DataError


def load_dataset(
    name: str,
    split: str,
    root: Path | str,
    *,
    query: str = "",
    images: Path | str | None = None,
    every_text: bool = False,
    allow_faults: bool = False,
) -> Listing:
    """The samples of a known data set, in a fixed order; files are opened when a sample is asked for.

    Args:
        name: in `DATA_SETS`.
        split: one of its splits.
        root: the folder of the data set, or a folder above it.
        query: what to ask in place of the data set's own words, where it has none.
        images: for RefCOCO and COCO: the folder of pictures, when it does not lie below the root.
        every_text: for ReasonSeg: each wording of a question is a sample.
        allow_faults: whether to go on with what is whole when names reveal missing files.

    Raises:
        DataError: an unknown name or split, data that are not there, or not whole.
    """
    data_set = known(name)
    if split not in data_set.splits:
        raise DataError(f"'{name}' has no split '{split}'; it has: {', '.join(data_set.splits)}")
    tree = Tree(root)
    listing = find_split(data_set, split, tree, nameless=True, query=query, images=images, every_text=every_text)
    if listing is None:
        raise DataError(
            f"found no '{split}' of {data_set.title} below '{root}'; 'thinkseg data list {name}' shows the tree that "
            f"is looked for, and where to get it: {data_set.source}"
        )
    return listing if allow_faults else listing.whole()


def find_datasets(root: Path | str) -> list[tuple[DataSet, dict[str, Listing]]]:
    """The known data sets that lie below a root under names of their own, with the splits that were found."""
    tree = Tree(root)
    found = []
    for data_set in DATA_SETS.values():
        listings = {split: find_split(data_set, split, tree) for split in data_set.splits}
        present = {split: listing for split, listing in listings.items() if listing is not None}
        if present:
            found.append((data_set, present))
    return found


def find_split(
    data_set: DataSet,
    split: str,
    tree: Tree,
    *,
    nameless: bool = False,
    query: str = "",
    images: Path | str | None = None,
    every_text: bool = False,
) -> Listing | None:
    """List one split, or None when it is not there.

    Args:
        data_set: its record.
        split: one of its splits.
        tree: where to look.
        nameless: whether the root may be the data set's folder under another name.
        query: see `load_dataset`; so are the others.
        images: see there.
        every_text: see there.

    Raises:
        DataError: it is there and cannot be listed.
    """
    name = f"{data_set.name} {split}"
    if data_set.layout == "folders":
        return _folders(data_set, split, tree, nameless, query)
    if data_set.layout == "refcoco":
        refs = _refs_file(data_set, tree, nameless)
        if refs is None or not any(row["split"] == split for row in load_refs(refs)):
            return None
        return list_refs(refs, split, _train2014(tree, images), name=name)
    if data_set.layout == "reasonseg":
        folder = _reasonseg_folder(split, tree, nameless)
        return list_reasonseg(folder, every_text=every_text, name=name) if folder else None
    file = _instances_file(split, tree)
    pictures = Path(images) if images else next(filter(has_pictures, tree.find(split)), None)
    return list_coco(file, pictures, query or data_set.query, name=name) if file and pictures else None


def _folders(data_set: DataSet, split: str, tree: Tree, nameless: bool, query: str) -> Listing | None:
    pair = find_pair(tree, data_set.splits[split].places, nameless=nameless, single=len(data_set.splits) == 1)
    if pair is None:
        return None
    listing = list_folders(
        *pair,
        query or data_set.query,
        data_set.task,
        name=f"{data_set.name} {split}",
        only=data_set.only,
        without=data_set.without,
        no_object=data_set.no_object,
        shared_masks=data_set.shared_masks,
    )
    return listing if len(listing) or listing.faults else None


def _refs_file(data_set: DataSet, tree: Tree, nameless: bool) -> Path | None:
    folder_name, file_name = data_set.refs
    folders = [*tree.find(folder_name), *([tree.root] if nameless else [])]
    return next((folder / file_name for folder in folders if (folder / file_name).is_file()), None)


def _train2014(tree: Tree, images: Path | str | None) -> Path:
    if images:
        return Path(images)
    found = next(filter(has_pictures, tree.find("train2014")), None)
    if found is None:
        raise DataError(
            f"found the references but no folder 'train2014' with COCO's pictures below '{tree.root}'; "
            "say where it is with '--images'"
        )
    return found


def _reasonseg_folder(split: str, tree: Tree, nameless: bool) -> Path | None:
    folders = [*tree.find(f"reason*seg*/{split}"), *(tree.below(tree.root, split) if nameless else ())]
    return next((folder for folder in folders if any(folder.glob("*.json"))), None)


def _instances_file(split: str, tree: Tree) -> Path | None:
    files = (folder / f"instances_{split}.json" for folder in tree.folders)
    return next((file for file in files if file.is_file()), None)
