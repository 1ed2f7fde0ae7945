"""Exports of Label Studio, as JSON or JSON-MIN: tasks, each with an image and what was marked in it.

Polygons (``polygonlabels``), brushes (``brushlabels``, whose run lengths `thinkseg.data.readers.brushes` unpacks) and
ellipses become masks; a rectangle or a keypoint marks an object whose mask is not known. Each region is an object. Of
several annotations of a task the one that was changed last counts, cancelled ones and a model's predictions do not.

Images are named by where Label Studio had them (``/data/upload/3/1f0c2a9e-a.jpg``,
``/data/local-files/?d=shots/a.jpg``, ``https://…/a.jpg``); they are looked for below the folder by the end of the path,
with or without the eight digits that an upload puts in front.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from jaxtyping import Float64

from thinkseg.data.fields import FieldError, Fields, finite, shown
from thinkseg.data.listing import BadRows, BrokenFile, Fault, FaultKind
from thinkseg.data.names import images_below, json_files
from thinkseg.data.readers.brushes import mask_from_brush
from thinkseg.data.readers.objects import Marked, MarkedImage, ObjectsListing, by_last_part, find_by_name, list_objects
from thinkseg.data.readers.shapes import Draw, Ellipse, Polygon, corners_from
from thinkseg.data.text import read_text
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import IMAGE_SUFFIXES
from thinkseg.types import Mask, Size

_LABELS = ("polygonlabels", "brushlabels", "ellipselabels", "rectanglelabels", "keypointlabels", "labels")
"""Under what a region has its labels; the last is for brushes and polygons whose labels are a tool of their own."""

_START = 4096
"""Letters at the beginning of a file that are looked at before all of it is read."""
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")


@dataclass(frozen=True, slots=True)
class Brush:
    """The mask of a brush."""

    run_lengths: bytes
    size: Size
    """Of the image, as the export says."""

    def __call__(self, size: Size) -> Mask:
        """Its mask; it has the size of its image alone, which the listing has checked."""
        del size
        return mask_from_brush(self.run_lengths, self.size)


def find_label_studio(root: Path, encoding: str = "") -> Path | None:
    """A file that Label Studio exported: the only one of a folder that is, or the one that is named; or None.

    Raises:
        DataError: there are several.
    """
    files = [root] if root.is_file() else [file for file in json_files(root) if file.is_file()]
    found = [file for file in files if _is_export(file, encoding)]
    if len(found) > 1:
        raise DataError(f"found several exports of Label Studio in '{root}': name one of {', '.join(map(str, found))}")
    return found[0] if found else None


def list_label_studio(file: Path, query: str = "", *, images: Path | None = None, encoding: str = "") -> ObjectsListing:
    """List what was marked.

    Args:
        file: the export, JSON or JSON-MIN.
        query: see `list_objects`.
        images: the folder of images; when None, all below the file's folder are looked at.
        encoding: of the file, where it is not UTF-8.

    Raises:
        DataError: the file is not as expected; its first wrong task is named.
    """
    folder = images or file.parent
    known = by_last_part(images_below(folder).images)
    marked: list[MarkedImage] = []
    faults: list[Fault] = []
    bad = BadRows(file)
    taken: dict[str, str] = {}
    for position, task in enumerate(_tasks(file, encoding)):
        try:
            fields = Fields(task, ("tasks", position, file))
            name, regions = _image_of(fields), _regions(fields)
            size, objects = _size(regions), tuple(marks for region in regions for marks in _marked(region))
        except InputError as error:
            bad.add(f"{file}: tasks[{position}]", error if isinstance(error, DataError) else DataError(str(error)))
            continue
        if not objects:
            continue  # not annotated
        truth = f"task {fields.get('id') or position} in '{file}'"
        found = _find(known, name)
        if len(found) != 1:
            several = f"may be {' or '.join(found[:3])}" if found else f"looked for below '{folder}'"
            kind = FaultKind.AMBIGUOUS if found else FaultKind.MISSING_IMAGE
            faults.append(Fault(kind, name, f"named in {truth}, {several}"))
        elif other := taken.get(found[0], ""):
            faults.append(Fault(FaultKind.AMBIGUOUS, str(folder / found[0]), f"is the image of {other} and of {truth}"))
        else:
            taken[found[0]] = truth
            marked.append(MarkedImage(found[0].rpartition(".")[0], folder / found[0], truth, objects, size))
    if bad:
        raise bad.error(f"; '{file}' should be an export of Label Studio")
    return list_objects(file.name, folder, marked, query, faults)


def _is_export(file: Path, encoding: str) -> bool:
    """Whether a file has tasks; all of it is read only where its beginning looks like them."""
    try:
        start = read_text(file, encoding)[:_START] if encoding else _beginning(file)
        if not start.lstrip("\ufeff \t\r\n").startswith("["):
            return False
        tasks = _tasks(file, encoding)
    except DataError:
        return False
    first = tasks[0] if tasks else None
    if not isinstance(first, dict):
        return False
    annotated = "data" in first and not first.keys().isdisjoint(("annotations", "completions"))
    return annotated or any(_is_min(value) for value in first.values())


def _beginning(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(_START).decode("utf-8", "replace")


def _tasks(file: Path, encoding: str) -> list[Any]:
    try:
        content = json.loads(read_text(file, encoding))
    except (DataError, ValueError, RecursionError, OSError) as error:
        message = f"'{file}' should be an export of Label Studio: it cannot be read as JSON ({error})"
        raise BrokenFile(FaultKind.UNREADABLE, file, message) from error
    if not isinstance(content, list):
        message = f"'{file}' should be an export of Label Studio, a list of tasks, found {shown(content)}"
        raise BrokenFile(FaultKind.BAD_RECORD, file, message)
    return content


def _is_min(value: object) -> bool:
    """Whether a value of a task holds regions, as JSON-MIN has them."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and _labels(one) for one in value)


