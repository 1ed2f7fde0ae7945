"""Objects that people marked with a tool, whatever file it wrote: a sample asks for all objects of a class in an image.

A reader of a tool's files makes `MarkedImage`s of them; what is asked, how parts become objects and how a sample is
drawn is the same for all. The target is the union of the objects of the class, which are also kept one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from thinkseg.data.fields import shown
from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.data.readers.segmentations import mask_from_segmentation, stacked
from thinkseg.data.text import printable
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import read_header, size_difference
from thinkseg.types import Mask, Masks, Sample, Size

QUERY = "the {}"
"""What is asked where nothing is said; ``{}`` stands for the name of the class."""

TASK = "instances"

_ARTICLES = ("the", "a", "an")

Draw = Callable[[Size], Mask]
"""The mask of a shape at the size of its image."""


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """A polygon, drawn by COCO's tools."""

    corners: Float64[np.ndarray, "corners 2"]
    """x and y of each."""
    shares: bool = False
    """Whether they are shares of width and height, from 0 to 1; else they are pixels."""

    def __call__(self, size: Size) -> Mask:
        """Its mask.

        Raises:
            ImageError: it has fewer than three corners, or one that is far away.
        """
        corners = self.corners * (size.wh if self.shares else 1)
        return mask_from_segmentation([corners.ravel().tolist()], size)


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
class MarkedImage:
    """An image and what was marked in it."""

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

    def classes(self) -> list[str]:
        """The names of its classes, each once, in the order in which they come."""
        return list(dict.fromkeys(marked.name for marked in self.objects))


class ObjectsListing(Listing):
    """One sample per image and class; use `list_objects` to make one."""

    def __init__(
        self, name: str, folder: Path, groups: Sequence[tuple[MarkedImage, str]], query: str, faults: Sequence[Fault]
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
            instances = _instances([marked for marked in image.objects if marked.name == name], size)
            ignore: Mask = np.logical_or.reduce(stacked([draw(size) for draw in image.ignored], size), axis=0)
        except InputError as error:
            raise DataError(f"{entry.truth} cannot be drawn: {error}") from error
        target: Mask = np.logical_or.reduce(instances, axis=0)
        ignore &= ~target
        return Sample(
            id=entry.id,
            image=entry.image,
            query=entry.query,
            target=target,
            ignore=ignore if ignore.any() else None,
            instances=instances,
            task=TASK,
        )


def list_objects(
    name: str, folder: Path, images: Iterable[MarkedImage], query: str = "", faults: Sequence[Fault] = ()
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
    groups: list[tuple[MarkedImage, str]] = []
    bare: list[Fault] = []
    for image in images:
        if not image.image.is_file():
            found.append(Fault(FaultKind.MISSING_IMAGE, str(image.image), f"named in {image.truth}"))
            continue
        for kind in image.classes():
            drawn = [marked.draw is not None for marked in image.objects if marked.name == kind]
            if all(drawn):
                groups.append((image, kind))
            else:
                told = f"{drawn.count(False)} of {len(drawn)} objects have no mask but a box, a point or a line"
                bare.append(Fault(FaultKind.BAD_RECORD, f"{image.truth}: {kind}", told))
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
    return ObjectsListing(name, folder, groups, query or QUERY, [*found, *bare])


def asked(query: str, name: str) -> str:
    """What is asked for a class.

    Args:
        query: with ``{}`` for the name.
        name: of the class; underscores become blanks, and an article of its own takes the place of the query's.

    >>> asked("the {}", "traffic_light"), asked("the {}", "a crack"), asked("every {} in sight", "crack")
    ('the traffic light', 'a crack', 'every crack in sight')
    """
    words = name.replace("_", " ").split()
    if query == QUERY and words and words[0].lower() in _ARTICLES:
        return " ".join(words)
    return query.replace("{}", " ".join(words))


def corners_from(values: Sequence[float], what: str) -> Float64[np.ndarray, "corners 2"]:
    """Corners from numbers x, y, x, y, ….

    Raises:
        DataError: there are fewer than three corners, or one of them lacks its y, or is not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) % 2 or len(numbers) < 6 or not np.isfinite(numbers).all():
        raise DataError(
            f"{what} should be a polygon of three corners or more, an x and a y for each, found {len(numbers)} numbers "
            f"({shown(list(values[:4]))})"
        )
    return numbers.reshape(-1, 2)


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


def _instances(marked: Sequence[Marked], size: Size) -> Masks:
    """A mask per object, in the order of their first parts."""
    objects: dict[Hashable, Mask] = {}
    for number, part in enumerate(marked):
        assert part.draw is not None
        key = ("alone", number) if part.group is None else ("group", part.group)
        mask = part.draw(size)
        objects[key] = objects[key] | mask if key in objects else mask
    return stacked(list(objects.values()), size)
