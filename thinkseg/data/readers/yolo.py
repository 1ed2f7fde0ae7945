"""Polygons as YOLO has them: a text file for each image, a line for each object, corners as shares of the sides.

``class x1 y1 x2 y2 …``; a line of a class and four numbers is a box, of which no mask is known. The names of the
classes stand in a YAML file (``data.yaml``, of Ultralytics, Roboflow, CVAT and others), which also says which images
are in which split, or a line each in ``classes.txt`` or ``obj.names`` (Label Studio, older tools). The labels of
``images/a.jpg`` are ``labels/a.txt``; those of an image in no folder ``images`` lie beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from thinkseg.data.fields import shown
from thinkseg.data.listing import BrokenFile, Fault, FaultKind
from thinkseg.data.names import images_below, name_below, tell_passed_over
from thinkseg.data.readers.objects import Marked, MarkedImage, ObjectsListing, list_objects
from thinkseg.data.readers.shapes import Polygon, corners_from
from thinkseg.data.text import read_text
from thinkseg.errors import DataError, reason_of
from thinkseg.imaging import IMAGE_SUFFIXES

YAML_SUFFIXES = (".yaml", ".yml")
NAME_FILES = ("classes.txt", "obj.names")
SPLITS = ("train", "val", "valid", "test")
"""Keys of the YAML file, and names of folders, that are splits."""

_LABELS = ("labels", "*/labels", "obj_train_data")
"""Folders of labels, where no YAML file says where the images are."""

_FARTHEST = 0.5
"""How far outside the image a corner may lie, as a share of its side: tools let a hand slip over the rim."""


def find_yolo(root: Path, encoding: str = "") -> Path | None:
    """The file that names the classes of a folder in YOLO's format, or None.

    Args:
        root: the folder, or such a file.
        encoding: of the files, where it is not UTF-8.

    Raises:
        DataError: a YAML file is in another encoding.
    """
    files = [root] if root.is_file() else sorted(root.iterdir())
    for file in files:
        if file.suffix.lower() in YAML_SUFFIXES and file.is_file():
            try:
                content = _yaml(file, encoding)
            except BrokenFile:
                continue  # another tool's
            if "names" in content and not content.keys().isdisjoint(SPLITS):
                return file
    places = [folder for pattern in _LABELS for folder in files[0].parent.glob(pattern)] if files else []
    return next((file for file in files if file.name in NAME_FILES and file.is_file() and places), None)


def list_yolo(file: Path, query: str = "", *, encoding: str = "") -> dict[str, ObjectsListing]:
    """List the splits of a folder in YOLO's format; "all" where it has none.

    Args:
        file: that names the classes: YAML, ``classes.txt`` or ``obj.names``. The data lie in its folder.
        query: see `list_objects`.
        encoding: of the files, where it is not UTF-8.

    Raises:
        DataError: the file or a folder that it names is not there or not as expected, or all objects are boxes.
    """
    root = file.parent
    content = _yaml(file, encoding) if file.suffix.lower() in YAML_SUFFIXES else {}
    names = _names(content, file) if content else _lines(file, encoding)
    if "kpt_shape" in content:
        raise DataError(
            f"'{file}' is of keypoints ('kpt_shape'), which no mask follows from: mark the objects with polygons"
        )
    splits = {
        key: [
            name
            for value in (told if isinstance(told, list) else [told])
            for name in _images(root, value, content, file)
        ]
        for key, told in content.items()
        if key in SPLITS and told
    }
    return {
        split: _listing(split, root, images, names, query, encoding)
        for split, images in (splits or _splits_of_folders(root)).items()
    }


def _listing(
    split: str, root: Path, images: Sequence[str], names: Mapping[int, str], query: str, encoding: str
) -> ObjectsListing:
    marked: list[MarkedImage] = []
    faults: list[Fault] = []
    taken: dict[str, str] = {}
    for image in images:
        identifier = image.rpartition(".")[0]
        if (other := taken.setdefault(identifier, image)) != image:
            faults.append(Fault(FaultKind.AMBIGUOUS, str(root / image), f"shares its labels with {root / other}"))
            continue
        file = root / labels_of(image)
        if os.path.isfile(file):  # an image without objects needs none
            try:
                objects = tuple(_objects(file, names, encoding))
            except DataError as error:
                faults.append(Fault(FaultKind.BAD_RECORD, str(file), str(error)))
            else:
                marked.append(MarkedImage(identifier, root / image, str(file), objects))
    listing = list_objects(f"{root.absolute().name} {split}", root, marked, query, faults)
    if not images:
        listing.faults = [Fault(FaultKind.MISSING_IMAGE, str(root), f"there is no image of the split '{split}'")]
    return listing


def labels_of(image: str) -> str:
    """Where the labels of an image lie: the last folder ``images`` in its path becomes ``labels``.

    >>> labels_of("images/train/a.jpg"), labels_of("train/images/b.c.png"), labels_of("c.jpg")
    ('labels/train/a.txt', 'train/labels/b.c.txt', 'c.txt')
    """
    before, images, after = f"/{image}".rpartition("/images/")
    path = f"{before}/labels/{after}" if images else f"/{image}"
    return str(PurePosixPath(path[1:]).with_suffix(".txt"))


def _objects(file: Path, names: Mapping[int, str], encoding: str) -> Iterator[Marked]:
    """The objects that a file of labels names."""
    for number, line in enumerate(read_text(file, encoding).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        where = f"line {number} of '{file}'"
        try:
            kind, values = _number_of_class(words[0]), [float(word) for word in words[1:]]
        except ValueError as error:
            raise DataError(f"{where} should be a class and numbers, found {shown(line)}") from error
        if kind not in names:
            raise DataError(f"{where} is of class {kind}, and the classes are {min(names)} to {max(names)}")
        if len(values) == 4:
            yield Marked(names[kind], None)
            continue
        corners = corners_from(values, where)
        if not bool(((corners >= -_FARTHEST) & (corners <= 1 + _FARTHEST)).all()):
            raise DataError(f"{where} should have shares of width and height, from 0 to 1, found {shown(values[:4])}")
        yield Marked(names[kind], Polygon(corners, shares=True))


def _number_of_class(word: str) -> int:
    """Of a line's first word; some tools write 0.0 or 0.000000e+00."""
    number = float(word)
    if not number.is_integer() or abs(number) > 1e9:
        raise ValueError(f"expected the number of a class, found {word}")
    return int(number)


