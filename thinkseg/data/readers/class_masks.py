"""Masks of several classes, each in a colour or a number of its own, as Pascal VOC, CamVid and ADE20K have them.

A sample asks for all pixels of a class. Where a second folder has the objects (Pascal VOC's ``SegmentationObject``, a
colour for each), they are kept one by one; else only their union is known. What the class map calls void, and 255 in
masks of numbers, counts neither way; colours that it does not name are background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Int32
from PIL import Image

from thinkseg.data.listing import Fault, FaultKind
from thinkseg.data.names import images_below, tell_passed_over
from thinkseg.data.readers.class_maps import VOID, ClassMap, voc_colour
from thinkseg.data.readers.folders import pair
from thinkseg.data.readers.objects import Drawn, ObjectsListing, list_objects
from thinkseg.data.readers.segmentations import stacked
from thinkseg.errors import DataError, ImageError
from thinkseg.imaging import size_difference
from thinkseg.imaging.opening import opened_upright
from thinkseg.machine import usable_cpus
from thinkseg.types import Mask, Size

Codes = Int32[np.ndarray, "height width"]
"""A colour, 0xRRGGBB, or a number for each pixel."""

_NUMBERED = ("P", "L", "1", "I", "I;16", "I;16B")
"""Pillow's modes of images whose pixels are numbers."""
_MOST_COLOURS = 1024
"""A mask of more has no classes: it is a photograph, or went through JPEG."""


@dataclass(frozen=True, slots=True)
class ClassMask:
    """An image and a mask of its classes."""

    id: str
    image: Path
    mask: Path
    objects: Path | None
    """Its objects, in a colour each; None where they are not known."""
    found: tuple[str, ...]
    """The classes in the mask."""
    map: ClassMap

    @property
    def truth(self) -> str:
        """What a fault calls the mask."""
        return str(self.mask)

    @property
    def size(self) -> Size | None:
        """The mask is compared with the image where it is drawn."""
        return None

    def classes(self) -> Mapping[str, int]:
        """The classes; the masks of all are known."""
        return dict.fromkeys(self.found, 0)

    def draw(self, name: str, size: Size) -> Drawn:
        """The pixels of a class, and its objects where they are known.

        Raises:
            DataError: the mask, or that of the objects, is of another size than the image.
        """
        codes, by_number = codes_of(self.mask, self.map)
        _check(codes, self.mask, size)
        named = self.map.names(by_number=by_number)
        target = np.isin(codes, [code for code, one in named.items() if one == name])
        ignore = np.isin(codes, self.map.ignored(by_number=by_number))
        return Drawn(target, None if self.objects is None else self._instances(target, size), ignore)

    def _instances(self, target: Mask, size: Size) -> np.ndarray:
        assert self.objects is not None
        with opened_upright(self.objects) as image:
            codes = _numbers(image) if image.mode in _NUMBERED else _colours(image)
        _check(codes, self.objects, size)
        nothing = (0, VOID, voc_colour(VOID))
        numbers = [code for code in np.unique(codes[target]).tolist() if code not in nothing]
        return stacked([(codes == code) & target for code in numbers], size)