def _labels(names: Iterable[str]) -> str:
    """Under what name a region has its labels, of the names of its fields; empty where it is none."""
    return next((name for name in _LABELS if name in names), "")


def _image_of(task: Fields) -> str:
    """The path of a task's image, as Label Studio had it."""
    data = Fields(task.raw("data"), f"'data' of {task.where}") if task.has("data") else task
    named = (name for name in data.names() if str(data.get(name)).lower().endswith(tuple(IMAGE_SUFFIXES)))
    name = "image" if data.has("image") else next(named, "image")
    parts = urlsplit(data.text(name))
    local = parse_qs(parts.query).get("d", [""])[0]
    return (local or unquote(parts.path)).replace("\\", "/").lstrip("/")


def _regions(task: Fields) -> list[Fields]:
    """The regions of a task: of the annotation that counts, or those of JSON-MIN."""
    if task.has("annotations") or task.has("completions"):
        told = task.raw("annotations") if task.has("annotations") else task.raw("completions")
        rows = told if isinstance(told, list) else []
        kept = [row for row in rows if isinstance(row, dict) and not row.get("was_cancelled")]
        chosen = max(enumerate(kept), key=lambda row: (str(row[1].get("updated_at") or ""), row[0]), default=(0, {}))[1]
        results = chosen.get("result")
        if not isinstance(results, list):
            results = []
        return [
            Fields({**row, **row["value"]}, f"a region of {task.where}")
            for row in results
            if isinstance(row, dict) and isinstance(row.get("value"), dict) and _labels(row["value"])
        ]
    return [Fields(row, f"a region of {task.where}") for name in _min_fields(task) for row in task.raw(name)]


def _min_fields(task: Fields) -> Iterable[str]:
    return (name for name in task.names() if _is_min(task.get(name)))


def _size(regions: Sequence[Fields]) -> Size | None:
    sizes = {(region.whole("original_width"), region.whole("original_height"))
             for region in regions if region.has("original_width")}  # fmt: skip
    if len(sizes) > 1 or any(min(size) < 1 for size in sizes):
        raise FieldError(f"the regions of an image should have one size of at least one pixel, found {sorted(sizes)}")
    return Size(*sizes.pop()) if sizes else None


def _marked(region: Fields) -> Iterator[Marked]:
    """A region as an object of each class that it has."""
    kind = _labels(region.names())
    names = region.raw(kind)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise region.wrong(kind, "a list of names")
    if region.get("image_rotation") not in (None, 0, 360):
        raise region.wrong("image_rotation", "0: turn the image itself, and mark it then")
    draw = _draw(region)
    for name in names:
        yield Marked(name.strip(), draw)


def _draw(region: Fields) -> Draw | None:
    """How a region is drawn; None where it does not say which pixels it has."""
    if region.has("rle"):
        return _brush(region)
    if region.has("points"):
        return Polygon(_corners(region) / 100, shares=True)
    if region.has("radiusX"):
        rotation = region.number("rotation") if region.has("rotation") else 0.0
        radii = region.number("radiusX"), region.number("radiusY")
        if min(radii) <= 0:
            raise region.wrong("radiusX" if radii[0] <= 0 else "radiusY", "above 0")
        x, y, wide, high = (value / 100 for value in (region.number("x"), region.number("y"), *radii))
        return Ellipse(x, y, wide, high, rotation)
    return None


def _brush(region: Fields) -> Brush:
    if region.get("format") != "rle":
        raise region.wrong("format", "'rle'")
    told = region.raw("rle")
    if not isinstance(told, list) or not all(type(value) is int and 0 <= value <= 255 for value in told):
        raise region.wrong("rle", "a list of numbers from 0 to 255")
    return Brush(bytes(told), Size(region.whole("original_width"), region.whole("original_height")))


def _corners(region: Fields) -> Float64[np.ndarray, "corners 2"]:
    told = region.raw("points")
    pairs = [pair for pair in told if isinstance(pair, list) and len(pair) == 2] if isinstance(told, list) else []
    numbers = [number for pair in pairs for value in pair if (number := finite(value)) is not None]
    if not isinstance(told, list) or len(numbers) != 2 * len(told):
        raise region.wrong("points", "pairs of numbers from 0 to 100")
    return corners_from(numbers, region.where)


def _find(known: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """The images that a path of Label Studio may mean, with or without the digits in front of an upload."""
    found = find_by_name(known, name)
    above, _, last = name.rpartition("/")
    bare = _UPLOADED.sub("", last, count=1)
    return found or (find_by_name(known, f"{above}/{bare}".lstrip("/")) if bare != last else [])
