"""Data of one's own: a table, two folders or one, what tools for annotation write, or rows that were prepared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thinkseg.data.discovery.catalog import MAIN
from thinkseg.data.discovery.formats import FORMATS, Told, find_format
from thinkseg.data.discovery.tree import IMAGE_WORDS, MASK_WORDS, Tree
from thinkseg.data.listing import Broken, BrokenFile, Listing
from thinkseg.data.prepared.reader import holds_rows, list_rows, row_files, split_of
from thinkseg.data.readers.coco import list_coco
from thinkseg.data.readers.folders import has_masks_beside, list_folders
from thinkseg.data.readers.tables import has_requests, list_table
from thinkseg.errors import DataError


@dataclass(frozen=True, slots=True)
class OwnData:
    """Data of one's own, as every verb is told of them."""

    root: Path | str
    """A table; a folder with a table, two folders, masks beside their images or a tool's annotations in it; rows; or
    code (``FILE.py:NAME``)."""
    query: str = ""
    """What is asked, where the data have no words: of images in folders `MAIN` when empty; for COCO, ``{}`` stands for
    the category and for that alone when empty."""
    split: str = ""
    """Of rows, and of what tools for annotation write: only this split. Of data that have one split, and of such that
    say nothing of splits, its name ("all" when empty)."""
    images: str = ""
    """The folder of images, from the root on; found by its name when empty."""
    masks: str = ""
    """The folder of masks, likewise."""
    annotations: str = ""
    """A file of COCO instances, from the root on."""
    encoding: str = ""
    """Of tables and annotations, where it is not UTF-8."""
    dataset: str = ""
    """The name of a format in `thinkseg.data.discovery.formats.FORMATS`; when empty, or `OWN`, it is looked what is
    there."""

    @property
    def are_named(self) -> bool:
        """Whether it is said what is there, so that nothing else is looked for."""
        return bool(self.images or self.masks or self.annotations)


def find_own(data: OwnData) -> dict[str, Listing] | None:
    """Data of one's own, of files, by their splits, or None when nothing below the root looks like it.

    Raises:
        DataError: what is named is not there or cannot be listed.
    """
    root, split = Path(data.root), data.split
    format = data.dataset if data.dataset in FORMATS else ""
    if not (data.are_named or format) and holds_rows(root):
        splits = list(dict.fromkeys(map(split_of, row_files(root))))
        if split and split not in splits:
            raise DataError(f"the rows in '{root}' have no split '{split}'; they have: {', '.join(splits)}")
        return {name: list_rows(root, name) for name in splits if split in ("", name)}
    own: Listing | None
    try:
        if format or not (data.masks or data.annotations):
            folder = root.parent if root.is_file() else root
            shown = folder / data.images if data.images else None
            told = Told(data.query, shown, data.encoding, named=bool(format))
            found = _of_a_tool(root / data.annotations if data.annotations else root, told, split, format)
            if found is not None:
                return found
        own = _without_splits(root, data)
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
        if kind.by_a_model and (beside is not None or has_masks_beside(root)):
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


def _without_splits(root: Path, data: OwnData) -> Listing | None:
    """A table, a folder with one, COCO instances that are named, a folder of images and one of masks, or of both."""
    if root.is_file():
        return list_table(root, data.encoding)
    if data.annotations:
        return list_coco(root / data.annotations, root / data.images, data.query or "{}", encoding=data.encoding)
    tables = [file for file in sorted(root.iterdir()) if has_requests(file, data.encoding)]
    tree = Tree(root)
    shown = root / data.images if data.images else tree.named(root, IMAGE_WORDS, depth=3)
    truths = root / data.masks if data.masks else tree.named(root, MASK_WORDS, depth=3)
    if shown and truths:
        if tables and not data.are_named:
            raise DataError(
                f"found the table '{tables[0]}' beside '{shown}' and '{truths}': say which is meant, by naming the "
                "table, or the two folders ('--image-folder', '--mask-folder'), all of whose images get one query"
            )
        return list_folders(shown, truths, data.query or MAIN, name=root.absolute().name)
    if len(tables) > 1:
        raise DataError(f"found several tables in '{root}': name one of {', '.join(file.name for file in tables)}")
    if tables:
        return list_table(tables[0], data.encoding, confined=True)
    place = root / data.images  # where masks may lie beside their images
    beside = not data.masks and place.is_dir() and has_masks_beside(place)
    return list_folders(place, place, data.query or MAIN, name=root.absolute().name) if beside else None
