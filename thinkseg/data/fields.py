"""Fields of JSON objects, each of the kind that it should have; a wrong one is told with its row, name and value.

A number that a program wrote as text ("12") or with a point (12.0) is that number; nothing is rounded, cut or guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from thinkseg.data.text import is_whole
from thinkseg.errors import DataError

_DIGITS = re.compile(r"-?[0-9]+", re.ASCII)
_MISSING = object()
_MOST_DIGITS = 4300
"""Python reads no whole number of more from text, nor does JSON."""
_MOST_SHOWN = 60
"""Characters of a value that a message shows."""


class FieldError(DataError):
    """A field is missing or of another kind."""


class Fields:
    """One JSON object.

    Args:
        values: it.
        where: what an error calls it; or the list that it is in, its place in there and the file, of which a name such
            as ``annotations[3] in 'a.json'`` is made when there is an error.

    Raises:
        FieldError: it is no object; later, a field is not as asked for.
    """

    __slots__ = ("_values", "_where")

    def __init__(self, values: object, where: str | tuple[str, int, object]) -> None:
        self._where = where
        if not isinstance(values, dict):
            raise FieldError(f"{self.where} should be a JSON object, found {shown(values)}")
        self._values: Mapping[str, Any] = values

    @property
    def where(self) -> str:
        """What an error calls it."""
        if isinstance(self._where, str):
            return self._where
        name, position, file = self._where
        return f"{name}[{position}] in '{file}'"

    def names(self) -> Iterable[str]:
        """The names of its fields."""
        return self._values.keys()

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._values.get(name) is not None

    def says(self, name: str) -> bool:
        """Whether the field is there and neither null nor blank text."""
        value = self._values.get(name)
        return value is not None and not (isinstance(value, str) and not value.strip())

    def get(self, name: str) -> Any:
        """The field, whatever it is; None where it is not there."""
        return self._values.get(name)

    def raw(self, name: str) -> Any:
        """The field, whatever it is; it has to be there."""
        value = self._values.get(name, _MISSING)
        if value is _MISSING:
            raise FieldError(f"{self.where} lacks '{name}'")
        return value

    def whole(self, name: str) -> int:
        """A whole number."""
        value = self.raw(name)
        return value if type(value) is int else self._whole(value, name)

    def number(self, name: str) -> float:
        """A finite number."""
        return self._number(self.raw(name), name)

    def numbers(self, name: str, count: int) -> list[float]:
        """So many finite numbers."""
        values = self.raw(name)
        if not isinstance(values, list) or len(values) != count:
            raise self.wrong(name, f"a list of {count} numbers")
        return [self._number(value, name) for value in values]

    def wholes(self, name: str) -> list[int]:
        """Whole numbers, as many as there are."""
        values = self.raw(name)
        if not isinstance(values, list | tuple):
            raise self.wrong(name, "a list of whole numbers")
        return [self._whole(value, name) for value in values]

    def text(self, name: str) -> str:
        """Text that is not blank, blanks at its ends taken off."""
        value = self.raw(name)
        if not isinstance(value, str) or not value.strip() or not is_whole(value):
            raise self.wrong(name, "text")
        return value.strip()

    def name(self, name: str) -> str:
        """A name: text, or a whole number, which some tools write."""
        value = self.raw(name)
        return str(value) if type(value) is int else self.text(name)

    def flag(self, name: str) -> bool:
        """Yes or no: true and false, 1 and 0; no where it is missing or null."""
        value = self._values.get(name)
        if value is None:
            return False
        if value in (0, 1, "0", "1"):  # true and false, 1.0 and 0.0 are among them
            return int(value) == 1
        raise self.wrong(name, "0 or 1, true or false")

    def wrong(self, name: str, expected: str) -> FieldError:
        """The error that tells what a field should be, and what it is."""
        return FieldError(f"'{name}' of {self.where} should be {expected}, found {shown(self._values.get(name))}")

    def _whole(self, value: object, name: str) -> int:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and len(value) <= _MOST_DIGITS and _DIGITS.fullmatch(value.strip()):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self.wrong(name, "a whole number")

    def _number(self, value: object, name: str) -> float:
        number = finite(value)
        if number is None:
            raise self.wrong(name, "a finite number")
        return number


def finite(value: object) -> float | None:
    """A number of JSON as a fraction; None where it is none, not finite, or a whole number that no fraction can be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def objects(content: Any, name: str, file: object) -> Iterator[Fields]:
    """The objects in a list of a JSON file, one by one.

    Raises:
        FieldError: there is no such list, or something else in it.
    """
    yield from (Fields(row, (name, position, file)) for position, row in enumerate(list_in(content, name, file)))


def list_in(content: Any, name: str, file: object) -> list[Any]:
    """A list of a JSON file, whatever is in it.

    Raises:
        FieldError: there is none.
    """
    told = Fields(content, f"'{file}'")
    rows = told.raw(name)
    if not isinstance(rows, list):
        raise told.wrong(name, "a list")
    return rows


def shown(value: object) -> str:
    """A value as a message shows it, cut where it is long."""
    if value is None:
        return "nothing"
    text = ascii(value) if isinstance(value, str) and not is_whole(value) else repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
