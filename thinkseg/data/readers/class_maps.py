"""Which class a colour, or a number, of a mask stands for: the small files that lie beside masks of several classes.

* ``labelmap.txt`` of CVAT and Datumaro: ``name:r,g,b:parts:actions``;
* ``class_names.txt`` of labelme's converter: a name a line, the first is number 0;
* ``label_colors.txt`` of CamVid: ``r g b<TAB>name``;
* CSV with a column of names and columns ``r``, ``g``, ``b``, or one of colours (``#ff8000``) or of numbers
  (``class_dict.csv``, Roboflow's ``_classes.csv``);
* JSON: ``{"crack": "#ff0000"}``, ``{"crack": [255, 0, 0]}``, ``{"#ff0000": "crack"}``, ``{"1": "crack"}``, or a list of
  objects with a name and a colour or a number.

A background (``background``, ``_background_``) is no class; what is called void, ignore or unlabelled counts neither
way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.data.fields import shown
from thinkseg.data.listing import BrokenFile, FaultKind
from thinkseg.data.readers.tables import csv_rows
from thinkseg.data.text import read_text
from thinkseg.errors import DataError

MAP_FILES = (
    "labelmap.txt", "class_names.txt", "label_colors.txt", "class_dict.csv", "_classes.csv", "classes.csv",
    "classes.json", "class_map.json", "class_map.csv", "colors.json", "colours.json", "colors.csv", "colours.csv",
)  # fmt: skip
"""What such a file is called where it is found by itself."""

BACKGROUNDS = frozenset({"background", "_background_", "__background__", "bg"})
IGNORED = frozenset({"void", "ignore", "ignored", "__ignore__", "unlabeled", "unlabelled"})

_NAMES = ("name", "class", "label", "class_name", "label_name", "title")
_COLOURS = ("color", "colour", "rgb", "color_rgb", "hex")
_NUMBERS = ("index", "id", "value", "pixel value", "pixel_value", "number", "class_id")
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")

Code = tuple[bool, int]
"""Whether it is a colour, and the colour (0xRRGGBB) or the number."""


@dataclass(frozen=True, slots=True)
class ClassMap:
    """What the colours or the numbers of masks stand for."""

    colours: Mapping[int, str]
    """Names by colour, 0xRRGGBB."""
    numbers: Mapping[int, str]
    """Names by number."""

    def names(self, *, by_number: bool) -> Mapping[int, str]:
        """The names of the classes, those that are background or ignored left out."""
        return {code: name for code, name in self._all(by_number).items() if not _is_none(name)}

    def ignored(self, *, by_number: bool) -> list[int]:
        """What counts neither way."""
        told = self._all(by_number)
        found = [code for code, name in told.items() if name.casefold() in IGNORED]
        return [*found, VOID] if by_number and VOID not in told else found

    def known(self, *, by_number: bool) -> Iterable[int]:
        """Every code that the file names, and what stands for nothing by custom."""
        return {*self._all(by_number), 0, *self.ignored(by_number=by_number)}

    def _all(self, by_number: bool) -> Mapping[int, str]:
        return self.numbers if by_number else self.colours


VOID = 255
"""The number that counts neither way where no class has it, as in Pascal VOC."""


def voc_colour(number: int) -> int:
    """The colour, 0xRRGGBB, that Pascal VOC has for a class: the bits of its number, spread over red, green and blue.

    >>> [f"{voc_colour(number):06x}" for number in (0, 1, 2, 15, 255)]
    ['000000', '800000', '008000', 'c08080', 'e0e0c0']
    """
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    red, green, blue = channels
    return red << 16 | green << 8 | blue


_VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip

VOC = ClassMap(
    {**{voc_colour(number): name for number, name in enumerate(_VOC)}, voc_colour(VOID): "void"}, dict(enumerate(_VOC))
)
"""The classes of Pascal VOC."""


def read_class_map(file: Path, encoding: str = "") -> ClassMap:
    """Read a class map of any of the kinds that the module's text names.

    Raises:
        DataError: it is none of them, or two classes share a colour or a number.
    """
    try:
        kind = file.suffix.lower()
        if kind == ".json":
            pairs = list(_from_json(json.loads(read_text(file, encoding)), file))
        elif kind == ".csv":
            pairs = [_from_row(row, f"line {line} of '{file}'") for line, row in csv_rows(file, (), encoding)]
        else:
            pairs = list(_from_lines(read_text(file, encoding), file))
    except (ValueError, RecursionError, OSError) as error:
        raise BrokenFile(FaultKind.UNREADABLE, file, f"'{file}' cannot be read as a class map ({error})") from error
    colours: dict[int, str] = {}
    numbers: dict[int, str] = {}
    for (is_colour, code), name in pairs:
        told = colours if is_colour else numbers
        if told.setdefault(code, name) != name and not (_is_none(name) and _is_none(told[code])):
            which = f"the colour #{code:06x}" if is_colour else f"the number {code}"
            raise DataError(f"'{file}' has {which} for '{told[code]}' and for '{name}': give each class its own")
    if not any(not _is_none(name) for _, name in pairs):
        raise DataError(f"'{file}' names no class: expected names with their colours or numbers")
    return ClassMap(colours, numbers)


def _is_none(name: str) -> bool:
    return name.casefold() in BACKGROUNDS | IGNORED


def _from_lines(text: str, file: Path) -> Iterable[tuple[Code, str]]:
    """Lines of a text file; where none has a colour, they are numbered."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for number, line in enumerate(lines):
        camvid = re.fullmatch(r"(\d+)[ \t]+(\d+)[ \t]+(\d+)[ \t]+(\S.*)", line)
        name, *rest = line.split(":")
        if camvid:
            yield (True, _colour(camvid.groups()[:3], file)), camvid[4].strip()
        elif rest:
            yield (True, _colour(rest[0].split(","), file)), name.strip()
        else:
            yield (False, number), line


