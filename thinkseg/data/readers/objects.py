"""Objects that people marked with a tool, whatever file it wrote: a sample asks for all objects of a class in an image.

A reader of a tool's files makes `MarkedImage`s of them; what is asked, how parts become objects and how a sample is
drawn is the same for all. The target is the union of the objects of the class, which are also kept one by one.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.data.readers.class_queries import QUERY, asked
from thinkseg.data.readers.segmentations import stacked
from thinkseg.data.readers.shapes import Draw
from thinkseg.data.text import printable
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import read_header, size_difference
from thinkseg.types import Mask, Masks, Sample, Size

TASK = "instances"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Marked:
    """An object, or a part of one, as it was marked."""

    name: str
    """Of its class."""
    draw: Draw | None
    """None where it was marked with a box, a point or a line alone, so that its mask is not known."""
    group: Hashable = None
    """Parts of one class and group are one object; what has no group is an object of its own."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The truth of a class in an image."""

    target: Mask
    instances: Masks | None
    """Its objects one by one; None where only their union is known."""
    ignore: Mask
    """Pixels that count neither way; some may be of the target, where they count."""


@runtime_checkable
class AnnotatedImage(Protocol):
    """An image and what is known of it, whatever the format."""

    @property
    def id(self) -> str:
        """Unique among the images of the listing."""

    @property
    def image(self) -> Path:
        """Its file."""

    @property
    def truth(self) -> str:
        """What a fault calls its annotation."""

    @property
    def size(self) -> Size | None:
        """What the annotation says of the image's size, if it does."""

    def classes(self) -> Mapping[str, int]:
        """The names of its classes in their order, with how many objects of each have no mask."""

    def draw(self, name: str, size: Size) -> Drawn:
        """The truth of a class whose objects all have masks.

        Raises:
            InputError: it cannot be drawn.
        """


@dataclass(frozen=True, slots=True)
class MarkedImage:
    """An image and what was marked in it, shape by shape."""

    id: str
    """Unique among the images of the listing."""
    image: Path
    truth: str
    """What a fault calls its annotation."""
    objects: tuple[Marked, ...]
    size: Size | None = None
    """What the annotation says of the image's size, if it does."""
    ignored: tuple[Draw, ...] = ()
    """Regions that count neither way."""

    def classes(self) -> Mapping[str, int]:
        """The names of its classes in their order, with how many objects of each have no mask."""
        found: dict[str, int] = {}
        for marked in self.objects:
            found[marked.name] = found.get(marked.name, 0) + (marked.draw is None)
        return found

    def draw(self, name: str, size: Size) -> Drawn:
        """The objects of a class, in the order of their first parts.

        Raises:
            InputError: a shape cannot be drawn.
        """
        objects: dict[Hashable, Mask] = {}
        for number, part in enumerate(self.objects):
            if part.name == name and part.draw is not None:
                key = ("alone", number) if part.group is None else ("group", part.group)
                mask = part.draw(size)
                objects[key] = objects[key] | mask if key in objects else mask
        instances = stacked(list(objects.values()), size)
        ignore: Mask = np.logical_or.reduce(stacked([draw(size) for draw in self.ignored], size), axis=0)
        return Drawn(np.logical_or.reduce(instances, axis=0), instances, ignore)


class ObjectsListing(Listing):
    """One sample per image and class; use `list_objects` to make one."""

    def __init__(
        self, name: str, folder: Path, groups: Sequence[tuple[AnnotatedImage, str]], query: str, faults: Sequence[Fault]
    ) -> None:
        super().__init__(name, folder, faults)
        self._groups = groups
        self._query = query

    @property
    def image_count(self) -> int:
        """How many different images are asked about."""
        return len({image.image for image, _ in self._groups})

    def __len__(self) -> int:
        return len(self._groups)

    def entry(self, index: int) -> Entry:
        """Where a sample lies; its id is made of those of image and class."""
        image, name = self._groups[index]
        identifier = printable(f"{image.id}-{name}")
        return Entry(identifier, asked(self._query, name), image.image, f"{image.truth}: {name}")

    def read(self, index: int) -> Sample:
        """Draw the objects of one class in one image."""
        image, name = self._groups[index]
        entry = self.entry(index)
        size = read_header(entry.image).size
        if image.size is not None and image.size != size:
            raise DataError(f"{image.truth} {size_difference(image.size, size)} ('{entry.image}')")
        try:
            drawn = image.draw(name, size)
        except InputError as error:
            raise DataError(f"{entry.truth} cannot be drawn: {error}") from error
        ignore = drawn.ignore & ~drawn.target
        return Sample(
            id=entry.id,
            image=entry.image,
            query=entry.query,
            target=drawn.target,
            ignore=ignore if ignore.any() else None,
            instances=drawn.instances,
            task=TASK,
        )


