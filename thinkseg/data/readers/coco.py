"""Instances in COCO's JSON, and LVIS's: a sample asks for all objects of one category in one image.

LVIS has COCO's images and says where they lie by their address (``coco_url``) alone. It also says for each image of
which categories it has not marked every object (these are not asked about, since the truth is not whole) and which ones
were looked for and are not there (``absent`` asks about these: the right answer is that nothing is there).

Also what RefCOCO shares with it: the file of instances, and the check that its images are there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from thinkseg.data.fields import FieldError, Fields, list_in
from thinkseg.data.listing import BadRows, BrokenFile, Entry, Fault, FaultKind, Listing
from thinkseg.data.names import name_below
from thinkseg.data.readers.segmentations import FARTHEST, Segmentation, mask_from_segmentation, stacked
from thinkseg.data.text import read_text
from thinkseg.errors import DataError, ImageError
from thinkseg.types import Box, Mask, Sample, Size, TrueBox

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that a file of instances knows."""

    file: str
    """From the folder of images on."""
    size: Size
    unfinished: tuple[int, ...] = ()
    """Categories of which not every object is marked (LVIS)."""
    absent: tuple[int, ...] = ()
    """Categories of which there is certainly no object (LVIS)."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An object that a file of instances knows."""

    image: int
    category: int
    segmentation: Segmentation
    crowd: bool
    """Whether it stands for a crowd, whose objects were not annotated one by one."""
    box: TrueBox | None = None
    """Its box as it was annotated, or None when it was not."""

    @property
    def drawn(self) -> bool:
        """Whether its mask is known; tools that mark boxes alone write an empty segmentation, or none."""
        return self.segmentation not in (None, "", {}, [], [[]])


@dataclass(frozen=True, slots=True)
class Instances:
    """A file of instances: images, objects and the names of categories, each by its number."""

    file: Path
    images: Mapping[int, Image]
    objects: Mapping[int, Instance]
    categories: Mapping[int, str]


class CocoListing(Listing):
    """One sample per image and category; use `list_coco` to make one.

    Objects that are marked as crowds are to be ignored: they count neither way.
    """

    def __init__(
        self, name: str, images: Path, instances: Instances, query: str, faults: Sequence[Fault], *, absent: bool
    ) -> None:
        super().__init__(name, images, faults)
        self._instances = instances
        self._query = query
        known_images = instances.images
        self._groups: list[tuple[tuple[int, int], list[int]]]
        if absent:
            self._groups = sorted(
                ((number, category), [])
                for number, image in known_images.items()
                for category in image.absent
                if category in instances.categories
            )
            return
        groups: dict[tuple[int, int], list[int]] = {}
        for number, instance in instances.objects.items():
            known = instance.image in known_images and instance.category in instances.categories
            if known and instance.category not in known_images[instance.image].unfinished:
                groups.setdefault((instance.image, instance.category), []).append(number)
        told = {key: numbers for key, numbers in groups.items() if not all(self._crowd(number) for number in numbers)}
        self._groups = sorted(told.items())

    @property
    def image_count(self) -> int:
        """How many images the file knows, those without objects included."""
        return len(self._instances.images)

    def __len__(self) -> int:
        return len(self._groups)

    def entry(self, index: int) -> Entry:
        """Where a sample lies."""
        (image_number, category), numbers = self._groups[index]
        image = self._instances.images[image_number]
        return Entry(
            f"{image_number}-{category}",
            self._query.replace("{}", self._instances.categories[category]),
            self.folder / image.file,
            f"{self._instances.file}: category {category} in image {image_number}",
            may_be_empty=not numbers,
        )

    def read(self, index: int) -> Sample:
        """Draw the masks of an image's objects of one category; unknown where one has a box alone."""
        (image_number, _), numbers = self._groups[index]
        size = self._instances.images[image_number].size
        drawn = [number for number in numbers if self._instances.objects[number].drawn]
        masks = {number: mask_of(self._instances, number) for number in drawn}
        whole = all(number in masks or self._crowd(number) for number in numbers)
        instances = stacked([mask for number, mask in masks.items() if not self._crowd(number)], size)
        crowd: Mask = np.logical_or.reduce(
            stacked([mask for number, mask in masks.items() if self._crowd(number)], size), axis=0
        )
        target: Mask = np.logical_or.reduce(instances, axis=0)
        entry = self.entry(index)
        return Sample(
            id=entry.id,
            image=entry.image,
            query=entry.query,
            target=target if whole else None,
            ignore=crowd & ~target if whole and crowd.any() else None,
            instances=instances if whole else None,
            task="instances",
            boxes=boxes_of(self._instances, numbers),
        )

    def _crowd(self, number: int) -> bool:
        return self._instances.objects[number].crowd


