"""Data in folders: images in one, masks of the same names in another, or all in one; what is nested below counts too.

An image and a mask belong together when their names are the same up to the suffix. Where that leaves files over, they
are paired by names in which capitals do not count, then by names without an ending such as ``_mask`` or ``_gt``, then
by names without their sub-folders. A later rule pairs only what is the single one of its name on both sides. Of what
``thinkseg segment`` has written, ``NAME.mask.png`` alone is a mask.

In one folder, a file is a mask whose name is that of an image beside it and such an ending (``x_mask.png``,
``x.mask.png``), or a PNG or BMP that is called like a JPEG or WebP beside it (``x.png`` and ``x.jpg``). What is drawn
there from results of a model is none. A mask that lies in another sub-folder than the image is not beside it.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np

from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.data.names import Below, common_folder, images_below, tell_passed_over
from thinkseg.data.text import printable
from thinkseg.errors import DataError
from thinkseg.imaging import IMAGE_SUFFIXES, load_mask, read_header
from thinkseg.results.files import is_drawing_of_result, is_image_of_result
from thinkseg.types import Mask, Sample

_ENDINGS = re.compile(r"[ _.-]+(mask|masks|gt|groundtruth|ground_truth|seg|segmentation|label|labels|matte|alpha)$")
_PHOTOGRAPHS, _LOSSLESS = (".jpg", ".jpeg", ".webp"), (".png", ".bmp")
EVERYTHING = ("*",)
"""The pattern that every name fits."""


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """Which files of two folders count, as shell patterns of their names; capitals make no difference."""

    only: tuple[str, ...] = EVERYTHING
    """A file counts if its name fits one of them,"""
    without: tuple[str, ...] = ()
    """and none of these."""
    no_object: tuple[str, ...] = ()
    """Images that show no object: they need no mask, and an empty one is no fault."""

    def count(self, name: str) -> bool:
        """Whether a file of this name counts."""
        base = name.rpartition("/")[2]
        return (self.only == EVERYTHING or _is_like(base, self.only)) and not _is_like(base, self.without)

    def show_no_object(self, name: str) -> bool:
        """Whether an image of this name shows no object."""
        return _is_like(name.rpartition("/")[2], self.no_object)


ALL_NAMES = NamePatterns()


@dataclass(frozen=True, slots=True)
class FolderPairs:
    """Images of one folder and their masks in another, by name."""

    images: Path
    masks: Path
    names: Sequence[tuple[str, str | None]]
    """Of image and mask, from the two folders on; None for the mask of an image that shows no object."""
    unused_masks: Sequence[str] = ()
    """Names of masks that no image goes with."""


class FolderListing(Listing):
    """Pairs of an image and its mask, in the order of the images' names; use `list_folders` to make one.

    Args:
        name: of the data set.
        pairs: images and masks, by name.
        query: the query for every image.
        task: its kind.
        patterns: which images show no object, so that an empty mask of theirs is no fault.
        faults: what the names reveal.
    """

    def __init__(
        self,
        name: str,
        pairs: FolderPairs,
        query: str,
        task: str,
        patterns: NamePatterns = ALL_NAMES,
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(name, common_folder(pairs.images, pairs.masks), faults)
        self.images = pairs.images
        self.masks = pairs.masks
        self.unused_masks = pairs.unused_masks
        self.query = query
        self.task = task
        self._pairs = pairs.names
        self._patterns = patterns

    def __len__(self) -> int:
        return len(self._pairs)

    def entry(self, index: int) -> Entry:
        """Where a pair lies; its id is the image's name without its suffix, in letters that any file takes."""
        name, mask = self._pairs[index]
        identifier = printable(str(PurePosixPath(name).with_suffix("")))
        image = self.images / name
        if mask is None:
            return Entry(identifier, self.query, image, str(image), may_be_empty=True)
        bare = self._patterns.show_no_object(name)
        return Entry(identifier, self.query, image, str(self.masks / mask), (self.masks / mask,), may_be_empty=bare)

    def read(self, index: int) -> Sample:
        """Read a mask."""
        entry = self.entry(index)
        target: Mask = load_mask(entry.masks[0]) if entry.masks else np.zeros(read_header(entry.image).size.hw, bool)
        return Sample(id=entry.id, image=entry.image, query=self.query, target=target, task=self.task)


