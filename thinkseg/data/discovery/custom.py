"""Data of one's own: a table, two folders, COCO instances, or rows that were prepared."""

from __future__ import annotations

from pathlib import Path

from thinkseg.data.discovery.catalog import PRIMARY
from thinkseg.data.discovery.tree import IMAGE_WORDS, MASK_WORDS, Tree
from thinkseg.data.listing import Listing
from thinkseg.data.prepared.reader import holds_rows, list_rows, row_files, split_of
from thinkseg.data.readers.coco import list_coco
from thinkseg.data.readers.folders import list_folders
from thinkseg.data.readers.tables import SUFFIXES, list_table
from thinkseg.errors import DataError


def find_own(
    root: Path,
    split: str = "",
    *,
    images: str = "",
    masks: str = "",
    annotations: str = "",
    query: str = PRIMARY,
) -> dict[str, Listing] | None:
    """Data of one's own by their splits, or None when nothing below the root looks like it.

    Args:
        root: see `list_own`; also a file of rows, or a folder with such files.
        split: rows: only this split; of other data, which have one split, its name ("all" when empty).
        images: see `list_own`; so are the others.
        masks: see there.
        annotations: see there.
        query: see there.

    Raises:
        DataError: what is named is not there or cannot be listed.
    """
    if not (images or masks or annotations) and holds_rows(root):
        splits = list(dict.fromkeys(map(split_of, row_files(root))))
        if split and split not in splits:
            raise DataError(f"the rows in '{root}' have no split '{split}'; they have: {', '.join(splits)}")
        return {name: list_rows(root, name) for name in splits if split in ("", name)}
    own = list_own(root, images=images, masks=masks, annotations=annotations, query=query)
    return None if own is None else {split or "all": own}


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
        root: a table, a folder with a table, or a folder with one folder of images and one of masks.
        images: the folder of images, from the root on; found by its name when empty.
        masks: the folder of masks, likewise.
        annotations: a file of COCO instances, from the root on.
        query: what is asked of images in folders; for COCO, ``{}`` stands for the category.

    Raises:
        DataError: what is named is not there or cannot be listed.
    """
    root = Path(root)
    if root.is_file():
        return list_table(root)
    if annotations:
        return list_coco(root / annotations, root / images, "{}" if query == PRIMARY else query)
    tree = Tree(root)
    shown = root / images if images else tree.named(root, IMAGE_WORDS, depth=3)
    truths = root / masks if masks else tree.named(root, MASK_WORDS, depth=3)
    if shown and truths:
        return list_folders(shown, truths, query, name=root.absolute().name)
    tables = [file for file in sorted(root.iterdir()) if file.suffix.lower() in SUFFIXES]
    return list_table(tables[0]) if len(tables) == 1 else None
