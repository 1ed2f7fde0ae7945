"""Code of the user's own by its reference, wherever a name is taken: ``FILE.py:NAME`` or ``PACKAGE.MODULE:NAME``.

::

    rewards: {segment: 1.0, my_rewards.py:short_thoughts: 0.2}

A reference runs code, so that only the user may name one: on the command line, in a recipe, in a call. What comes with
a checkpoint or a data set is checked with `refuse_reference` before it is used.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from thinkseg.errors import InputError, reason_of

T = TypeVar("T")

Check = Callable[[Any, str], T]
"""From what a reference names, and the reference, to what is used; an `InputError` where it breaks a contract."""

_NAME_IT = "give it on the command line, in the recipe, or in the call"

_PREFIX = "_thinkseg_extension_"
"""How the names of modules that are made of files begin."""

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where code of the user's own is."""

    source: str
    """A file that ends in ``.py``, or the dotted name of a module."""
    attribute: str
    """What is taken from it; may be dotted."""

    @classmethod
    def parse(cls, name: str) -> Reference | None:
        """The reference that a name is, or None for a plain name, a path, a hub id or an address."""
        source, colon, attribute = name.rpartition(":")
        if not colon or not _MODULE.fullmatch(attribute):
            return None
        return cls(source, attribute) if source.endswith(".py") or _MODULE.fullmatch(source) else None

    def __str__(self) -> str:
        return f"{self.source}:{self.attribute}"


def is_reference(name: object) -> bool:
    """Whether a name is that of code of the user's own."""
    return isinstance(name, str) and Reference.parse(name) is not None


def resolve(name: str, known: Mapping[str, T], kind: str, check: Check[T], error: type[InputError] = InputError) -> T:
    """What a name stands for: an entry of a table, or code of the user's own.

    Args:
        name: a key of the table, or a reference.
        known: the table.
        kind: what is looked for, in words, such as ``"answer format"``.
        check: holds what a reference names against the contract.
        error: what is raised.

    Raises:
        InputError: there is no such name, the code cannot be imported, or it breaks the contract.
    """
    if name in known:
        return known[name]
    if is_reference(name):
        return check(import_reference(name, error), name)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}."
    raise error(f"there is no {kind} '{name}': {hint} One of your own is FILE.py:NAME or PACKAGE.MODULE:NAME")


def import_reference(name: str, error: type[InputError] = InputError) -> Any:
    """The object that a reference names. A file is run once in a process as long as its content stays the same.

    Raises:
        InputError: the file or module is not there or raises while it is imported, or it has no such attribute.
    """
    reference = Reference.parse(name)
    if reference is None:
        raise error(f"expected FILE.py:NAME or PACKAGE.MODULE:NAME, found '{name}'")
    value: Any = _import_source(reference, error)
    for part in reference.attribute.split("."):
        if not hasattr(value, part):
            public = [other for other in vars(value) if not other.startswith("_")] if hasattr(value, "__dict__") else []
            near = difflib.get_close_matches(part, public, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise error(f"'{reference.source}' has nothing called '{part}'{hint}")
        value = getattr(value, part)
    return value


def digest_of(name: str) -> str:
    """SHA-256 of the file that a reference names, in hexadecimal: by it a changed file is noticed.

    Raises:
        InputError: the file or module is not there.
    """
    reference = Reference.parse(name)
    assert reference is not None, name
    return _digest(_file_of(reference, InputError))


def described(value: object) -> str:
    """What somebody's code holds, for a sentence: text and numbers as they are, all else by its kind and its name.

    >>> described(3), described(dict), described(described), described([3])
    ('3', "the class 'dict'", "the function 'described'", "a value of the kind 'list'")
    """
    if value is None or isinstance(value, str | int | float):
        return repr(value)[:80]
    if isinstance(value, type):
        return f"the class '{value.__name__}'"
    if isinstance(value, FunctionType):
        return f"the function '{value.__name__}'"
    return f"a value of the kind '{type(value).__name__}'"


def refuse_reference(name: object, where: str, error: type[InputError] = InputError, instead: str = _NAME_IT) -> None:
    """Refuse a reference in a place that is not the user's own: it would run code that the user has not named.

    Args:
        name: what the place says; anything but a reference passes.
        where: the place, for the sentence.
        error: what is raised.
        instead: what to do, the end of the sentence.
    """
    if is_reference(name):
        raise error(f"{where} names '{name}', which is code, and code is run only when you name it yourself: {instead}")


def _import_source(reference: Reference, error: type[InputError]) -> ModuleType:
    file = _file_of(reference, error)
    try:
        if not reference.source.endswith(".py"):
            return importlib.import_module(reference.source)
        return _run_file(file)
    except Exception as cause:
        raise error(f"'{reference.source}' cannot be imported: {reason_of(cause)}") from cause


def _run_file(file: Path) -> ModuleType:
    name = _module_name(file)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look for their module there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(file: Path) -> str:
    """What the module of a file is called: another content has another name."""
    return f"{_PREFIX}{_digest(file)[:16]}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"


class OwnCode:
    """The files of the user's own that this process has run, known to a process that is started anew.

    Processes hand each other values by pickle, which finds a class by its module's name, and another process does not
    know modules that are made of files. What holds values of such classes holds one of these before them: its pickle
    names the files, and of those the other process runs what the values need.
    """

    def __reduce__(self) -> tuple[Callable[..., OwnCode], tuple[dict[str, str]]]:
        own = {name: module for name, module in sys.modules.items() if name.startswith(_PREFIX)}
        return _own_code, ({name: str(module.__file__) for name, module in own.items()},)


def _own_code(files: dict[str, str]) -> OwnCode:
    sys.meta_path.append(_OwnFiles(files))
    return OwnCode()


class _OwnFiles:
    """Finds modules that another process has made of the user's files: an entry of `sys.meta_path`."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname not in self._files:
            return None
        file = Path(self._files[fullname])
        try:
            name = _module_name(file)
        except OSError as cause:
            raise InputError(f"'{file}' cannot be read in a process of its own: {reason_of(cause)}") from cause
        if name != fullname:
            raise InputError(f"'{file}' has changed since it was read; bring the earlier content back, or start again")
        return importlib.util.spec_from_file_location(fullname, file, loader=_OwnFile(fullname, str(file)))


class _OwnFile(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except Exception as cause:
            raise InputError(f"'{self.path}' cannot be imported in a process of its own: {reason_of(cause)}") from cause


def _file_of(reference: Reference, error: type[InputError]) -> Path:
    """The file of the code; of a module the one that Python finds, the working directory included."""
    if reference.source.endswith(".py"):
        file = Path(reference.source).expanduser()
        if not file.is_file():
            raise error(f"expected code at '{reference.source}' (for '{reference}'), found no such file")
        return file.resolve()
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())  # as with `python -m`: a console script does not look there by itself
    try:
        spec = importlib.util.find_spec(reference.source)
    except (ImportError, ValueError) as cause:
        raise error(f"there is no module '{reference.source}' (for '{reference}'): {cause}") from cause
    if spec is None or spec.origin is None:
        raise error(f"there is no module '{reference.source}' (for '{reference}')")
    return Path(spec.origin)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