def list_class_masks(
    images: Path,
    masks: Path,
    classes: ClassMap,
    query: str = "",
    *,
    objects: Path | None = None,
    only: Sequence[str] | None = None,
    name: str = "",
) -> ObjectsListing:
    """List the classes in each mask; all masks are opened once, to see which these are.

    Args:
        images: folder of images.
        masks: folder of masks, of the same names.
        classes: what their colours or numbers stand for.
        query: see `list_objects`.
        objects: folder of masks of the objects, or None.
        only: the names, without suffix, of the images that count; None for all.
        name: of the data set, for messages.

    Raises:
        DataError: a folder is missing, or the query is for one class and there are several.
    """
    for folder, what in ((images, "images"), (masks, "masks")):
        if not folder.is_dir():
            raise DataError(f"expected a folder of {what} at '{folder}', found none")
    shown, drawn = images_below(images), images_below(masks)
    tell_passed_over(shown.passed_over, images)
    pairs, left_images, left_masks, faults = pair(*_apart(images, masks, shown.images, drawn.images), images, masks)
    wanted = None if only is None else set(only)
    kept = [one for one in sorted(pairs) if wanted is None or _stem(one[0]) in wanted]
    if wanted is not None:
        faults = [Fault(FaultKind.MISSING_MASK, str(images / one)) for one in left_images if _stem(one) in wanted]
        lost = sorted(wanted - {_stem(one) for one in (*left_images, *(image for image, _ in pairs))})
        faults += [Fault(FaultKind.MISSING_IMAGE, str(images / one), "named in the list of the split") for one in lost]
    else:
        faults += [Fault(FaultKind.MISSING_MASK, str(images / one)) for one in left_images]
        faults += [Fault(FaultKind.MISSING_IMAGE, str(masks / one)) for one in left_masks]

    def opened(one: tuple[str, str]) -> ClassMask | Fault:
        image, mask = one
        try:
            found = _classes_in(masks / mask, classes)
        except ImageError as error:
            kind = FaultKind.UNREADABLE if (masks / mask).is_file() else FaultKind.MISSING_MASK
            return Fault(kind, str(masks / mask), str(error))
        beside = None if objects is None else objects / mask
        there = beside if beside is not None and beside.is_file() else None
        return ClassMask(image.rpartition(".")[0], images / image, masks / mask, there, found, classes)

    with ThreadPoolExecutor(usable_cpus()) as pool:
        looked = list(pool.map(opened, kept))
    faults += [one for one in looked if isinstance(one, Fault)]
    listed = [one for one in looked if isinstance(one, ClassMask)]
    return list_objects(name or masks.parent.absolute().name, images.parent, listed, query, faults)


def codes_of(mask: Path, classes: ClassMap) -> tuple[Codes, bool]:
    """The colours or the numbers of a mask's pixels, and whether they are numbers.

    Raises:
        ImageError: it cannot be read, or has colours where the class map has numbers.
    """
    return _opened(mask, bool(classes.numbers), bool(classes.colours))


@lru_cache(maxsize=2)
def _opened(mask: Path, numbers: bool, colours: bool) -> tuple[Codes, bool]:
    with opened_upright(mask) as image:
        if image.format == "JPEG":
            raise ImageError(f"'{mask}' is a JPEG, which mixes the colours of classes where they meet: save it as PNG")
        if numbers and image.mode in _NUMBERED:
            return _numbers(image), True
        if colours:
            return _colours(image), False
        red, green, blue = (np.asarray(band) for band in image.convert("RGB").split())
        if not (np.array_equal(red, green) and np.array_equal(green, blue)):
            raise ImageError(
                f"'{mask}' has colours, and its class map has numbers: write the colour of each class there"
            )
        return red.astype(np.int32), True


def _classes_in(mask: Path, classes: ClassMap) -> tuple[str, ...]:
    """The names of the classes that a mask has, in the order of the map.

    Raises:
        ImageError: it cannot be read, or nothing in it is known.
    """
    codes, by_number = codes_of(mask, classes)
    present = set(np.unique(codes).tolist())
    if len(present) > _MOST_COLOURS or present.isdisjoint(classes.known(by_number=by_number)):
        some = ", ".join(str(code) if by_number else f"#{code:06x}" for code in sorted(present)[:5])
        raise ImageError(
            f"'{mask}' should have the {'numbers' if by_number else 'colours'} of its class map, found {some}"
        )
    return tuple(dict.fromkeys(name for code, name in classes.names(by_number=by_number).items() if code in present))


def _numbers(image: Image.Image) -> Codes:
    return np.asarray(image).astype(np.int32)


def _colours(image: Image.Image) -> Codes:
    values = np.asarray(image.convert("RGB")).astype(np.int32)
    packed: Codes = values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
    return packed


def _check(codes: Codes, file: Path, size: Size) -> None:
    height, width = codes.shape
    if size.hw != (height, width):
        raise DataError(f"'{file}' {size_difference(Size(width, height), size)}")


def _apart(
    images: Path, masks: Path, shown: Sequence[str], drawn: Sequence[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Images and masks of one folder told apart: the masks' names end in ``_mask``, as Roboflow writes them."""
    if images.resolve() != masks.resolve():
        return shown, drawn
    marked = [one for one in drawn if _stem(one).endswith("_mask")]
    return [one for one in shown if one not in set(marked)], marked


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
