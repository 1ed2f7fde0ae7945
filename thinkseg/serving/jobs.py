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

from thinkseg.arguments import NAME, PATH, TEXT, check
from thinkseg.data.fields import Fields
from thinkseg.data.names import files_below, looks_like_image, tell_passed_over
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

    def __post_init__(self) -> None:
        check(self.image, PATH, "'image' of a job")
        check(self.query, TEXT, "'query' of a job")
        check(self.name, NAME, "'name' of a job")
        object.__setattr__(self, "image", Path(self.image))

    @property
    def stem(self) -> str:
        """The name, or the image's own."""
        return self.name or self.image.stem


def list_jobs(
    words: Sequence[str | Path | Job],
    query: str = "",
    lines: Iterable[str] = (),
    leave_out: Callable[[Path], bool] = lambda path: False,
    encoding: str = "",
) -> list[Job]:
    """All that is asked for, in order, each request once; no image is opened.

    Args:
        words: as in the module's text, or jobs, which stay as they are.
        query: for what brings no query of its own.
        lines: what ``-`` stands for.
        leave_out: says which files of folders and patterns are not meant.
        encoding: of tables, where it is not UTF-8.

    Raises:
        ImageError: a word names nothing, or a folder or pattern has no images.
        DataError: a table or a line is not as expected.
        InputError: there is no query, or an empty one.
    """
    jobs: dict[tuple[str, str], Job] = {}
    asked = _Asked(query, leave_out, encoding)
    for word in words:
        for job in [word] if isinstance(word, Job) else _jobs(str(word), asked, lines):
            if not job.query.strip():
                raise InputError(
                    f"the query is empty: say in words what to look for in '{job.image}', "
                    "such as --query 'the main object'"
                )
            jobs.setdefault((os.path.abspath(job.image), job.query), job)
    if not jobs:
        raise InputError("there is nothing to do: no image was named")
    return list(jobs.values())


@dataclass(frozen=True, slots=True)
class _Asked:
    """What holds for every word."""

    query: str
    leave_out: Callable[[Path], bool]
    encoding: str


def found_jobs(
    word: str, query: str = "", leave_out: Callable[[Path], bool] = lambda path: False
) -> tuple[Path, Iterator[Job]]:
    """The jobs of a folder, an image's file or a pattern, one by one, and the folder that they are named from.

    Raises:
        ImageError: there is no such thing; or later, when a folder or a pattern turns out to have no images.
    """
    path, asked = Path(word), _Asked(query, leave_out, "")
    if os.path.isdir(path):  # a name that is too long for a file is none, and no error
        return path, _found(path, (path / name for name in files_below(path)), asked)
    if os.path.exists(path):
        return path.parent, iter([Job(path, query, path.stem)])
    if _is_pattern(word):
        root = Path(*_fixed_part(path.parts))
        return root, _found(root, sorted(map(Path, glob.glob(word, recursive=True))), asked, word)
    raise ImageError(f"expected an image, a folder or a table at '{word}', found no such file")


def _jobs(word: str, asked: _Asked, lines: Iterable[str]) -> Iterator[Job]:
    path = Path(word)
    if word == STDIN:
        yield from _from_lines(lines, asked.query)
    elif path.suffix.lower() in SUFFIXES and not os.path.isdir(path):
        listing = list_table(path, asked.encoding)
        for number in range(len(listing)):
            entry = listing.entry(number)
            yield Job(entry.image, entry.query, _name_in(path.parent, entry.image))
    else:
        yield from found_jobs(word, asked.query, asked.leave_out)[1]


def _found(root: Path, paths: Iterable[Path], asked: _Asked, pattern: str = "") -> Iterator[Job]:
    empty = True
    passed_over = []
    for path in paths:
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir() and not asked.leave_out(path):
            empty = False
            yield Job(path, asked.query, _name_in(root, path))
        elif looks_like_image(path) and not path.is_dir():
            passed_over.append(path)
    if empty:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        others = f", but {len(passed_over)} of other kinds, such as '{passed_over[0]}'" if passed_over else ""
        where = f"like {pattern!r}" if pattern else f"below {str(root)!r}"
        raise ImageError(f"found no images ({kinds}) {where}{others}")
    tell_passed_over(passed_over, pattern or root)


def _name_in(folder: Path, path: Path) -> str:
    """The path within the folder, without suffix; of a file that lies elsewhere only the last part."""
    try:
        inside = Path(os.path.relpath(path, folder))
    except ValueError:  # on two drives of Windows
        return path.stem
    if ".." in inside.parts or inside.is_absolute():
        return path.stem
    return inside.with_name(path.stem).as_posix()


def _from_lines(lines: Iterable[str], query: str) -> Iterator[Job]:
    for number, text in enumerate(lines, start=1):
        line = text.rstrip("\r\n")
        where = f"line {number} of the input"
        if line.lstrip().startswith("{"):
            try:
                fields = Fields(json.loads(line), where)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where} is no JSON ({error})") from error
            if not fields.has("image"):
                raise DataError(f"{where} names no image: expected a text as 'image'")
            image = fields.text("image")
            own = fields.has("query") and fields.raw("query") != ""
            yield Job(Path(image), fields.text("query") if own else query, Path(image).stem)
        elif line.strip():
            yield Job(Path(line), query, Path(line).stem)


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
