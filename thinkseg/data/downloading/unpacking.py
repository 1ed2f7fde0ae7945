"""Unpacks a ZIP into a folder and nowhere else: no path out of it, no link, nothing written over."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from thinkseg.errors import DownloadError
from thinkseg.writing import half_of

Progress = Callable[[int], None]
"""Is told how many files are there by now."""


def unpack(archive: Path, folder: Path, progress: Progress) -> int:
    """Unpack all files of a ZIP; all names are looked at before the first one is written.

    A file that is there already, as an unpacking that was stopped leaves it, is kept if it has the size of the one in
    the archive. Each file appears whole.

    Args:
        archive: the ZIP.
        folder: where its files go; made if it is not there.
        progress: is told after each file.

    Returns:
        How many files it has.

    Raises:
        DownloadError: it is no ZIP or a damaged one, a name leads out of the folder, an entry is a link or encrypted,
            there is no room, or another file is there under one of the names.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            files = [entry for entry in opened.infolist() if not entry.is_dir()]
            places = [_place(entry, folder, archive.name) for entry in files]
            _require_room(folder, sum(entry.file_size for entry in files))
            for number, (entry, place) in enumerate(zip(files, places, strict=True), 1):
                _write(opened, entry, place, folder)
                progress(number)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise DownloadError(f"'{archive}' cannot be unpacked, it is no ZIP or a damaged one: {error}") from error
    return len(files)


def _place(entry: zipfile.ZipInfo, folder: Path, archive: str) -> Path:
    """Where an entry goes."""
    name, mode = entry.filename, entry.external_attr >> 16
    path = PurePosixPath(name)
    what = ""
    if path.is_absolute() or ".." in path.parts or any(letter in name for letter in "\\:\0") or not path.parts:
        what = "leads out of the folder"
    elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        what = "is a link or no plain file"
    elif entry.flag_bits & 1:
        what = "is encrypted"
    if what:
        raise DownloadError(f"'{archive}' is not unpacked, nothing of it: its entry '{name}' {what}")
    return folder / path


def _require_room(folder: Path, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DownloadError(f"there are {free / 1e9:.1f} GB free at '{folder}', {size / 1e9:.1f} are needed to unpack")


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path, folder: Path) -> None:
    if place.is_file() and place.stat().st_size == entry.file_size:
        return
    if os.path.lexists(place):
        raise DownloadError(f"'{place}' is there already and is another file than the one in the archive: move it away")
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.parent.resolve().is_relative_to(folder.resolve()):
        raise DownloadError(f"'{place.parent}' leads out of '{folder}' by a link: put a folder in its place")
    half = half_of(place)
    try:
        with opened.open(entry) as source, half.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        os.replace(half, place)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
