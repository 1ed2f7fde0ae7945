"""CVAT's own XML, "CVAT for images 1.1": an element for each image, and in it what was marked.

Polygons and masks (run lengths of a rectangle, row by row, that begin with what is not painted) and ellipses are drawn;
a box, a polyline, points, a cuboid or a skeleton marks an object whose mask is not known. Shapes of one label and
``group_id`` (not 0) are one object, as where CVAT exports to COCO. Tags say nothing of pixels and are passed over.

The XML is read by `thinkseg.data.readers.xml_events`, which refuses document types, and with them entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thinkseg.data.fields import shown
from thinkseg.data.listing import BadRows, Fault, FaultKind
from thinkseg.data.names import images_below, name_below
from thinkseg.data.readers.objects import Marked, MarkedImage, ObjectsListing, by_last_part, find_by_name, list_objects
from thinkseg.data.readers.shapes import Draw, Ellipse, Polygon, corners_from
from thinkseg.data.readers.xml_events import Element, elements, root_name
from thinkseg.errors import DataError
from thinkseg.imaging import MAX_PIXELS
from thinkseg.types import Mask, Size

UNDRAWN = ("box", "polyline", "points", "cuboid", "skeleton")
"""Elements that mark an object and do not say which pixels it has."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A mask of a rectangle of its image."""

    run_lengths: tuple[int, ...]
    left: int
    top: int
    size: Size

    def __call__(self, size: Size) -> Mask:
        """The mask at the size of the image.

        Raises:
            DataError: the rectangle does not lie in the image, or the run lengths do not fill it.
        """
        right, bottom = self.left + self.size.width, self.top + self.size.height
        if self.left < 0 or self.top < 0 or right > size.width or bottom > size.height:
            raise DataError(
                f"a mask from ({self.left}, {self.top}) to ({right}, {bottom}) does not lie in the image, which is "
                f"{size.width}×{size.height}"
            )
        total = sum(self.run_lengths)
        if total != self.size.width * self.size.height:
            raise DataError(
                f"the run lengths of a mask of {self.size.width}×{self.size.height} pixels should add up to "
                f"{self.size.width * self.size.height}, found {shown(total)}"
            )
        painted = np.arange(len(self.run_lengths)) % 2 == 1
        mask = np.zeros(size.hw, dtype=bool)
        mask[self.top : bottom, self.left : right] = np.repeat(painted, self.run_lengths).reshape(self.size.hw)
        return mask


def find_cvat(root: Path, encoding: str = "") -> Path | None:
    """The XML file of CVAT in a folder, or the one that is named; None where there is none.

    Raises:
        DataError: there are several.
    """
    del encoding  # XML says its own
    files = [root] if root.is_file() else [file for file in sorted(root.glob("*.xml")) if file.is_file()]
    found = [file for file in files if file.suffix.lower() == ".xml" and root_name(file) == "annotations"]
    if len(found) > 1:
        raise DataError(f"found several files of CVAT in '{root}': name one of {', '.join(map(str, found))}")
    return found[0] if found else None


def list_cvat(file: Path, query: str = "", *, images: Path | None = None) -> dict[str, ObjectsListing]:
    """List what was marked, by the subsets of a project; "all" where there are none.

    Args:
        file: the XML.
        query: see `list_objects`.
        images: the folder of images; when None, all below the file's folder are looked at.

    Raises:
        DataError: it is no XML of CVAT for images, or not as expected; its first wrong image is named.
    """
    folder = images or file.parent
    known = by_last_part(images_below(folder).images)
    splits: dict[str, list[MarkedImage]] = {}
    faults: dict[str, list[Fault]] = {}
    bad = BadRows(file)
    taken: set[str] = set()
    for element in elements(file, ("image", "track")):
        if element.name == "track":
            raise DataError(f"'{file}' is 'CVAT for video', whose tracks are not read: export 'CVAT for images'")
        split = element.attributes.get("subset", "").lower().replace("default", "") or "all"
        marked, wrong = splits.setdefault(split, []), faults.setdefault(split, [])
        truth = f"image '{element.attributes.get('name', '')}' in '{file}'"
        try:
            name, size, objects = _image(element)
        except DataError as error:
            bad.add(f"{file}: {truth}", DataError(f"{truth}: {error}"))
            continue
        found = find_by_name(known, name)
        if len(found) == 1 and found[0] in taken:
            wrong.append(Fault(FaultKind.AMBIGUOUS, str(folder / found[0]), f"is meant more than once in '{file}'"))
        elif len(found) == 1:
            taken.add(found[0])
            marked.append(MarkedImage(found[0].rpartition(".")[0], folder / found[0], truth, objects, size))
        elif objects:
            several = f"may be {' or '.join(found[:3])}" if found else f"looked for below '{folder}'"
            kind = FaultKind.AMBIGUOUS if found else FaultKind.MISSING_IMAGE
            wrong.append(Fault(kind, name, f"named in '{file}', {several}"))
    if bad:
        raise bad.error()
    if not splits:
        raise DataError(f"'{file}' has no images: expected an export of CVAT for images 1.1")
    return {
        split: list_objects(f"{file.name} {split}", folder, marked, query, faults[split])
        for split, marked in splits.items()
    }


