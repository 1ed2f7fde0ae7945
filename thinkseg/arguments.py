"""Arguments of the public calls: one of the wrong kind is told in a sentence, before anything is done with it.

::

    @takes(folder=PATH, name=optional(TEXT))
    def save(folder, name=None): ...

    save(3)   # InputError: 'folder' of save should be a path, found 3

What is true of the value beyond its kind (a file that is there, a name that is known) is the call's business.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import wraps
from os import PathLike
from typing import Any, TypeVar, cast

from thinkseg.errors import InputError
from thinkseg.extension import described

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Kind:
    """What an argument can be."""

    words: str
    """For the sentence."""
    holds: Callable[[Any], bool]
    """Whether a value is of this kind."""

    def __or__(self, other: Kind) -> Kind:
        """Either of the two."""
        return Kind(f"{self.words} or {other.words}", lambda value: self.holds(value) or other.holds(value))


def optional(kind: Kind) -> Kind:
    """The kind, or None."""
    return kind | Kind("None", lambda value: value is None)


def instance(words: str, *types: type) -> Kind:
    """A value of one of these types."""
    return Kind(words, lambda value: isinstance(value, types))


def having(words: str, method: str) -> Kind:
    """A value that has this method."""
    return Kind(words, lambda value: not isinstance(value, type) and callable(getattr(value, method, None)))


def many(kind: Kind, words: str) -> Kind:
    """A list, a tuple, a set or the like of values of this kind; text is none."""

    def holds(value: Any) -> bool:
        is_list = isinstance(value, Sequence | Set) and not isinstance(value, str | bytes)
        return is_list and all(kind.holds(item) for item in value)

    return Kind(words, holds)


def read_one_by_one(kind: Kind, words: str) -> Kind:
    """A list or tuple of values of this kind, or what else has a length and gives its values by their places.

    The values of the latter are not asked for: each may be a file that is read.
    """

    def holds(value: Any) -> bool:
        if isinstance(value, list | tuple):
            return all(kind.holds(item) for item in value)
        gives = all(hasattr(type(value), name) for name in ("__len__", "__getitem__"))
        return gives and not isinstance(value, str | bytes | Mapping)

    return Kind(words, holds)


def _is_path(value: Any) -> bool:
    if isinstance(value, PathLike):
        value = value.__fspath__()
    return isinstance(value, str) and "\0" not in value


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ == "bool" or (_is_whole(value) and value in (0, 1))


TEXT = instance("text", str)
NAME = Kind("the name of a file", lambda value: isinstance(value, str) and "\0" not in value)
PATH = Kind("a path", _is_path)
FLAG = Kind("true or false", _is_flag)
WHOLE = Kind("a whole number", _is_whole)
COUNT = Kind("a whole number from 1", lambda value: _is_whole(value) and value >= 1)
FROM_0 = Kind("a whole number from 0", lambda value: _is_whole(value) and value >= 0)
NAMES = many(TEXT, "a list of names")
MAPPING = instance("a mapping", Mapping)
FUNCTION = Kind("a function", callable)
ITERABLE = Kind("a list", lambda value: isinstance(value, Iterable) and not isinstance(value, str | bytes))


def takes(**kinds: Kind) -> Callable[[F], F]:
    """Let a call refuse arguments that are not of these kinds; those that are not given are not looked at.

    Args:
        kinds: by the name of the parameter.

    Raises:
        InputError: by the call, in one sentence.
    """

    def checked(function: F) -> F:
        signature = inspect.signature(function)
        assert kinds.keys() <= signature.parameters.keys(), function.__name__

        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            for name, value in signature.bind(*args, **options).arguments.items():
                if name in kinds:
                    check(value, kinds[name], f"'{name}' of {function.__name__}")
            return function(*args, **options)

        return cast(F, call)

    return checked


def check(value: Any, kind: Kind, what: str) -> None:
    """Refuse a value that is not of a kind.

    Args:
        value: is looked at.
        kind: what it should be.
        what: what it is called, for the sentence.

    Raises:
        InputError: it is of another kind.
    """
    if not kind.holds(value):
        raise InputError(f"{what} should be {kind.words}, found {described(value)}")
