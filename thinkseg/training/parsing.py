"""From words to settings: YAML, the flags of a command line, and dataclasses whose every key and value is checked.

Nothing here knows what a recipe holds; `thinkseg.training.config` does.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from thinkseg.errors import RecipeError

Elsewhere = Callable[[str, str], str | None]
"""From the section and the name of a setting that does not exist to the dotted name of what may be meant, or None."""


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Values by dotted name from ``--key value`` and ``--key=value``; a value is read as in YAML.

    Raises:
        RecipeError: a word that is no flag, or a flag without a value.
    """
    values: dict[str, Any] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("--") or word == "--":
            raise RecipeError(f"expected a setting such as --steps 100, found '{word}'")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not queue or re.match(r"--[a-z]", queue[0]):
                raise RecipeError(f"the setting --{key} has no value; write --{key} VALUE")
            value = queue.pop(0)
        values[key] = parse_yaml(value, f"the value of --{key}")
    return values


class _Loader(yaml.SafeLoader):
    """YAML whose numbers are those of YAML 1.2 (``1e-6`` is one) and whose mappings name a key once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """As in PyYAML, but a key that comes twice is an error."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{twice[0]}' comes twice", node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+|\d+\.\d*|\.\d+)\Z"),
    list("-+.0123456789"),
)


def parse_yaml(text: str, where: str) -> Any:
    """The value that a YAML text holds; `where` begins the sentence of an error."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def put(settings: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a value by its dotted name, making sections that are not there."""
    *sections, last = dotted.split(".")
    inner = settings
    for name in sections:
        if not isinstance(inner.get(name), dict):
            inner[name] = {}
        inner = inner[name]
    inner[last] = value


def build(section: Any, settings: Any, elsewhere: Elsewhere, prefix: str = "") -> Any:
    """A dataclass from a mapping, each key and value checked, sections and all.

    Args:
        section: the dataclass.
        settings: what its fields are to be, by name.
        elsewhere: what an unknown setting may mean, where no field of its section has a name like it.
        prefix: the dotted name of the section with a dot behind it, for messages.

    Raises:
        RecipeError: a key that does not exist, is missing, or has a value of the wrong kind.
    """
    if not isinstance(settings, Mapping):
        raise RecipeError(f"'{prefix[:-1]}' should be a section of settings, found {kind_of(settings)}")
    hints = get_type_hints(section)
    for key in settings:
        if key not in hints:
            raise RecipeError(
                f"there is no setting '{prefix}{key}'{_nearest(str(key), list(hints), prefix, elsewhere)}"
            )
    needed = [item.name for item in dataclasses.fields(section) if _has_no_default(item)]
    missing = [prefix + name for name in needed if name not in settings]
    if missing:
        raise RecipeError(f"the recipe has to say '{missing[0]}', which has no default")
    return section(**{key: _checked(hints[key], value, elsewhere, prefix + key) for key, value in settings.items()})


def _checked(expected: Any, value: Any, elsewhere: Elsewhere, name: str) -> Any:
    """The value as the type that is expected."""
    for kind in alternatives(expected):
        if dataclasses.is_dataclass(kind) and value is not None:
            return build(kind, value, elsewhere, f"{name}.")
        if get_origin(kind) is dict and isinstance(value, Mapping):
            of = get_args(kind)[1]
            return {str(key): _checked(of, item, elsewhere, f"{name}.{key}") for key, item in value.items()}
        if kind is Path and isinstance(value, str) and value:
            return Path(value)
        if _fits(kind, value):
            return float(value) if kind is float else value
    raise RecipeError(f"'{name}' should be {_words(expected)}, found {kind_of(value)}")


def _fits(kind: Any, value: Any) -> bool:
    """Whether the value is of this plain type; true is no number, and a whole number is a number too."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    return kind is Any or type(value) is kind or (kind is float and type(value) is int)


def alternatives(expected: Any) -> tuple[Any, ...]:
    """The members of a union; the type itself when it is none."""
    return get_args(expected) if get_origin(expected) in (UnionType, Union) else (expected,)


def _has_no_default(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _nearest(key: str, siblings: list[str], prefix: str, elsewhere: Elsewhere) -> str:
    """The hint at the end of a sentence about an unknown key."""
    close = difflib.get_close_matches(key, siblings, n=1)
    meant = f"{prefix}{close[0]}" if close else elsewhere(prefix, key)
    return f"; did you mean '{meant}'?" if meant else f"; there are {', '.join(siblings)}"


def _words(expected: Any) -> str:
    """A type, for people."""
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}
    said = []
    for kind in alternatives(expected):
        if kind is type(None):
            said.append("null")
        elif get_origin(kind) is Literal:
            said.append(" or ".join(f"'{value}'" for value in get_args(kind)))
        elif get_origin(kind) is dict or dataclasses.is_dataclass(kind):
            said.append("a section of settings")
        else:
            said.append(names.get(kind, str(kind)))
    return " or ".join(said)


def kind_of(value: Any) -> str:
    """A value as a message shows it."""
    return "nothing" if value is None else f"{value!r}"