def _image(element: Element) -> tuple[str, Size, tuple[Marked, ...]]:
    """The name, size and objects of an image."""
    name = name_below(_text(element.attributes, "name"))
    if name is None:
        raise DataError(f"'name' should lie below the folder of images, found {shown(element.attributes['name'])}")
    size = Size(_whole(element.attributes, "width", least=1), _whole(element.attributes, "height", least=1))
    shapes = (shape for shape in element.children if shape.name in (*UNDRAWN, *_DRAWERS))
    objects = [Marked(_text(one.attributes, "label"), _draw(one, size), _group(one.attributes)) for one in shapes]
    return name, size, tuple(objects)


def _draw(shape: Element, size: Size) -> Draw | None:
    drawer = _DRAWERS.get(shape.name)
    return drawer(shape.attributes, size) if drawer else None


def _polygon(told: Mapping[str, str], size: Size) -> Draw:
    del size
    try:
        values = [float(value) for pair in _text(told, "points").split(";") for value in pair.split(",")]
    except ValueError as error:
        raise DataError(f"'points' should be 'x,y;x,y;…', found {shown(told['points'])}") from error
    return Polygon(corners_from(values, "'points'"))


def _mask(told: Mapping[str, str], size: Size) -> Draw:
    try:
        runs = tuple(int(value) for value in _text(told, "rle").split(","))
    except ValueError as error:
        raise DataError(
            f"'rle' should be whole numbers with commas between them, found {shown(told['rle'])}"
        ) from error
    inner = Size(_whole(told, "width", least=1), _whole(told, "height", least=1))
    if min(runs) < 0 or inner.width * inner.height > MAX_PIXELS:
        raise DataError(f"'rle' should be lengths of a mask that fits its image, found {shown(told['rle'])}")
    del size
    return Patch(runs, _whole(told, "left"), _whole(told, "top"), inner)


def _ellipse(told: Mapping[str, str], size: Size) -> Draw:
    across, down = size.width, size.height
    x, y, wide, high = (_number(told, name) for name in ("cx", "cy", "rx", "ry"))
    if wide <= 0 or high <= 0:
        raise DataError(f"'rx' and 'ry' should be above 0, found {wide} and {high}")
    rotation = _number(told, "rotation") if "rotation" in told else 0.0
    return Ellipse(x / across, y / down, wide / across, high / down, rotation)


_DRAWERS = {"polygon": _polygon, "mask": _mask, "ellipse": _ellipse}


def _group(told: Mapping[str, str]) -> str | None:
    group = told.get("group_id", "0")
    return group if group not in ("", "0") else None


def _text(told: Mapping[str, str], name: str) -> str:
    value = told.get(name, "").strip()
    if not value:
        raise DataError(f"it lacks '{name}'")
    return value


def _whole(told: Mapping[str, str], name: str, least: int = 0) -> int:
    try:
        number = int(_text(told, name))
    except ValueError as error:
        raise DataError(f"'{name}' should be a whole number, found {shown(told[name])}") from error
    if number < least:
        raise DataError(f"'{name}' should be at least {least}, found {number}")
    return number


def _number(told: Mapping[str, str], name: str) -> float:
    try:
        number = float(_text(told, name))
    except ValueError as error:
        raise DataError(f"'{name}' should be a number, found {shown(told[name])}") from error
    if not np.isfinite(number):
        raise DataError(f"'{name}' should be a finite number, found {shown(told[name])}")
    return number