def list_objects(
    name: str, folder: Path, images: Iterable[AnnotatedImage], query: str = "", faults: Sequence[Fault] = ()
) -> ObjectsListing:
    """List what was marked, a sample per image and class.

    Where one object of a class has no mask, since it was marked with a box, say, the image is not asked for that class:
    the truth would not be whole. Each such case is a fault.

    Args:
        name: of the data set, for messages.
        folder: below which images and annotations lie.
        images: as they were marked; one whose file is not there is a fault.
        query: what is asked, with ``{}`` for the name of the class; `QUERY` when empty.
        faults: what was found wrong before.

    Raises:
        DataError: the query has no ``{}`` and there are several classes, or nothing has a mask.
    """
    found = list(faults)
    groups: list[tuple[AnnotatedImage, str]] = []
    bare: list[Fault] = []
    for image in images:
        if not os.path.isfile(image.image):  # a name may be longer than any file's
            found.append(Fault(FaultKind.MISSING_IMAGE, str(image.image), f"named in {image.truth}"))
            continue
        for kind, unknown in image.classes().items():
            if unknown:
                told = f"objects without a mask, marked with a box, points or a line: {unknown}"
                bare.append(Fault(FaultKind.BAD_RECORD, f"{image.truth}: {kind}", told))
            else:
                groups.append((image, kind))
    if bare and not groups:
        raise DataError(
            f"{name} marks objects with boxes, points or lines alone (first: {bare[0].where}), of which no mask is "
            "known: mark them with polygons or a brush"
        )
    classes = list(dict.fromkeys(kind for _, kind in groups))
    if query and "{}" not in query and len(classes) > 1:
        raise DataError(
            f"the query '{query}' would ask for {len(classes)} classes of {name} at once ({', '.join(classes[:5])}, …)"
            ": say where the name of the class goes, as in 'the {}', or leave the query out"
        )
    _tell_alike(name, classes)
    return ObjectsListing(name, folder, groups, query or QUERY, [*found, *bare])


def _tell_alike(name: str, classes: Iterable[str]) -> None:
    """Say in a line which classes may be one that was written in several ways; each is asked for alone all the same."""
    alike: dict[str, list[str]] = defaultdict(list)
    for kind in classes:
        alike[asked(QUERY, kind).casefold()].append(f"'{printable(kind)}'")
    told = [" and ".join(kinds) for kinds in alike.values() if len(kinds) > 1]
    if told:
        _log.warning(
            "classes of '%s' whose names differ in capitals, blanks or underscores alone: %s; each is asked for alone: "
            "where they are one class, give it one name",
            printable(name),
            ", ".join(told[:3]),
        )


def find_by_name(images: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """The images that a name of a tool may mean: the same path, or else the same end of a path.

    Args:
        images: paths below the folder, by the last part of each.
        name: as the tool wrote it, parted by "/".

    Returns:
        The paths whose last parts are those of the name, as many of them as any has.
    """
    parts = name.split("/")
    candidates = images.get(parts[-1], ())
    for length in range(len(parts), 0, -1):
        found = [path for path in candidates if path.split("/")[-length:] == parts[-length:]]
        if found:
            return found
    return []


def by_last_part(images: Iterable[str]) -> dict[str, list[str]]:
    """Paths, parted by "/", by the last part of each."""
    found: dict[str, list[str]] = {}
    for path in images:
        found.setdefault(path.rpartition("/")[2], []).append(path)
    return found
