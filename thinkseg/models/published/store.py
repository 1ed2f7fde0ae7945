"""Fetches the sentences of published instructions when a user asks, checks them, and keeps them in the user's cache.

::

    repository at a commit ─▶ file ─ SHA-256 ─▶ extraction ─ SHA-256 ─▶ CACHE/thinkseg/instructions/NAME.json

Nothing of what is fetched is run, and a file is parsed only where its hash is the one on record.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thinkseg.errors import DataError, InputError
from thinkseg.fetching import fetch, open_here
from thinkseg.models.published.extraction import Place, extract
from thinkseg.models.published.instructions import ASKED, INSTRUCTIONS, PublishedInstruction, digest
from thinkseg.types import Instruction
from thinkseg.writing import json_text, write_at_once

MAX_BYTES = 2**20
"""The largest file that is read; the largest on record has 32 kB."""

GITHUB = "https://raw.githubusercontent.com"

ReadFile = Callable[[str], bytes]
"""From the path of a file in a repository to what is in it."""


def cache_folder() -> Path:
    """Where this user's programs keep what can be had again: ``XDG_CACHE_HOME``, or the system's own place."""
    named = os.environ.get("XDG_CACHE_HOME")
    if named:
        base = Path(named)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "thinkseg" / "instructions"


@dataclass(frozen=True, slots=True)
class InstructionStore:
    """The published instructions, and which of them this machine has."""

    folder: Path = field(default_factory=cache_folder)
    """Where they are kept; made when the first is."""
    known: Mapping[str, PublishedInstruction] = field(default_factory=lambda: INSTRUCTIONS)
    asked: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: ASKED)
    """By the name of a system, the names of instructions by the kind of a request."""
    address: str = GITHUB
    """What gives files at ``ADDRESS/OWNER/NAME/COMMIT/PATH``."""

    def by_kind(self, name: str) -> Mapping[str, str]:
        """The names of instructions by the kind of a request: of a system, or of one instruction for all kinds.

        Raises:
            InputError: there is none of that name.
        """
        if name in self.asked:
            return self.asked[name]
        if name in self.known:
            return {"": name}
        raise InputError(
            f"there is no published instruction '{name}'; there are the systems {', '.join(self.asked)}, and "
            f"{', '.join(self.known)}"
        )

    def path(self, name: str) -> Path:
        """Where an instruction is kept."""
        return self.folder / f"{name}.json"

    def intact(self, name: str) -> bool:
        """Whether an instruction is there as it was fetched."""
        try:
            return self.read(name) is not None
        except DataError:
            return False

    def read(self, name: str) -> Instruction | None:
        """An instruction that was fetched before; None where it was not.

        Raises:
            DataError: its file is damaged or holds other sentences.
        """
        path = self.path(name)
        again = f"fetch it again with: thinkseg instruction {name}"
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError(f"the instruction in '{path}' cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DataError(f"the instruction in '{path}' is damaged; {again}") from error
        user, system = (told.get("user"), told.get("system")) if isinstance(told, dict) else (None, None)
        if not isinstance(user, str) or not (system is None or isinstance(system, str)):
            raise DataError(f"the instruction in '{path}' is damaged; {again}")
        found = Instruction(user, system)
        if digest(found) != self.known[name].sha256:
            raise DataError(f"the instruction in '{path}' has other sentences than those on record; {again}")
        return found

    def fetch(self, name: str) -> Instruction:
        """Fetch an instruction from its authors' repository and keep it.

        Raises:
            InputError: it cannot be fetched or kept.
            DataError: what comes is not what is on record.
        """
        one = self.known[name]
        commit = one.commit
        base = f"{self.address}/{commit.repository}/{commit.revision}"
        offline = f"with a clone of {commit.repository} at {commit.revision}: thinkseg instruction {name} --from FOLDER"

        def from_github(path: str) -> bytes:
            try:
                return fetch(f"{base}/{path}", MAX_BYTES, opener=open_here)
            except InputError as error:
                raise InputError(f"{error}; {offline}") from error

        return self._take(one, from_github, base)

    def take(self, name: str, source: Path) -> Instruction:
        """Take an instruction out of a copy of its authors' repository and keep it; nothing is fetched.

        Args:
            name: of the instruction.
            source: a folder (a clone at the commit on record), the ZIP file that GitHub makes of one, or the one file
                that holds the sentences.

        Raises:
            InputError: there is no such folder or file, or the sentences cannot be kept.
            DataError: it is not what is on record.
        """
        one = self.known[name]
        if source.is_dir():
            return self._take(one, lambda path: _read(source / path, path, one), str(source))
        if not source.is_file():
            raise InputError(f"expected a clone of {one.commit.repository} at '{source}', found no such file or folder")
        if zipfile.is_zipfile(source):
            return self._take(one, lambda path: _read_packed(source, path, one), str(source))
        if len(one.files) > 1:
            raise InputError(
                f"'{name}' stands in {len(one.files)} files ({', '.join(one.files)}): give the folder that holds them"
            )
        return self._take(one, lambda path: _read(source, path, one), str(source))

    def _take(self, one: PublishedInstruction, read: ReadFile, where: str) -> Instruction:
        found = instruction_from(one, read, where)
        if digest(found) != one.sha256:
            raise DataError(
                f"the sentences of '{one.name}' in '{where}' are not those on record: expected SHA-256 {one.sha256}, "
                f"found {digest(found)}; nothing was kept"
            )
        commit = one.commit
        told = {"name": one.name, "system": found.system, "user": found.user, "sha256": one.sha256}
        told |= {"repository": commit.repository, "commit": commit.revision}
        path = self.path(one.name)
        try:
            write_at_once(path, json_text(told, indent=2) + "\n")
        except OSError as error:
            raise InputError(
                f"the instruction cannot be kept in '{path}': {error.strerror}; name another place with XDG_CACHE_HOME"
            ) from error
        return found


def instruction_from(one: PublishedInstruction, read: ReadFile, where: str = "") -> Instruction:
    """The sentences of an instruction out of its files, whose hashes are checked before they are parsed.

    Raises:
        DataError: a file is another one than is on record, is not UTF-8, or lacks the sentences.
    """
    sources = {path: _checked(path, sha256, read(path), one, where) for path, sha256 in one.files.items()}

    def text(place: Place) -> str:
        return extract(sources[place.path], place)

    user = "{query}" if one.user is None else text(one.user)
    filled = {mark: put if isinstance(put, str) else text(put) for mark, put in one.marks.items()}
    if filled:
        user = re.sub("|".join(map(re.escape, filled)), lambda mark: filled[mark[0]], user)
    return Instruction(user, None if one.system is None else text(one.system))


def _checked(path: str, sha256: str, content: bytes, one: PublishedInstruction, where: str) -> str:
    found = hashlib.sha256(content).hexdigest()
    commit = one.commit
    if found != sha256:
        raise DataError(
            f"'{path}' in '{where}' is another file than in {commit.repository} at {commit.revision}: expected SHA-256 "
            f"{sha256}, found {found}; check that commit out"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' in '{where}' is not text in UTF-8") from error


def _read(file: Path, path: str, one: PublishedInstruction) -> bytes:
    """A file of a copy on disk."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise DataError(
                f"'{file}' has more than {MAX_BYTES:,} bytes, and '{path}' of {one.commit.repository} fewer"
            )
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            f"expected '{path}' of {one.commit.repository} as '{file}', which cannot be read ({error.strerror}): give "
            f"a clone at {one.commit.revision}"
        ) from error


def _read_packed(archive: Path, path: str, one: PublishedInstruction) -> bytes:
    """A file of the ZIP that GitHub makes of a repository, which has one folder at its top."""
    try:
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                if entry.filename.partition("/")[2] == path:
                    if entry.file_size > MAX_BYTES:
                        raise DataError(f"'{path}' in '{archive}' has more than {MAX_BYTES:,} bytes")
                    return packed.read(entry)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(f"'{archive}' cannot be read: {error}") from error
    raise InputError(f"expected '{path}' in '{archive}', found none: give the ZIP of {one.commit.repository}")
