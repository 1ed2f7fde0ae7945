"""The files of a known data set into a folder, in the tree that it is looked for in, where its terms allow it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from thinkseg.data.discovery.catalog import Archive, DataSet, expected_tree
from thinkseg.data.downloading.transfer import Transfer
from thinkseg.data.downloading.unpacking import unpack
from thinkseg.errors import DataError, DownloadError

STATE = ".thinkseg-downloads"
"""Below the folder: what has come of the archives, and a file for each that is done."""


class Gauge(Protocol):
    """Shows how far something is."""

    def move(self, done: int) -> None:
        """So many are done by now."""


Show = Callable[[str, str, int | None, int], AbstractContextManager[Gauge]]
"""Begins to show some work: its title, its unit, how many there are, and how many were done before."""


@dataclass(frozen=True, slots=True)
class Download:
    """What is to be fetched, and where to."""

    data_set: DataSet
    folder: Path
    splits: Sequence[str] = ()
    """Only what these need; empty for all."""
    keep: bool = False
    """Whether the archives stay, in `STATE`."""

    def archives(self) -> list[Archive]:
        """Those that are needed, whether they are there or not.

        Raises:
            DataError: there is no such split.
        """
        unknown = set(self.splits) - set(self.data_set.splits)
        if unknown:
            known = ", ".join(self.data_set.splits)
            raise DataError(f"'{self.data_set.name}' has no split '{min(unknown)}'; there are: {known}")
        wanted = set(self.splits or self.data_set.splits)
        return [one for one in self.data_set.archives if not one.splits or wanted.intersection(one.splits)]

    def missing(self) -> list[Archive]:
        """Those that have not been unpacked here."""
        return [one for one in self.archives() if not self._done(one).is_file()]

    def run(self, show: Show, transfer: Transfer | None = None) -> Mapping[str, int]:
        """Fetch and unpack what is missing.

        Returns:
            The files of each archive by its name, for those that were not there.

        Raises:
            DownloadError: a file cannot be fetched, is not the right one or cannot be unpacked, there is no room, or
                another process is at it.
        """
        state = self.folder / STATE
        state.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(state / "lock", timeout=0):
                self._require_room()
                return {one.name: self._get(one, show, transfer or Transfer()) for one in self.missing()}
        except Timeout as error:
            raise DownloadError(f"another process is downloading into '{self.folder}': wait for it") from error

    def _get(self, archive: Archive, show: Show, transfer: Transfer) -> int:
        path = self.folder / STATE / archive.name
        there = path.stat().st_size if path.is_file() else 0
        with show(f"download {archive.name}", "MB", _megabytes(archive.size), _megabytes(there)) as shown:
            transfer.fetch(archive, path, lambda done: shown.move(_megabytes(done)))
        with show(f"unpack {archive.name}", "file", None, 0) as shown:
            count = unpack(path, self.folder / archive.into, shown.move)
        self._done(archive).write_text(f"{count} files in {archive.into}\n", encoding="utf-8")
        if not self.keep:
            path.unlink()
        return count

    def _done(self, archive: Archive) -> Path:
        return self.folder / STATE / f"{archive.name}.done"

    def _require_room(self) -> None:
        """Images hardly shrink in a ZIP: there has to be room for the archive and, beside it, for what is in it."""
        missing = self.missing()
        state = self.folder / STATE
        there = sum((state / one.name).stat().st_size for one in missing if (state / one.name).is_file())
        need = sum(one.size for one in missing) + (0 if not missing else max(one.size for one in missing)) - there
        free = shutil.disk_usage(self.folder).free
        if need > free:
            raise DownloadError(
                f"'{self.data_set.name}' needs about {need / 1e9:.1f} GB at '{self.folder}', {free / 1e9:.1f} GB are "
                "free; name a folder on a larger disk with --out, or only a split with --split"
            )


def by_hand(data_set: DataSet, folder: Path) -> str:
    """What to do where a program may not download a data set, in lines."""
    return "\n".join(
        [
            f"'{data_set.name}' is for you to download: its terms do not say that a program may (licence: "
            f"{data_set.licence}).",
            f"  1. get it from {data_set.source}",
            f"  2. unpack it below '{folder}', so that there is (* stands for anything):",
            *(f"       {line}" for line in expected_tree(data_set)),
            f"  3. {check_command(data_set, folder, ())}",
        ]
    )


def check_command(data_set: DataSet, folder: Path, splits: Sequence[str]) -> str:
    """The command that says whether a copy is whole."""
    from shlex import quote

    split = f" --split {splits[0]}" if len(splits) == 1 else ""
    return f"thinkseg data check {quote(str(folder))} --dataset {data_set.name}{split}"


def _megabytes(count: int) -> int:
    return round(count / 1e6)
