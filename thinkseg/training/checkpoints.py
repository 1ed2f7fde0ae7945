"""Checkpoints to go on from: known to be whole by a manifest, and kept by number.

``manifest.json`` is written last, with the size and the SHA-256 of every other file of the checkpoint. A folder without
one was not written to its end; one whose files are not those of its manifest has been damaged since. Neither is trained
from: the one before it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thinkseg.errors import RecipeError, ThinkSegError

MANIFEST = "manifest.json"
"""What a whole checkpoint holds, inside its folder."""

Warn = Callable[[str], None]
"""Tells the user of something that does not stop the run."""

_STEP = re.compile(r"checkpoint-(\d+)")


def warn(sentence: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"thinkseg: {sentence}\n")


def write_manifest(folder: Path) -> None:
    """Say what a checkpoint holds, in a file that appears whole or not at all."""
    (folder / MANIFEST).unlink(missing_ok=True)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    entries = {name: {"bytes": path.stat().st_size, "sha256": _digest(path)} for name, path in files.items()}
    write_whole(folder / MANIFEST, json.dumps({"files": entries}, indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is never seen half: what was there stays until all of the new content is on the disk."""
    half = path.with_name(f".{path.name}.part")
    with half.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def damage_of(folder: Path) -> str | None:
    """What is wrong with a checkpoint, in words that stand behind its name; None for a whole one."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except FileNotFoundError:
        return f"was not written to its end (it has no {MANIFEST})"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"has a {MANIFEST} that cannot be read"
    try:
        return _first_difference(folder, expected)
    except OSError as error:
        return f"cannot be read: {error}"


def _first_difference(folder: Path, expected: Mapping[str, tuple[int, str]]) -> str | None:
    for name, (size, _) in expected.items():  # sizes first, since they cost nothing
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            is_what = "is not there" if found is None else f"should have {size:,} bytes and has {found:,}"
            return f"is damaged: '{name}' {is_what}"
    changed = (name for name, (_, digest) in expected.items() if _digest(folder / name) != digest)
    first = next(changed, None)
    return None if first is None else f"is damaged: the content of '{first}' is not what was written"


def all_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Steps and folders of all checkpoints of a run, whole or not, the newest first."""
    found = ((int(match[1]), path) for path in folder.glob("checkpoint-*") if (match := _STEP.fullmatch(path.name)))
    return sorted(((step, path) for step, path in found if path.is_dir()), reverse=True)


def finished_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Those that were written to their end, whatever has become of them since; the newest first."""
    return [(step, path) for step, path in all_checkpoints(folder) if (path / MANIFEST).is_file()]


def newest_checkpoint(
    folder: Path, warn: Warn = warn, fault: Callable[[Path], str | None] = lambda _: None
) -> Path | None:
    """The checkpoint of the latest step that is whole, or None where none was ever written to its end.

    Args:
        folder: of the run.
        warn: is told of each later one that is not whole.
        fault: why one whose files are all what was written cannot be used, in words that stand behind its name.

    Raises:
        RecipeError: there were whole ones, and none can be used.
    """
    passed_over: list[str] = []
    for _, path in all_checkpoints(folder):
        damage = damage_of(path) or fault(path)
        if damage is None:
            for sentence in passed_over:
                warn(f"{sentence}; going on from '{path.name}', the one before it")
            return path
        passed_over.append(f"'{path}' {damage}")
    if finished_checkpoints(folder):
        raise RecipeError(
            f"none of the checkpoints in '{folder}' is whole: {passed_over[0]}; bring its files back, or start anew in "
            "another folder with --output"
        )
    return None


def remove_older(folder: Path, step: int, keep: int) -> None:
    """Keep so many checkpoints up to a step, the newest ones; earlier ones go, and torn ones among them."""
    kept = [number for number, _ in finished_checkpoints(folder) if number <= step][:keep]
    for number, path in all_checkpoints(folder):
        if len(kept) == keep and number < kept[-1]:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def saving_explained(folder: Path, what: str = "a checkpoint") -> Iterator[None]:
    """While this is open, what cannot be written is told in one sentence.

    Args:
        folder: of the run.
        what: is written.

    Raises:
        ThinkSegError: it cannot be written; those before it stay.
    """
    try:
        yield
    except Exception as error:
        if not _is_about_writing(error):
            raise
        raise unwritten(what, folder, error) from error


def unwritten(what: str, folder: Path, error: Exception) -> ThinkSegError:
    """What is raised where something could not be written to a run's folder: why, and how to go on."""
    reason = " ".join(str(error).split())
    return ThinkSegError(f"{what} could not be written to '{folder}': {reason}; make room and {way_on(folder)}")


def way_on(folder: Path) -> str:
    """What the user can do after a run has ended in its middle: go on from its last checkpoint, if there is one."""
    before = finished_checkpoints(folder)
    return f"go on from '{before[0][1].name}' with --resume" if before else "start again"


def _is_about_writing(error: BaseException) -> bool:
    """Whether a library failed to write: each has an error of its own for it."""
    if isinstance(error, OSError):
        return True
    told = f"{type(error).__name__}: {error}"
    return any(words in told for words in ("SafetensorError", "PytorchStreamWriter", "inline_container", "os error"))


def complete(trainer: Any, folder: Path) -> None:
    """Let what goes wrong while a trainer writes a checkpoint be told in a sentence."""
    save = trainer._save_checkpoint

    def save_checkpoint(*args: Any, **options: Any) -> None:
        with saving_explained(folder):
            save(*args, **options)

    trainer._save_checkpoint = save_checkpoint


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