def _from_row(row: Mapping[str, str], where: str) -> tuple[Code, str]:
    values = {name.strip().casefold(): value for name, value in row.items()}
    name = next((values[key] for key in _NAMES if values.get(key)), "")
    if not name:
        raise DataError(
            f"{where} should have the name of a class, in a column such as 'name'; it has {', '.join(values)}"
        )
    if {"r", "g", "b"} <= values.keys():
        return (True, _colour([values["r"], values["g"], values["b"]], where)), name
    return _code(values, where), name


def _from_json(content: Any, file: Path) -> Iterable[tuple[Code, str]]:
    if isinstance(content, dict) and len(content) == 1 and isinstance(next(iter(content.values())), list | dict):
        inner = next(iter(content.values()))  # {"classes": …}
        if isinstance(inner, dict) or all(isinstance(one, dict) for one in inner):
            content = inner
    if isinstance(content, list):
        for position, row in enumerate(content):
            if not isinstance(row, dict):
                raise DataError(
                    f"[{position}] in '{file}' should be an object with a name and a colour, found {shown(row)}"
                )
            values = {str(key).casefold(): value for key, value in row.items()}
            name = next((values[key] for key in _NAMES if isinstance(values.get(key), str)), "")
            if not name.strip():
                raise DataError(f"[{position}] in '{file}' should have a 'name', found {shown(row)}")
            yield _code(values, f"[{position}] in '{file}'"), name.strip()
        return
    if not isinstance(content, dict):
        raise DataError(f"'{file}' should be an object or a list of names and colours, found {shown(content)}")
    for key, value in content.items():
        where = f"'{key}' in '{file}'"
        if isinstance(value, str) and not _is_colour(value):
            yield _parsed(key, where), value.strip()
        else:
            yield _parsed(value, where), key.strip()


def _code(values: Mapping[str, Any], where: str) -> Code:
    told = [values[key] for key in (*_COLOURS, *_NUMBERS) if values.get(key) not in (None, "")]
    if not told:
        raise DataError(
            f"{where} should have a colour ('color', or 'r', 'g', 'b') or a number ('id'); it has {', '.join(values)}"
        )
    return _parsed(told[0], where)


def _is_colour(text: str) -> bool:
    return (bool(_HEX.fullmatch(text.strip())) and text.strip().startswith("#")) or text.count(",") == 2


def _parsed(told: object, where: object) -> Code:
    """A colour as "#ff8000", "255,128,0" or [255, 128, 0], or else a number."""
    if isinstance(told, list | tuple):
        return True, _colour(told, where)
    if isinstance(told, str):
        text = told.strip().strip("()[]")
        if text.count(",") == 2:
            return True, _colour(text.split(","), where)
        if text.startswith("#") and (found := _HEX.fullmatch(text)):
            return True, int(found[1], 16)
        if text.isdecimal():
            told = int(text)
    if type(told) is int and 0 <= told <= 65535:
        return False, told
    raise DataError(f"{where} should be a colour such as '#ff8000' or [255, 128, 0], or a number, found {shown(told)}")


def _colour(channels: Iterable[object], where: object) -> int:
    told = list(channels)
    numbers = [int(str(one)) if str(one).strip().isdecimal() else -1 for one in told]
    if len(numbers) != 3 or not all(0 <= number <= 255 for number in numbers):
        raise DataError(f"{where} should have a colour of three numbers from 0 to 255, found {shown(told)}")
    red, green, blue = numbers
    return red << 16 | green << 8 | blue