def list_folders(
    images: Path | str,
    masks: Path | str,
    query: str,
    task: str = "",
    *,
    name: str = "these folders",
    patterns: NamePatterns = ALL_NAMES,
    shared_masks: bool = False,
) -> FolderListing:
    """Pair the images of one folder with the masks of another; nothing is opened.

    Args:
        images: folder of images.
        masks: folder of masks; the same one where they lie beside their images.
        query: the query for every image.
        task: its kind.
        name: of the data set, for messages.
        patterns: which files count, and which images show no object.
        shared_masks: whether masks that are left over are no fault, since they belong to another split.

    Raises:
        DataError: a folder is missing, or both are the same one and no mask lies beside its image.
    """
    images, masks = Path(images), Path(masks)
    for folder, what in ((images, "images"), (masks, "masks")):
        if not folder.is_dir():
            raise DataError(f"expected a folder of {what} at '{folder}', found none")
    together = images.resolve() == masks.resolve()
    masks = images if together else masks
    shown = images_below(images)
    drawn = Below([], []) if together else images_below(masks)
    wanted = [image for image in shown.images if patterns.count(image) and not is_image_of_result(images / image)]
    offered = [mask for mask in drawn.images if patterns.count(mask) and not is_drawing_of_result(masks / mask)]
    if together:
        offered = masks_among(wanted)
        wanted = sorted(set(wanted).difference(offered))
    if together and not offered:
        raise DataError(
            f"images and masks should lie in two folders, or a mask beside its image ('x.png' or 'x_mask.png' beside "
            f"'x.jpg'); found '{images}' for both, and no such mask in it"
        )
    pairs, left_images, left_masks, faults = pair(wanted, offered, images, masks)
    bare = [image for image in left_images if patterns.show_no_object(image)]
    missing = sorted(set(left_images) - set(bare))
    faults += [Fault(FaultKind.MISSING_MASK, str(images / image)) for image in missing]
    if not shared_masks:
        faults += [Fault(FaultKind.MISSING_IMAGE, str(masks / mask)) for mask in left_masks]
    chosen: list[tuple[str, str | None]] = [*pairs, *((image, None) for image in bare)]
    ordered = sorted(chosen, key=_first)
    listing = FolderListing(name, FolderPairs(images, masks, ordered, left_masks), query, task, patterns, faults)
    listing.passed_over = [
        folder / file
        for folder, below in ((images, shown), (masks, drawn))
        for file in below.passed_over
        if patterns.count(file)
    ]
    tell_passed_over(listing.passed_over, listing.folder)
    return listing


def image_names(folder: Path) -> list[str]:
    """The images in a folder and below it, named from it on with "/", sorted; hidden ones are passed over."""
    return list(images_below(folder).images)


def has_masks_beside(folder: Path) -> bool:
    """Whether there is a mask beside its image in a folder or below it."""
    return bool(masks_among([name for name in images_below(folder).images if not is_image_of_result(folder / name)]))


def masks_among(names: Sequence[str]) -> list[str]:
    """Which of the files in one folder are masks, by their names (see the module's text), in their order.

    >>> masks_among(["a.jpg", "a.png", "b.png", "b_mask.png", "c.jpg", "the_mask.jpg"])
    ['a.png', 'b_mask.png']
    """
    stems = _by_key(names, lambda name: _exact(name).casefold())
    bare = {stem: _undecorated(stem) for stem in stems}
    decorated = {stem for stem in stems if bare[stem] != stem and bare[stem] in stems}
    masks = {name for stem in decorated for name in stems[stem]}
    for stem in stems.keys() - decorated:
        photographs = [name for name in stems[stem] if name.lower().endswith(_PHOTOGRAPHS)]
        lossless = [name for name in stems[stem] if name.lower().endswith(_LOSSLESS)]
        if len(photographs) == len(lossless) == 1:
            masks.add(lossless[0])
    return [name for name in names if name in masks]


def pair(
    images: Sequence[str], masks: Sequence[str], images_folder: Path, masks_folder: Path
) -> tuple[list[tuple[str, str]], list[str], list[str], list[Fault]]:
    """Find the mask of each image by their names (see the module's text).

    Returns:
        The pairs, the images and the masks that are left over, and a fault for each name that several files share.
    """
    faults: list[Fault] = []
    by_image, by_mask = _by_key(images, _exact), _by_key(masks, _exact)
    shared = {stem for groups in (by_image, by_mask) for stem, group in groups.items() if len(group) > 1}
    for stem in sorted(shared):
        files = [str(images_folder / file) for file in by_image.pop(stem, [])]
        files += [str(masks_folder / file) for file in by_mask.pop(stem, [])]
        faults.append(Fault(FaultKind.AMBIGUOUS, files[0], f"shares its name with {', '.join(files[1:])}"))
    pairs = [(group[0], by_mask[stem][0]) for stem, group in by_image.items() if stem in by_mask]
    left_images = [group[0] for stem, group in by_image.items() if stem not in by_mask]
    left_masks = [group[0] for stem, group in by_mask.items() if stem not in by_image]
    keys = (str.casefold, _undecorated) if images_folder == masks_folder else (str.casefold, _undecorated, _basename)
    for key in keys:
        found = _pair_by(key, left_images, left_masks)
        pairs += found
        used_images, used_masks = {image for image, _ in found}, {mask for _, mask in found}
        left_images = [image for image in left_images if image not in used_images]
        left_masks = [mask for mask in left_masks if mask not in used_masks]
    return pairs, left_images, left_masks, faults


def _is_like(base: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(base.casefold(), pattern.casefold()) for pattern in patterns)


def _pair_by(key: Callable[[str], str], images: Sequence[str], masks: Sequence[str]) -> list[tuple[str, str]]:
    by_mask = _by_key(masks, lambda name: key(_exact(name)))
    by_image = _by_key(images, lambda name: key(_exact(name)))
    return [
        (group[0], by_mask[stem][0])
        for stem, group in by_image.items()
        if len(group) == 1 and len(by_mask.get(stem, ())) == 1
    ]


def _by_key(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups


def _exact(name: str) -> str:
    """The name without its suffix; composed and decomposed accents are the same (macOS writes the latter)."""
    stem, suffix = os.path.splitext(name)
    stem = stem if suffix.lower() in IMAGE_SUFFIXES else name
    return stem if stem.isascii() else unicodedata.normalize("NFC", stem)


def _undecorated(stem: str) -> str:
    return _ENDINGS.sub("", _exact(stem).casefold())  # "photo.jpg" is left of a mask "photo.jpg.png"


def _basename(stem: str) -> str:
    return _undecorated(stem).rpartition("/")[2]


def _first(pair: tuple[str, str | None]) -> str:
    return pair[0]
