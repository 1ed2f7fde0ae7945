"""Settings that come from people: pydantic models whose errors are one sentence, and whose help is their JSON schema.

::

    class Sampling(Settings):
        temperature: Annotated[float, Field(gt=0)] = 1.0
        "Above 0."

    Sampling.checked({"temprature": 1})   # InputError: there is no setting 'temprature'; did you mean 'temperature'?

A recipe and a checkpoint's `thinkseg.json` are such models. Values are taken strictly: true is no number and "3" is no
number, while a whole number is a number, too. This module loads pydantic, so that it is imported where it is used.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from thinkseg.errors import InputError
from thinkseg.extension import described, is_reference

S = TypeVar("S", bound="Settings")


def _as_path(value: object) -> object:
    return Path(value) if isinstance(value, str) and value else value


def _with_text_keys(value: object) -> object:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else value


class NamesCode:
    """Marks text that may name code of the user's own (`thinkseg.extension`): a setting, or the names of a mapping."""


NAMES_CODE = NamesCode()

PathText = Annotated[Path, BeforeValidator(_as_path, json_schema_input_type=str)]
"""A path, written as text that is not empty."""

Count = Annotated[int, Field(ge=1)]
"""A whole number from 1."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""What all generators of random numbers take."""

Side = Annotated[int, Field(ge=1, le=8192)]
"""A side in pixels of an image that models see; a larger one would take more memory than there is."""

Pixels = Annotated[int, Field(ge=1, le=8192**2)]
"""A number of pixels of an image that models see."""

TEXT_KEYS = BeforeValidator(_with_text_keys)
"""For mappings by name: YAML reads some names as numbers or as true and false."""


class Settings(BaseModel):
    """A section of settings: each key and value is checked, whoever builds it, and nothing changes it afterwards.

    Raises:
        InputError: of the kind `error`, in one sentence: a key does not exist, is missing, or has a value that is
            not as it should be.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    error: ClassVar[type[InputError]] = InputError
    """What is raised."""
    whole: ClassVar[str] = "this"
    """What all of the settings are, for the sentence about a missing one."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise self.error(_sentence(type(self), error, "")) from error

    @model_validator(mode="before")
    @classmethod
    def _named_in_text(cls, values: object) -> object:
        """Let a key that YAML reads as a number or as null be one that does not exist, as any other."""
        return _with_text_keys(values)

    # Pydantic's own mark: a section within settings is built by its validator, so that an error knows the whole name.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def checked(cls: type[S], values: object, where: str = "") -> S:
        """The settings from a mapping.

        Args:
            values: by name, sections as mappings.
            where: stands behind the name of a setting in the sentence of an error, such as ``" in 'thinkseg.json'"``.

        Raises:
            InputError: as the class says.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise cls.error(_sentence(cls, error, where)) from error

    def replaced(self: S, **values: Any) -> S:
        """The same settings but for these, checked again."""
        return self.checked({name: getattr(self, name) for name in self.model_fields_set} | values)

    def references(self, prefix: str = "") -> dict[str, str]:
        """The user's own code that the settings name: references by dotted name, of all text that may name code."""
        found: dict[str, str] = {}
        for name, field in type(self).model_fields.items():
            value, dotted = getattr(self, name), prefix + name
            if isinstance(value, Settings):
                found |= value.references(f"{dotted}.")
            elif isinstance(value, dict):
                key_types = [get_args(kind)[0] for kind in _alternatives(field.annotation) if get_origin(kind) is dict]
                if any(_names_code(kind) for kind in key_types):
                    found |= {f"{dotted}.{key}": key for key in value if is_reference(key)}
            elif is_reference(value) and (NAMES_CODE in field.metadata or _names_code(field.annotation)):
                found[dotted] = value
        return found

    @classmethod
    def setting_names(cls, prefix: str = "") -> Iterator[str]:
        """The dotted names of all settings, sections left out, in the order of their declaration."""
        for name, field in cls.model_fields.items():
            section = _section_of(field.annotation)
            if section is None:
                yield prefix + name
            else:
                yield from section.setting_names(f"{prefix}{name}.")

    @classmethod
    def meant_elsewhere(cls, prefix: str, key: str) -> str | None:
        """What an unknown setting may mean where its section has no name like it: a dotted name, or None.

        Args:
            prefix: the dotted name of its section with a dot behind it; empty at the top.
            key: its own name.
        """
        return next((name for name in cls.setting_names() if name.rsplit(".", 1)[-1] == key), None)


_EMPTY_PART = "expected the dotted name of a setting, such as 'data.seed', found '{}', a part of which is empty"