def _yaml(file: Path, encoding: str) -> Mapping[str, Any]:
    try:
        # Every value as it is written: a class may be called yes, 1.0, null or 007.
        content = yaml.load(read_text(file, encoding), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BrokenFile(FaultKind.UNREADABLE, file, f"'{file}' cannot be read as YAML ({reason_of(error)})") from error
    if not isinstance(content, dict):
        raise BrokenFile(FaultKind.BAD_RECORD, file, f"'{file}' should have 'names', found {shown(content)}")
    return {str(key): value for key, value in content.items()}


def _names(content: Mapping[str, Any], file: Path) -> Mapping[int, str]:
    told = content.get("names")
    pairs = list(enumerate(told)) if isinstance(told, list) else list(told.items()) if isinstance(told, dict) else []
    names = {int(key): name.strip() for key, name in pairs if _is_number(key) and isinstance(name, str)}
    if not pairs or len(names) != len(pairs) or not all(names.values()):
        raise DataError(f"'names' in '{file}' should name the classes, as a list or by number, found {shown(told)}")
    return names


def _is_number(key: object) -> bool:
    return type(key) is int or (isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 10)


def _lines(file: Path, encoding: str) -> Mapping[int, str]:
    names = [line.strip() for line in read_text(file, encoding).splitlines()]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise DataError(f"'{file}' should have the name of a class in every line, found {shown(names[:3])}")
    return dict(enumerate(names))


def _images(root: Path, told: object, content: Mapping[str, Any], file: Path) -> list[str]:
    """The images of a split, from the root on: of a folder, or what a text file lists; none where neither is there."""
    if not isinstance(told, str):
        raise DataError(f"a split in '{file}' should be a folder or a list of images, found {shown(told)}")
    base = content.get("path")
    place = _below(root, told, base if isinstance(base, str) else "")
    if place is None:
        return []
    if os.path.isdir(root / place):
        below = images_below(root / place)
        tell_passed_over(below.passed_over, root / place)
        return [name if place == "." else f"{place}/{name}" for name in below.images]
    lines = [line.strip() for line in read_text(root / place).splitlines()]
    return sorted({_listed(root, line, base if isinstance(base, str) else "", root / place) for line in lines if line})


def _listed(root: Path, line: str, base: str, file: Path) -> str:
    image = _below(root, line, base)
    if image is None or not image.lower().endswith(tuple(IMAGE_SUFFIXES)):
        raise DataError(f"'{file}' names the image '{line}', and there is none of this name below '{root}'")
    return image


def _below(root: Path, told: str, base: str) -> str | None:
    """A path of the YAML file as one that is there below the root, or None.

    Such files say paths as they were on another machine: from a folder ``path`` on that is elsewhere by now, one folder
    too high (Roboflow's ``../train/images``), or with a folder in front that the archive does not have (CVAT's
    ``data/images/train``). Nothing outside the root is looked at.
    """
    parts, before = _parts(told), _parts(base)
    if not parts:
        return "."
    tried = [[*before[first:], *parts] for first in range(len(before) + 1)]
    tried += [parts[1:]] if parts[0] == "data" else []
    is_whole = told.startswith("/") or bool(PureWindowsPath(told).drive)
    tried += [parts[first:] for first in range(1, len(parts) - 1)] if is_whole else []
    names = (name_below("/".join(some)) for some in tried if some)
    return next((name for name in names if name is not None and os.path.exists(root / name)), None)


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _splits_of_folders(root: Path) -> Mapping[str, list[str]]:
    """The images below a root by its folders that are called as splits are; "all" where there are none."""
    splits: dict[str, list[str]] = {}
    for image in images_below(root).images:
        named = [part for part in image.split("/")[:-1] if part in SPLITS]
        splits.setdefault(named[0] if named else "all", []).append(image)
    return splits if "all" not in splits else {"all": [image for images in splits.values() for image in images]}
