"""Where things lie below a root: mirrors of a data set agree on little, so folders are found by patterns of names.

A pattern is a path such as ``COD10K*/Train``. Capitals, blanks, dots, dashes and underscores do not count, ``*`` stands
for anything, and a folder fits when the last parts of its path do, those above the root included. So the root may be
the folder of all data sets, the one of this data set, or the very folder that is looked for.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from thinkseg.data.discovery.patterns import DirectoryPattern
from thinkseg.data.names import is_folder
from thinkseg.errors import DataError
from thinkseg.imaging import IMAGE_SUFFIXES

DEEPEST = 7
"""Folders further below the root are not looked at."""

IMAGE_WORDS = ("image", "images", "img", "imgs", "im", "jpegimages", "pictures", "photos", "rgb", "input", "inputs")
"""What folders of images are called; the name, or its last word."""

MASK_WORDS = (
    "gtobject", "gt", "gts", "groundtruth", "groundtruths", "groundtruthmask", "mask", "masks", "label", "labels",
    "annotation", "annotations", "segmentation", "segmentations", "segmentationclass", "target", "targets", "matte",
)  # fmt: skip
"""What folders of masks are called; the name, or its last word. Earlier ones are preferred."""


class Tree:
    """The folders below a root, those near it first; no file is looked at."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"expected a folder with data at '{self.root}', found none")
        self.folders: tuple[Path, ...] = (self.root, *_folders_below(self.root))
        self._keys = {folder: tuple(map(_key, folder.absolute().parts)) for folder in self.folders}
        self._children: dict[Path, list[Path]] = {folder: [] for folder in self.folders}
        for folder in self.folders[1:]:
            self._children[folder.parent].append(folder)

    def find(self, pattern: str) -> Iterator[Path]:
        """The folders that fit a pattern."""
        parts = _parts(pattern)
        for folder in self.folders:
            names = self._keys[folder][-len(parts) :]
            if len(names) == len(parts) and all(map(fnmatchcase, names, parts)):
                yield folder

    def below(self, start: Path, pattern: str) -> Iterator[Path]:
        """The folders that a pattern names from a folder on."""
        found = [start]
        for part in _parts(pattern):
            found = [child for folder in found for child in self._children[folder]
                     if fnmatchcase(self._keys[child][-1], part)]  # fmt: skip
        yield from found

    def named(self, start: Path, words: Sequence[str], depth: int) -> Path | None:
        """The folder below another, at most so deep, with images and a name of these words; earlier words first."""
        near: list[Path] = []
        level = [start]
        for _ in range(depth):
            level = [child for folder in level for child in self._children[folder]]
            near += level
        for word in words:
            for folder in near:
                if _is_called(folder.name, word) and has_images(folder):
                    return folder
        return None


def find_pair(
    tree: Tree, patterns: Sequence[DirectoryPattern], *, root_is_data_set: bool = False, single: bool = False
) -> tuple[Path, Path] | None:
    """The folder of images and the folder of masks of the first pattern that fits.

    Args:
        tree: where to look.
        patterns: in order of preference.
        root_is_data_set: whether, if there is no folder of such a name, the tree's root may be what a pattern's begins
            with.
        single: whether there is only one split, so that two folders right below a root without a name are the ones.
    """
    for pattern in patterns:
        for folder in tree.find(pattern.root):
            found = _pair_in(tree, folder, pattern, depth=3)
            if found:
                return found
    for pattern in patterns if root_is_data_set else ():
        _, _, rest = pattern.root.partition("/")
        folders: Iterable[Path] = tree.below(tree.root, rest) if rest else (tree.root,)
        for folder in folders if rest or pattern.images or single else ():
            found = _pair_in(tree, folder, pattern, depth=3 if rest else 1)
            if found:
                return found
    return None


def has_images(folder: Path) -> bool:
    """Whether there is an image in a folder or below it."""
    below = []
    with _entries(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                return True
            if entry.is_dir(follow_symlinks=False):
                below.append(Path(entry.path))
    return any(map(has_images, below))


def _pair_in(tree: Tree, folder: Path, pattern: DirectoryPattern, depth: int) -> tuple[Path, Path] | None:
    images, masks = (
        _first_with_images(tree, folder, below) if below else tree.named(folder, words, depth)
        for below, words in ((pattern.images, IMAGE_WORDS), (pattern.masks, MASK_WORDS))
    )
    return (images, masks) if images and masks and images != masks else None


def _first_with_images(tree: Tree, folder: Path, pattern: str) -> Path | None:
    return next(filter(has_images, tree.below(folder, pattern)), None)


def _folders_below(root: Path) -> Iterator[Path]:
    """Breadth first, each folder's children by name; a folder that is linked twice is entered once."""
    seen = {os.path.realpath(root)}
    level = [root]
    for _ in range(DEEPEST):
        following = []
        for folder in level:
            with _entries(folder) as entries:
                names = sorted(
                    entry.name for entry in entries if not entry.name.startswith((".", "__MACOSX")) and is_folder(entry)
                )
            for child in (folder / name for name in names):
                real = os.path.realpath(child)
                if real not in seen:
                    seen.add(real)
                    following.append(child)
                    yield child
        level = following


def _entries(folder: Path) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    try:
        return os.scandir(folder)
    except OSError as error:
        raise DataError(f"the folder '{folder}' cannot be read ({error.strerror or error})") from error


def _is_called(name: str, word: str) -> bool:
    """Whether a folder's name, or its last word, is this word: "GT", "DUTS-TR-Mask", "trainImages"."""
    last = re.split(r"[\s._-]+|(?<=[a-z])(?=[A-Z])", name)[-1]
    return word in (_key(name), _key(last))


def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(_key(part) for part in pattern.split("/"))


@lru_cache(maxsize=100_000)
def _key(name: str) -> str:
    return re.sub(r"[\s._-]+", "", name).casefold()