def list_coco(
    annotations: Path | str,
    images: Path | str,
    query: str = "{}",
    *,
    name: str = "",
    absent: bool = False,
    encoding: str = "",
) -> CocoListing:
    """List instances in COCO's format, or LVIS's.

    Args:
        annotations: the JSON file.
        images: the folder of its images; for LVIS, the one above ``train2017`` and ``val2017``.
        query: what is asked, with ``{}`` for the name of the category.
        name: of the data set, for messages.
        absent: whether to ask for what is known not to be there (LVIS), in place of what is.
        encoding: of the file, where it is not UTF-8.

    Raises:
        DataError: the file or the folder is missing or not as expected.
    """
    instances = load_instances(Path(annotations), encoding)
    _refuse_shared_names(instances)
    faults = [
        Fault(FaultKind.BAD_RECORD, f"{instances.file}: annotation {number}", f"its {what} is not in the file")
        for number, instance in instances.objects.items()
        for what, known in (
            (f"image {instance.image}", instance.image in instances.images),
            (f"category {instance.category}", instance.category in instances.categories),
        )
        if not known
    ]
    located, missing = find_images(Path(images), instances.images)
    instances = replace(instances, images=located)
    faults += missing
    return CocoListing(name or Path(annotations).stem, Path(images), instances, query, faults, absent=absent)


def _refuse_shared_names(instances: Instances) -> None:
    """See that no name stands for two categories with objects: a request would have half of what it asks for."""
    used = {instance.category for instance in instances.objects.values()}
    first: dict[str, int] = {}
    for number, name in instances.categories.items():
        if number in used and first.setdefault(name, number) != number:
            message = (
                f"the categories {first[name]} and {number} in '{instances.file}' are both called '{name}' and both "
                "have objects, so that a request for it would look for half of them: give them one id, or two names"
            )
            raise BrokenFile(FaultKind.BAD_RECORD, instances.file, message)


def load_instances(file: Path, encoding: str = "") -> Instances:
    """Read a file of instances.

    Args:
        file: JSON.
        encoding: see `thinkseg.data.text.read_text`.

    Raises:
        DataError: it is missing, no JSON, or a field is missing or of the wrong kind, or a number stands for two; the
            message names file, row and field.
    """
    try:
        content = json.loads(read_text(file, encoding))
    except FileNotFoundError as error:
        raise DataError(f"expected a file of COCO instances at '{file}', found none") from error
    except (DataError, ValueError, RecursionError, OSError) as error:
        told = str(error) if isinstance(error, DataError) else f"it cannot be read as JSON ({error})"
        raise BrokenFile(FaultKind.UNREADABLE, file, f"'{file}' should be a file of COCO instances: {told}") from error
    bad = BadRows(file)
    try:
        instances = Instances(
            file,
            _by_number(content, "images", file, _image, bad),
            _by_number(content, "annotations", file, _instance, bad),
            _by_number(content, "categories", file, _category, bad),
        )
    except FieldError as error:
        bad.add(str(file), error)
    if bad:
        raise bad.error(f"; '{file}' should be a file of COCO instances")
    return instances


def _by_number(content: Any, name: str, file: Path, read: Callable[[Fields], T], bad: BadRows) -> dict[int, T]:
    """The rows of a list by their ids; two different rows of one id are an error, since one would be lost."""
    rows: dict[int, T] = {}
    places: dict[int, int] = {}
    told = list_in(content, name, file)
    for position, values in enumerate(told):
        try:
            row = Fields(values, (name, position, file))
            number = row.whole("id")
            if number in places and values != told[places[number]]:
                raise FieldError(
                    f"the id {number} of {row.where} is taken by {name}[{places[number]}]: ids should differ"
                )
            places[number] = position
            rows[number] = read(row)
        except FieldError as error:
            bad.add(f"{file}: {name}[{position}]", error)
    return rows