def put(values: dict[str, Any], settings: type[Settings], dotted: str, value: object) -> None:
    """Put a value into the nested mapping that settings are built from, by its dotted name.

    Args:
        values: the mapping; sections that are not there are made.
        settings: what is built from it. It says where a name of the user's own begins, which may have dots itself, as
            in ``rewards.my_rewards.py:short``.
        dotted: the name.
        value: the value.

    Raises:
        InputError: of the settings' kind: a part of the name is empty.
    """
    parts = dotted.split(".")
    known: Any = settings
    while len(parts) > 1:
        section = _section_of(known)
        if section is None and not _holds_anything(known):
            break  # a mapping by names of the user's own
        name = parts.pop(0)
        if not name:
            raise settings.error(_EMPTY_PART.format(dotted))
        field = section.model_fields.get(name) if section is not None else None
        known = Any if field is None else field.annotation
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    if not all(parts if _section_of(known) is not None else [".".join(parts)]):
        raise settings.error(_EMPTY_PART.format(dotted))
    values[".".join(parts)] = value


def kind_of(value: object) -> str:
    """A value as a message shows it, on one line and cut where it is long."""
    if value is None:
        return "nothing"
    text = described(value) if hasattr(value, "dtype") else " ".join(repr(value).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


_MOST_SHOWN = 200
"""Characters of a value in a message."""


_ORDER = ("extra_forbidden", "missing")
"""Of several errors the one is told that explains the others: a misspelt name comes before the one that it lacks."""


def _sentence(model: type[Settings], error: ValidationError, where: str) -> str:
    """What is wrong, with the dotted name of where."""
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda one: _ORDER.index(one["type"]) if one["type"] in _ORDER else len(_ORDER))
    location = [str(part) for part in first["loc"]]
    name = ".".join(location)
    match first["type"]:
        case "extra_forbidden":
            return f"there is no setting '{name}'{where}{_nearest(model, location)}"
        case "missing":
            return f"{model.whole} has to say '{name}'{where}, which has no default"
        case "value_error":  # a validator of ours says what stands behind the name
            return f"'{name}'{where} {first['ctx']['error']}"
        case "greater_than_equal":
            expected = f"at least {first['ctx']['ge']}"
        case "greater_than":
            expected = f"above {first['ctx']['gt']}"
        case "less_than_equal":
            expected = f"at most {first['ctx']['le']}"
        case "less_than":
            expected = f"below {first['ctx']['lt']}"
        case "finite_number":
            expected = "a finite number"
        case _:
            expected = _in_words(_annotation_at(model, location)) if location else "a mapping of settings"
    subject = f"'{name}'" if location else model.whole
    return f"{subject}{where} should be {expected}, found {kind_of(first['input'])}"


def _nearest(model: type[Settings], location: Sequence[str]) -> str:
    """The hint at the end of a sentence about an unknown key."""
    *sections, key = location
    section = _section_of(_annotation_at(model, sections)) or model
    prefix = "".join(f"{name}." for name in sections)
    siblings = list(section.model_fields)
    close = difflib.get_close_matches(key, siblings, n=1)
    meant = f"{prefix}{close[0]}" if close else model.meant_elsewhere(prefix, key)
    return f"; did you mean '{meant}'?" if meant else f"; there are {', '.join(siblings)}"


def _annotation_at(model: type[Settings], location: Sequence[str]) -> Any:
    """The type of the setting at a place."""
    found: Any = model
    for name in location:
        section = _section_of(found)
        if section is not None:
            found = section.model_fields[name].annotation
        else:  # a mapping by names of the user's own
            found = next(get_args(kind)[1] for kind in _alternatives(found) if get_origin(kind) is dict)
    return found


def _section_of(annotation: Any) -> type[Settings] | None:
    """The section that a setting of this type is, or None for a plain value."""
    kinds = (kind for kind in _alternatives(annotation) if isinstance(kind, type) and issubclass(kind, Settings))
    return next(kinds, None)


def _names_code(annotation: Any) -> bool:
    """Whether text of this type may name code."""
    if get_origin(annotation) is Annotated:
        return NAMES_CODE in get_args(annotation)[1:]
    return get_origin(annotation) in (UnionType, Union) and any(map(_names_code, get_args(annotation)))


def _holds_anything(annotation: Any) -> bool:
    """Whether a mapping of this type may hold mappings."""
    kinds = _alternatives(annotation)
    return Any in kinds or any(get_origin(kind) is dict and get_args(kind)[1] is Any for kind in kinds)


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, or the type itself, bare of what is said about them."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (UnionType, Union):
        return [kind for member in get_args(annotation) for kind in _alternatives(member)]
    return [annotation]


def _in_words(annotation: Any) -> str:
    """A type, for people."""
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}
    said = []
    for kind in _alternatives(annotation):
        if kind is type(None):
            said.append("null")
        elif get_origin(kind) is Literal:
            said.append(" or ".join(f"'{value}'" for value in get_args(kind)))
        elif isinstance(kind, type) and kind in names:
            said.append(names[kind])
        else:
            said.append("a section of settings")
    return " or ".join(said)
