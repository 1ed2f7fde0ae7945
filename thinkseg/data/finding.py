"""Known data sets on disk: what lies below a root, and its samples.

::

    samples = load_dataset("cod10k", "test", "/data")     # lists; opens no picture

The root may be a folder of many data sets, the folder of this one, or the very split.
"""

from __future__ import annotations

from pathlib import Path

from thinkseg.data.catalog import DATA_SETS, PRIMARY, DataSet, known
from thinkseg.data.coco import list_coco
from thinkseg.data.folders import list_folders
from thinkseg.data.listing import Listing
from thinkseg.data.places import IMAGE_WORDS, MASK_WORDS, Tree, find_pair, has_pictures
from thinkseg.data.reasonseg import list_reasonseg
from thinkseg.data.refcoco import list_refs, load_refs
from thinkseg.data.tables import SUFFIXES, list_table
from thinkseg.errors import DataError


def load_dataset(
    name: str,
    split: str,
    root: Path | str,
    *,
    query: str = "",
    images: Path | str | None = None,
    every_text: bool | None = None,
    allow_faults: bool = False,
) -> Listing:
    """The samples of a known data set, in a fixed order; files are opened when a sample is asked for.

    Args:
        name: in `DATA_SETS`.
        split: one of its splits.
        root: the folder of the data set, or a folder above it.
        query: what to ask in place of the data set's own words, where it has none.
        images: for RefCOCO and COCO: the folder of pictures, when it does not lie below the root.
        every_text: for ReasonSeg: whether each wording of a question is a sample; in training only, when None.
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


def find_listings(
    root: Path | str,
    name: str = "",
    split: str = "",
    *,
    images: str = "",
    masks: str = "",
    annotations: str = "",
    query: str = "",
) -> list[tuple[DataSet | None, dict[str, Listing]]]:
    """Whatever lies below a root, faults or not: known data sets, or else data of one's own (with None as its record).

    Args:
        root: a folder, or a table.
        name: the data set that it is; when empty, known ones are looked for under their own names.
        split: only this split.
        images: the folder of pictures, from the root on.
        masks: the folder of masks, from the root on.
        annotations: a file of COCO instances, from the root on.
        query: what is asked, where the data have no words.

    Raises:
        DataError: nothing is found, or not what is asked for.
    """
    root = Path(root)
    if not root.exists():
        raise DataError(f"expected data at '{root}', found no such file or folder")
    if name:
        return [(known(name), _present(root, name, split, root / images if images else None, query))]
    if root.is_dir() and not (images or masks or annotations):
        found = [
            (data_set, {key: listing for key, listing in listings.items() if split in ("", key)})
            for data_set, listings in find_datasets(root)
        ]
        if any(listings for _, listings in found):
            return [(data_set, listings) for data_set, listings in found if listings]
    own = list_own(root, images=images, masks=masks, annotations=annotations, query=query or PRIMARY)
    if own is None:
        raise DataError(
            f"found nothing below '{root}' that looks like a known data set, a table, or pictures beside their masks; "
            "say what it is with '--dataset' ('thinkseg data list' has the names), or '--images' and '--masks'"
        )
    return [(None, {split or "all": own})]


def find_datasets(root: Path | str) -> list[tuple[DataSet, dict[str, Listing]]]:
    """The known data sets that lie below a root under names of their own, with the splits that were found."""
    tree = Tree(root)
    found = []
    for data_set in (data_set for data_set in DATA_SETS.values() if not data_set.on_request):
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
    every_text: bool | None = None,
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
        every = split == "train" if every_text is None else every_text
        return list_reasonseg(folder, every_text=every, name=name) if folder else None
    file = _instances_file(split, tree)
    pictures = Path(images) if images else next(filter(has_pictures, tree.find(split)), None)
    return list_coco(file, pictures, query or data_set.query, name=name) if file and pictures else None


def list_own(
    root: Path | str,
    *,
    images: str = "",
    masks: str = "",
    annotations: str = "",
    query: str = PRIMARY,
) -> Listing | None:
    """Data of one's own, or None when nothing below the root looks like it.

    Args:
        root: a table, a folder with a table, or a folder with one folder of pictures and one of masks.
        images: the folder of pictures, from the root on; found by its name when empty.
        masks: the folder of masks, likewise.
        annotations: a file of COCO instances, from the root on.
        query: what is asked of pictures in folders; for COCO, ``{}`` stands for the category.

    Raises:
        DataError: what is named is not there or cannot be listed.
    """
    root = Path(root)
    if root.is_file():
        return list_table(root)
    if annotations:
        return list_coco(root / annotations, root / images, "{}" if query == PRIMARY else query)
    tree = Tree(root)
    pictures = root / images if images else tree.named(root, IMAGE_WORDS, depth=3)
    truths = root / masks if masks else tree.named(root, MASK_WORDS, depth=3)
    if pictures and truths:
        return list_folders(pictures, truths, query, name=root.absolute().name)
    tables = [file for file in sorted(root.iterdir()) if file.suffix.lower() in SUFFIXES]
    return list_table(tables[0]) if len(tables) == 1 else None


def _present(root: Path, name: str, split: str, images: Path | None, query: str) -> dict[str, Listing]:
    """The splits of a data set that are there; the one that is asked for has to be."""
    if split:
        return {split: load_dataset(name, split, root, images=images, query=query, allow_faults=True)}
    tree, data_set = Tree(root), known(name)
    found = {key: find_split(data_set, key, tree, nameless=True, images=images, query=query) for key in data_set.splits}
    present = {key: listing for key, listing in found.items() if listing is not None}
    if not present:
        raise DataError(
            f"found no split of {data_set.title} below '{root}'; 'thinkseg data list {name}' shows the tree that is "
            f"looked for, and where to get it: {data_set.source}"
        )
    return present


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
            "put it there, or a link to it; the verbs of 'thinkseg data' also take it as '--images'"
        )
    return found


def _reasonseg_folder(split: str, tree: Tree, nameless: bool) -> Path | None:
    folders = [*tree.find(f"reason*seg*/{split}"), *(tree.below(tree.root, split) if nameless else ())]
    return next((folder for folder in folders if any(folder.glob("*.json"))), None)


def _instances_file(split: str, tree: Tree) -> Path | None:
    files = (folder / f"instances_{split}.json" for folder in tree.folders)
    return next((file for file in files if file.is_file()), None)