def _instance(row: Fields) -> Instance:
    crowd = row.flag("iscrowd")
    drawn = row.raw("segmentation") if row.has("segmentation") else []
    return Instance(row.whole("image_id"), row.whole("category_id"), drawn, crowd, _box(row, crowd))


def boxes_of(instances: Instances, numbers: Iterable[int]) -> tuple[TrueBox, ...] | None:
    """The annotated boxes of objects, or None when one of them has none."""
    boxes = [instances.objects[number].box for number in numbers]
    known = tuple(box for box in boxes if box is not None)
    return known if len(known) == len(boxes) else None


def _box(row: Fields, crowd: bool) -> TrueBox | None:
    """COCO writes x, y, width, height."""
    if not row.has("bbox") or row.raw("bbox") == []:
        return None
    left, top, width, height = row.numbers("bbox", 4)
    if width < 0 or height < 0:
        raise row.wrong("bbox", "x, y, width and height, the last two of which are not negative")
    if max(abs(left), abs(top), width, height) > FARTHEST:
        raise row.wrong("bbox", f"x, y, width and height of at most {FARTHEST:,.0f} pixels")
    area = row.number("area") if row.has("area") else width * height
    if area < 0:
        raise row.wrong("area", "a number of pixels, which is not negative")
    edges = Box(max(left, 0.0), max(top, 0.0), max(left + width, 0.0), max(top + height, 0.0))
    return TrueBox(edges, area, crowd)


def _image(row: Fields) -> Image:
    file = _file(row)
    width, height = row.whole("width"), row.whole("height")
    if width < 1 or height < 1:
        raise row.wrong("width" if width < 1 else "height", "at least 1")
    return Image(
        file,
        Size(width, height),
        tuple(row.wholes("not_exhaustive_category_ids")) if row.has("not_exhaustive_category_ids") else (),
        tuple(row.wholes("neg_category_ids")) if row.has("neg_category_ids") else (),
    )


def _file(row: Fields) -> str:
    """Its name; LVIS has none, but the last two parts of an address: train2017/000000000009.jpg."""
    if row.has("file_name") or not row.has("coco_url"):
        name = row.text("file_name")
    else:
        name = "/".join(row.text("coco_url").split("/")[-2:])
    if name_below(name) is None:
        raise row.wrong("file_name", "a name below the folder of images, without a drive and without a way out of it")
    return name


def _category(row: Fields) -> str:
    """The name of a category; LVIS writes "baseball_bat" and "bow_(weapon)"."""
    name = row.name("name")
    return name.replace("_", " ") if row.has("synset") else name


def find_images(folder: Path, images: Mapping[int, Image]) -> tuple[dict[int, Image], list[Fault]]:
    r"""The images by the names of their files from the folder on, and a fault for every file that is not there.

    A name may have backslashes between its folders, and may begin with the name of the folder itself: ``images\a.png``
    and ``images/a.png`` are ``a.png`` in ``images``, where they are nothing else.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"expected a folder of images at '{folder}', found none")
    present: dict[str, set[str]] = {}

    def is_there(file: str) -> bool:
        below, _, name = file.rpartition("/")
        if below not in present:
            inside = folder / below
            present[below] = set(os.listdir(inside)) if os.path.isdir(inside) else set()  # the name may be too long
        return name in present[below]

    found, faults = dict(images), []
    for number, image in images.items():
        if is_there(image.file):
            continue
        plain = name_below(image.file) or image.file
        first, _, rest = plain.partition("/")
        names = [plain, rest] if rest and first == folder.resolve().name else [plain]
        name = next(filter(is_there, names), plain)
        found[number] = replace(image, file=name)
        if not is_there(name):
            faults.append(Fault(FaultKind.MISSING_IMAGE, str(folder / name)))
    return found, faults


def mask_of(instances: Instances, number: int) -> Mask:
    """The mask of one object.

    Raises:
        DataError: its segmentation cannot be drawn; the message names file and annotation.
    """
    instance = instances.objects[number]
    if not instance.drawn:
        raise DataError(
            f"annotation {number} in '{instances.file}' has no segmentation, so its mask is not known: annotate it, or "
            "take a benchmark of boxes"
        )
    try:
        return mask_from_segmentation(instance.segmentation, instances.images[instance.image].size)
    except (ImageError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"annotation {number} in '{instances.file}' cannot be drawn: {error}") from error
