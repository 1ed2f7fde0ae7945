"""Data of one's own: a table, two folders, what tools for annotation write, or rows that were prepared."""

from __future__ import annotations

from pathlib import Path

from thinkseg.data.discovery.catalog import MAIN
from thinkseg.data.discovery.formats import Told, find_format
from thinkseg.data.discovery.tree import IMAGE_WORDS, MASK_WORDS, Tree
from thinkseg.data.listing import Broken, BrokenFile, Listing
from thinkseg.data.prepared.reader import holds_rows, list_rows, row_files, split_of
from thinkseg.data.readers.coco import list_coco
from thinkseg.data.readers.folders import list_folders
from thinkseg.data.readers.tables import has_requests, list_table
from thinkseg.errors import DataError


def find_own(
    root: Path,
    split: str = "",
    *,
    images: str = "",
    masks: str = "",
    annotations: str = "",
    query: str = "",
    encoding: str = "",
    format: str = "",
) -> dict[str, Listing] | None:
    """Data of one's own by their splits, or None when nothing below the root looks like it.

    Args:
        root: see `list_own`; also a file of rows, or a folder with such files.
        split: of rows, and of what tools for annotation write: only this split; of other data, which have one split,
            and of such that say nothing of splits, its name ("all" when empty).
        images: see `list_own`; so are the others.
        masks: see there.
        annotations: see there.
        query: see there.
        encoding: see there.
        format: a name in `thinkseg.data.discovery.formats.FORMATS`; when empty, it is looked what is there.

    Raises:
        DataError: what is named is not there or cannot be listed.
    """
    if not (images or masks or annotations or format) and holds_rows(root):
        splits = list(dict.fromkeys(map(split_of, row_files(root))))
        if split and split not in splits:
            raise DataError(f"the rows in '{root}' have no split '{split}'; they have: {', '.join(splits)}")
        return {name: list_rows(root, name) for name in splits if split in ("", name)}
    own: Listing | None
    try:
        if format or not (masks or annotations):
            folder = root.parent if root.is_file() else root
            told = Told(query, folder / images if images else None, encoding, named=bool(format))
            found = _of_a_tool(root / annotations if annotations else root, told, split, format)
            if found is not None:
                return found
        own = list_own(root, images=images, masks=masks, annotations=annotations, query=query, encoding=encoding)
    except BrokenFile as error:
        own = Broken("own data", error)
    return None if own is None else {split or "all": own}


def _of_a_tool(root: Path, told: Told, split: str, format: str) -> dict[str, Listing] | None:
    """The splits of what a tool for annotation has written, or None where it is nothing of this kind.

    Raises:
        DataError: there is a table or a folder of masks beside it, or no such split.
    """
    found = find_format(root, told, format)
    if found is None:
        return None
    kind, splits = found
    if not format and root.is_dir():
        tree = Tree(root)
        pair = not kind.masks_are_its_own and tree.named(root, IMAGE_WORDS, depth=3)
        masks = tree.named(root, MASK_WORDS, depth=3) if pair else None
        beside = masks or next((file for file in sorted(root.iterdir()) if has_requests(file, told.encoding)), None)
        if beside is not None and kind.by_a_model:
            return None
        if beside is not None:
            raise DataError(
                f"found {kind.title} in '{root}' and beside them '{beside}': say which is meant, with '--dataset "
                f"{kind.name}', or by naming the table itself, or the two folders (with '--images' and '--masks')"
            )
    if list(splits) == ["all"]:
        return {split or "all": splits["all"]}
    if split and split not in splits:
        raise DataError(f"the {kind.title} in '{root}' have no split '{split}'; they have: {', '.join(splits)}")
    return {name: listing for name, listing in splits.items() if split in ("", name)}


def list_own(
    root: Path | str,
    *,
    images: str = "",
    masks: str = "",
    annotations: str = "",
    query: str = "",
    encoding: str = "",
) -> Listing | None:
    """Data of one's own, or None when nothing below the root looks like it.

    Args:
        root: a table, a folder with a table, or a folder with one folder of images and one of masks.
        images: the folder of images, from the root on; found by its name when empty.
        masks: the folder of masks, likewise.
        annotations: a file of COCO instances, from the root on.
        query: what is asked of images in folders, `MAIN` when empty; for COCO, ``{}`` stands for the category.
        encoding: of a table or of annotations, where it is not UTF-8.

    Raises:
        DataError: what is named is not there or cannot be listed.
    """
    root = Path(root)
    if root.is_file():
        return list_table(root, encoding)
    if annotations:
        return list_coco(root / annotations, root / images, query or "{}", encoding=encoding)
    tables = [file for file in sorted(root.iterdir()) if has_requests(file, encoding)]
    tree = Tree(root)
    shown = root / images if images else tree.named(root, IMAGE_WORDS, depth=3)
    truths = root / masks if masks else tree.named(root, MASK_WORDS, depth=3)
    if shown and truths:
        if tables and not (images or masks):
            raise DataError(
                f"found the table '{tables[0]}' beside '{shown}' and '{truths}': say which is meant, by naming the "
                "table, or the two folders ('--image-folder', '--mask-folder'), all of whose images get one query"
            )
        return list_folders(shown, truths, query or MAIN, name=root.absolute().name)
    if len(tables) > 1:
        raise DataError(f"found several tables in '{root}': name one of {', '.join(file.name for file in tables)}")
    return list_table(tables[0], encoding, confined=True) if tables else None
