"""Files by name: what is below a folder, which names an annotation may give, and what only looks like an image."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

from thinkseg.data.text import printable
from thinkseg.errors import DataError
from thinkseg.imaging import IMAGE_SUFFIXES

OTHER_SUFFIXES = frozenset({
    ".apng", ".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dds", ".dib", ".dng", ".emf", ".eps", ".exr", ".gif",
    ".hdr", ".heic", ".heif", ".icns", ".ico", ".j2c", ".j2k", ".jfif", ".jif", ".jng", ".jp2", ".jpe", ".jpf",
    ".jpx", ".jxl", ".jxr", ".mpo", ".nef", ".orf", ".pam", ".pbm", ".pcx", ".pfm", ".pgm", ".pjp", ".pjpeg",
    ".pnm", ".ppm", ".ps", ".psb", ".psd", ".qoi", ".raf", ".ras", ".raw", ".rw2", ".sgi", ".svg", ".svgz",
    ".tga", ".tif", ".tiff", ".wmf", ".xbm", ".xcf", ".xpm",
})  # fmt: skip
"""Of images that are not taken, in lower case."""

P = TypeVar("P", bound=PurePath)

_log = logging.getLogger(__name__)
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Below:
    """The files below a folder, named from it on with "/", sorted."""

    images: Sequence[str]
    passed_over: Sequence[str]
    """What looks like an image and is not taken, since it is of another kind."""


def files_below(folder: Path) -> Iterator[str]:
    """Names of the files below a folder, sorted, those of a folder before those of its folders; hidden ones left out.

    Links to folders are followed, but not into a folder that the link lies in, which would have no end.

    Raises:
        DataError: a folder cannot be read.
    """
    yield from _walk(str(folder), "", (os.path.realpath(folder),))


def images_below(folder: Path) -> Below:
    """The images in a folder and below it, and what only looks like one.

    Raises:
        DataError: see `files_below`.
    """
    images, passed_over = [], []
    for name in files_below(folder):
        if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
            images.append(name)
        elif looks_like_image(name):
            passed_over.append(name)
    return Below(sorted(images), sorted(passed_over))


def tell_passed_over(files: Sequence[Path | str], folder: Path | str) -> None:
    """Say in a line that files were not taken though they look like images; nothing where there are none."""
    if files:
        _log.warning(
            "passed over in '%s': %d %s of another kind than %s, such as '%s'; convert what is meant to PNG or JPEG",
            printable(str(folder)),
            len(files),
            "image" if len(files) == 1 else "images",
            ", ".join(sorted(IMAGE_SUFFIXES)),
            printable(str(files[0])),
        )


def looks_like_image(name: Path | str) -> bool:
    """Whether a file is by its name an image of a kind that is not taken."""
    return os.path.splitext(name)[1].lower() in OTHER_SUFFIXES - IMAGE_SUFFIXES


def is_json(name: Path | str) -> bool:
    """Whether a file is JSON by its name, in capitals or not."""
    return os.path.splitext(name)[1].lower() == ".json"


def json_files(folder: Path) -> list[Path]:
    """The JSON files right in a folder, sorted; none where there is no such folder."""
    return sorted(file for file in folder.iterdir() if is_json(file)) if folder.is_dir() else []


def name_below(name: str) -> str | None:
    r"""A file's name that an annotation gives, from a folder on, or None where it leads out of the folder.

    Folders may be parted by backslashes, as Windows writes them.

    >>> name_below("images\\a.png"), name_below("./x/../a.png"), name_below("../a.png"), name_below("/a.png")
    ('images/a.png', 'a.png', None, None)
    """
    plain = name.replace("\\", "/")
    if plain.startswith("/") or _DRIVE.match(plain) or "\0" in plain:
        return None
    parts: list[str] = []
    for part in plain.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or None


def path_in(folder: Path, name: str) -> Path:
    """A file that one's own table names, from its folder on; backslashes part folders where no file has them."""
    path = folder / name
    if "\\" in name and not os.path.isfile(path):
        return folder / name.replace("\\", "/")
    return path


def file_below(folder: Path, name: str, what: str) -> Path:
    """A file that a table names which came with a data set: it has to lie below the table's folder.

    Args:
        folder: of the table.
        name: as the table has it.
        what: what an error calls it.

    Raises:
        DataError: the name is absolute or leads out of the folder. A link that lies in the folder is followed.
    """
    if name_below(name) is None:
        raise DataError(
            f"{what} should be a file below '{folder}', found '{printable(name)}', which leads out of it: in a table "
            "that was found in a folder no such name is followed; where the table is your own, name the table itself"
        )
    return path_in(folder, name)


def in_order(files: Iterable[P]) -> list[P]:
    r"""Files sorted folder by folder, by the same letters on every system: Windows' own order knows no capitals.

    >>> from pathlib import PureWindowsPath
    >>> [file.as_posix() for file in in_order(map(PureWindowsPath, ("a\\b", "B", "a", "a-b")))]
    ['B', 'a', 'a/b', 'a-b']
    """
    return sorted(files, key=lambda file: file.parts)


def common_folder(first: Path, second: Path, common: Callable[[list[str]], str] = os.path.commonpath) -> Path:
    """The folder that both lie below; the first itself where there is none, as on two drives of Windows."""
    try:
        return Path(common([str(first.absolute()), str(second.absolute())]))
    except ValueError:
        return first


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether something in a folder is a folder, or a link to one; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _walk(folder: str, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
    try:
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"the folder '{folder}' cannot be read ({error.strerror or error})") from error
    seen = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    folders = [entry for entry in seen if is_folder(entry)]
    yield from (prefix + entry.name for entry in seen if entry not in folders)
    for entry in folders:
        real = os.path.realpath(entry.path) if entry.is_symlink() else f"{above[-1]}{os.sep}{entry.name}"
        if real not in above:
            yield from _walk(entry.path, f"{prefix}{entry.name}/", (*above, real))
