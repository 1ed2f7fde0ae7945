"""Where one's own files of COCO instances lie: beside their images, in ``annotations``, or one in each split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from thinkseg.data.discovery.tree import IMAGE_WORDS, Tree
from thinkseg.data.listing import Listing
from thinkseg.data.names import json_files
from thinkseg.data.readers.coco import list_coco

_LISTS = (b'"images"', b'"annotations"')
_KEYS = (*_LISTS, b'"categories"', b'"info"', b'"licenses"', b'"file_name"', b'"image_id"')
_START = 1 << 20
"""Bytes at the beginning of a file that are looked at."""
_ROBOFLOW = "_annotations.coco.json"


def find_coco(root: Path, encoding: str = "") -> Path | None:
    """The folder that files of COCO instances lie in or right below, or the one that is named; or None."""
    del encoding  # the keys are the same in most
    if root.is_file():
        return root if _is_coco(root) else None
    return root if next(_files(root), None) is not None else None


def list_coco_folder(place: Path, query: str, images: Path | None, encoding: str) -> Mapping[str, Listing]:
    """The files of a folder, a split each; "all" where there is one that says nothing of splits.

    Args:
        place: the folder, or one file.
        query: what is asked, ``{}`` where it is empty: the name of the category.
        images: the folder of images; found by the first name in the file when None.
        encoding: of the files.

    Raises:
        DataError: a file is not as expected.
    """
    root = place if place.is_dir() else place.parent.parent if place.parent.name == "annotations" else place.parent
    files = list(_files(place)) if place.is_dir() else [place]
    splits = {_split(file) if len(files) > 1 or _split(file) in _SPLITS else "all": file for file in files}
    return {
        split: list_coco(file, images or _images(root, file), query or "{}", encoding=encoding)
        for split, file in splits.items()
    }


_SPLITS = ("train", "val", "valid", "test")


def _files(root: Path) -> Iterator[Path]:
    names = [*json_files(root), *json_files(root / "annotations")]
    names += sorted(root.glob(f"*/{_ROBOFLOW}"))
    yield from (file for file in names if file.is_file() and _is_coco(file))


def _is_coco(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(_START)
    if not start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    return any(name in start for name in _LISTS) and sum(key in start for key in _KEYS) > 1


def _split(file: Path) -> str:
    """What the name of a file says of its split: ``instances_train.json``, or the folder of Roboflow's."""
    if file.name == _ROBOFLOW:
        return file.parent.name
    return re.sub(r"^(instances|annotations)_", "", file.stem)


def _images(root: Path, file: Path) -> Path:
    """The folder below which the first image that a file names lies."""
    split = _split(file)
    with file.open("rb") as opened:
        found = re.search(rb'"file_name"\s*:\s*"([^"]+)"', opened.read(_START))
    name = found[1].decode("utf-8", "replace").replace("\\\\", "/").replace("\\/", "/") if found else ""
    named = Tree(root).named(root, IMAGE_WORDS, depth=3)
    places = [root / "images" / split, root / split, *([named] if named else []), file.parent, root]
    return next((place for place in places if name and (place / name).is_file()), named or root)
