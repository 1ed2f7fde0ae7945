"""Images to work on, however they are named: files, folders, patterns, tables, or lines on standard input.

* a file is one image, a folder all images in it and below it, hidden ones left out;
* a pattern such as ``'shots/**/*.jpg'`` is spread out here where the shell has not done it;
* a table (CSV, TSV, JSONL: see `thinkseg.data.readers.tables`) brings its own queries;
* ``-`` reads lines: a path each, or a JSON object ``{"image": …, "query": …}``, whose query may be left out.
"""

import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkseg.data.readers.tables import SUFFIXES, list_table
from thinkseg.errors import DataError, ImageError, InputError
from thinkseg.imaging import IMAGE_SUFFIXES

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Job:
    """One request about one image."""

    image: Path
    query: str
    name: str = ""
    """What its results may be called: a path without suffix, relative to the folder, pattern or table that has it; the
    image's own name when it is empty."""

    @property
    def stem(self) -> str:
        """The name, or the image's own."""
        return self.name or self.image.stem


def list_jobs(
    words: Sequence[str | Path | Job],
    query: str = "",
    lines: Iterable[str] = (),
    leave_out: Callable[[Path], bool] = lambda path: False,
) -> list[Job]:
    """All that is asked for, in order, each request once; no image is opened.

    Args:
        words: as in the module's text, or jobs, which stay as they are.
        query: for what brings no query of its own.
        lines: what ``-`` stands for.
        leave_out: says which files of folders and patterns are not meant.

    Raises:
        ImageError: a word names nothing, or a folder or pattern has no images.
        DataError: a table or a line is not as expected.
        InputError: there is no query, or an empty one.
    """
    jobs: dict[tuple[str, str], Job] = {}
    for word in words:
        for job in [word] if isinstance(word, Job) else _jobs(str(word), query, lines, leave_out):
            if not job.query.strip():
                raise InputError(f"the query is empty: say in words what to look for in '{job.image}', with --query")
            jobs.setdefault((os.path.abspath(job.image), job.query), job)
    if not jobs:
        raise InputError("there is nothing to do: no image was named")
    return list(jobs.values())


def _jobs(word: str, query: str, lines: Iterable[str], leave_out: Callable[[Path], bool]) -> Iterator[Job]:
    path = Path(word)
    if word == STDIN:
        yield from _from_lines(lines, query)
    elif path.is_dir():
        yield from _found(path, _below(path), query, leave_out)
    elif path.suffix.lower() in SUFFIXES:
        listing = list_table(path)
        for number in range(len(listing)):
            entry = listing.entry(number)
            yield Job(entry.image, entry.query, _name_in(path.parent, entry.image))
    elif path.exists():
        yield Job(path, query, path.stem)
    elif _is_pattern(word):
        root = Path(*_fixed_part(path.parts))
        yield from _found(root, sorted(map(Path, glob.glob(word, recursive=True))), query, leave_out, word)
    else:
        raise ImageError(f"expected an image, a folder or a table at '{word}', found no such file")


def _found(
    root: Path, paths: Iterable[Path], query: str, leave_out: Callable[[Path], bool], pattern: str = ""
) -> Iterator[Job]:
    empty = True
    for path in paths:
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not leave_out(path):
            empty = False
            yield Job(path, query, _name_in(root, path))
    if empty:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise ImageError(f"found no images ({kinds}) {f'like {pattern!r}' if pattern else f'below {str(root)!r}'}")


def _name_in(folder: Path, path: Path) -> str:
    """The path within the folder, without suffix; of a file that lies elsewhere only the last part."""
    inside = Path(os.path.relpath(path, folder))
    if ".." in inside.parts or inside.is_absolute():
        return path.stem
    return inside.with_name(path.stem).as_posix()


def _below(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those in it, sorted; hidden ones left out."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(place, name)


def _from_lines(lines: Iterable[str], query: str) -> Iterator[Job]:
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.startswith("{"):
            try:
                fields = json.loads(text)
            except ValueError as error:
                raise DataError(f"line {number} of the input is no JSON ({error})") from error
            image = fields.get("image")
            if not isinstance(image, str) or not image:
                raise DataError(f"line {number} of the input names no image: expected a text as 'image'")
            yield Job(Path(image), str(fields.get("query") or query), Path(image).stem)
        elif text:
            path = Path(line.rstrip("\r\n"))
            yield Job(path, query, path.stem)


def _is_pattern(word: str) -> bool:
    return any(sign in word for sign in "*?[")


def _fixed_part(parts: Sequence[str]) -> list[str]:
    """The folders before the first that is a pattern."""
    fixed = []
    for part in parts[:-1]:
        if _is_pattern(part):
            break
        fixed.append(part)
    return fixed
