"""JSON files of the tool labelme (and of X-AnyLabeling, which writes the same): one for each image, with its shapes.

A label is a class; shapes of one label and "group_id" are one object. Polygons, circles and masks are drawn as labelme
draws them; a rectangle, a line or a point marks an object whose mask is not known. ``_background_`` is no class, and
``__ignore__`` marks pixels that count neither way, as in labelme's own examples. The image is the one that "imagePath"
names, from the file's folder on, or else the one of the file's name beside it (older files name themselves);
"imageData" is not read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from thinkseg.data.fields import Fields, shown
from thinkseg.data.listing import Fault, FaultKind
from thinkseg.data.names import files_below, is_json, name_below
from thinkseg.data.readers.labelme_shapes import Drawer, drawer_of, paint_polygon
from thinkseg.data.readers.objects import Marked, MarkedImage, ObjectsListing, list_objects
from thinkseg.data.readers.shapes import Draw
from thinkseg.data.text import read_text
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import IMAGE_SUFFIXES
from thinkseg.types import Mask, Size

BACKGROUND = "_background_"
IGNORED = "__ignore__"
UNDRAWN = ("rectangle", "line", "linestrip", "point", "points")
"""Shapes that mark an object and do not say which pixels it has."""

_LOOKED_AT = 20
"""So many JSON files of a folder are looked at to find one of labelme's."""


def find_labelme(root: Path, encoding: str = "") -> Path | None:
    """A folder that labelme's files lie in or below, or one such file; None where there is none."""
    if root.is_file() and not is_json(root):
        return None
    files = [root] if root.is_file() else (root / name for name in files_below(root) if is_json(name))
    for file in islice(files, _LOOKED_AT):
        try:
            if _is_of_labelme(_json(file, encoding)):
                return root
        except DataError:
            continue  # another tool's
    return None


def list_labelme(root: Path, query: str = "", *, images: Path | None = None, encoding: str = "") -> ObjectsListing:
    """List what was marked in a folder.

    Args:
        root: the folder, or one of labelme's files.
        query: see `list_objects`.
        images: a folder where images are looked for that are not where the files say.
        encoding: of the files, where it is not UTF-8.

    Raises:
        DataError: the query is for one class and there are several, or nothing has a mask.
    """
    folder = root.parent if root.is_file() else root
    names = [root.name] if root.is_file() else [name for name in files_below(root) if is_json(name)]
    marked: list[MarkedImage] = []
    faults: list[Fault] = []
    for name in names:
        file = folder / name
        try:
            content = _json(file, encoding)
            if _is_of_labelme(content):
                marked.append(_marked(folder, name, content, images))
        except (InputError, ValueError) as error:
            faults.append(Fault(FaultKind.BAD_RECORD, str(file), str(error)))
    return list_objects(folder.absolute().name, folder, marked, query, faults)


def _is_of_labelme(content: object) -> bool:
    return isinstance(content, dict) and {"shapes", "imagePath"} <= content.keys() and "text" not in content


def _json(file: Path, encoding: str) -> Any:
    try:
        return json.loads(read_text(file, encoding))
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(f"'{file}' cannot be read as JSON ({error})") from error


def _marked(folder: Path, name: str, content: dict[str, Any], images: Path | None) -> MarkedImage:
    told = Fields(content, f"'{folder / name}'")
    if not isinstance(content["shapes"], list):
        raise told.wrong("shapes", "a list")
    objects: list[Marked] = []
    ignored: list[Draw] = []
    for number, shape in enumerate(content["shapes"]):
        try:
            fields = Fields(shape, "it")
            label, draw = fields.name("label"), _draw(fields)
        except (InputError, ValueError) as error:
            raise DataError(f"shape {number} in '{folder / name}' cannot be drawn: {error}") from error
        if label == IGNORED and draw is not None:
            ignored.append(draw)
        elif label not in (BACKGROUND, IGNORED):
            group = fields.get("group_id")
            objects.append(Marked(label, draw, group if isinstance(group, int | str) else None))
    size = Size(told.whole("imageWidth"), told.whole("imageHeight")) if told.has("imageWidth") else None
    image = _image(folder, name, told.text("imagePath"), images)
    return MarkedImage(os.path.splitext(name)[0], image, str(folder / name), tuple(objects), size, tuple(ignored))


def _draw(shape: Fields) -> Draw | None:
    """How a shape is drawn; None where it does not say which pixels it has."""
    kind = shape.get("shape_type") or "polygon"
    if kind in UNDRAWN:
        return None
    if kind == "polygon" and isinstance(shape.raw("points"), list) and len(shape.raw("points")) < 3:
        raise ValueError(f"a polygon has 3 corners or more, found {shown(shape.raw('points'))}")
    return _Shape(drawer_of(shape, paint_polygon))


class _Shape:
    """The mask of a shape at a size."""

    def __init__(self, drawer: Drawer) -> None:
        self._drawer = drawer

    def __call__(self, size: Size) -> Mask:
        canvas = np.zeros(size.hw, dtype=np.uint8)
        self._drawer(canvas, 1)
        mask: Mask = canvas == 1
        return mask


def _image(folder: Path, name: str, told: str, images: Path | None) -> Path:
    """The image that a file is about: the first that is there of those it may mean, or else the first of these."""
    candidates = [image for image in _images(folder, name, told, images) if not is_json(image)]
    return next((image for image in candidates if os.path.isfile(image)), candidates[0])


def _images(folder: Path, name: str, told: str, images: Path | None) -> Iterator[Path]:
    """Where the image may lie, never outside the folders: as the file says, by its last part, or by the file's name."""
    above = name.rpartition("/")[0]
    plain = told.replace("\\", "/")
    last = plain.rpartition("/")[2]
    stem = os.path.splitext(name)[0]
    if (below := name_below(f"{above}/{plain}".lstrip("/") if not plain.startswith("/") else plain)) is not None:
        yield folder / below
    if images is not None:
        yield images / last
    yield folder / above / last
    for suffix in (*sorted(IMAGE_SUFFIXES), *(suffix.upper() for suffix in sorted(IMAGE_SUFFIXES))):
        yield folder / f"{stem}{suffix}"
        if images is not None:
            yield images / f"{stem.rpartition('/')[2]}{suffix}"
