"""Data of your own in a table: a CSV, TSV or JSONL file with a row for each image and request.

Columns (a JSONL line is an object with the same names):

* ``image``: the image's file;
* ``query``: what to look for;
* ``mask``: a mask's file, several with ``|`` between them, one per object, or the word ``none`` if what is asked for is
  not there; left empty, the truth is not known. In JSONL also ``masks``: a list, in which a mask may be run lengths
  as ``thinkseg segment`` or COCO writes them, and ``[]`` says that nothing is there; or ``objects``, each with its
  ``mask``, as ``thinkseg segment --json`` prints them;
* optional: ``ignore`` (a mask's file), ``id``, ``task``.

Files are looked for from the table's folder on. Other columns are left alone. A row is called by its id, or else by the
line where it begins. Text is in UTF-8, or in what its byte order mark or its owner says (`thinkseg.data.text`).
"""

import csv
import io
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from thinkseg.data.fields import Fields, shown
from thinkseg.data.listing import BadRows, Entry, Fault, FaultKind, Listing
from thinkseg.data.names import file_below, path_in
from thinkseg.data.readers.segmentations import mask_from_run_lengths
from thinkseg.data.text import is_whole, jsonl_texts, lines_of, read_text
from thinkseg.errors import DataError, ImageError
from thinkseg.imaging import load_mask, read_header
from thinkseg.types import Mask, Masks, Sample

SUFFIXES = (".csv", ".tsv", ".jsonl")

NOTHING = "none"
"""In the mask's column: nothing fits the query, there is no target."""

COLUMNS = ("image", "query")
"""What every row has."""

_SEPARATOR = re.compile(r'\A"?sep=[,;\t]"?[ \t]*(?=\r|\n)', re.IGNORECASE)

MaskSource = str | dict[str, Any]
"""A file's name, or run lengths of either kind."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table."""

    line: int
    """Where it begins in the file, from 1 on."""
    id: str
    image: str
    query: str
    masks: tuple[MaskSource, ...] | None
    """One per object; empty when nothing is there, None when the truth is not known."""
    ignore: str = ""
    task: str = ""


class TableListing(Listing):
    """The rows of a table in their order; use `list_table` to make one."""

    def __init__(self, file: Path, rows: Sequence[TableRow], faults: Sequence[Fault]) -> None:
        super().__init__(file.name, file.parent, faults)
        self.file = file
        self._rows = rows

    @property
    def image_count(self) -> int:
        """How many different images there are."""
        return len({row.image for row in self._rows})

    def __len__(self) -> int:
        return len(self._rows)

    def entry(self, index: int) -> Entry:
        """Where a row's files lie."""
        row = self._rows[index]
        files = [path_in(self.folder, source) for source in row.masks or () if isinstance(source, str)]
        return Entry(
            row.id,
            row.query,
            path_in(self.folder, row.image),
            " | ".join(map(str, files)) or f"{self.file}: line {row.line}",
            tuple(files),
            path_in(self.folder, row.ignore) if row.ignore else None,
            may_be_empty=not row.masks,
        )

    def read(self, index: int) -> Sample:
        """Read a row's masks."""
        row = self._rows[index]
        instances = None if row.masks is None else self._instances(row, row.masks)
        target: Mask | None = None if instances is None else np.logical_or.reduce(instances, axis=0)
        ignore = load_mask(path_in(self.folder, row.ignore)) if row.ignore else None
        if target is not None and ignore is not None and target.shape != ignore.shape:
            raise ImageError(f"'mask' and 'ignore' in line {row.line} of '{self.file}' are of different sizes")
        return Sample(
            id=row.id,
            image=path_in(self.folder, row.image),
            query=row.query,
            target=target,
            ignore=ignore,
            instances=instances,
            task=row.task,
        )

    def _instances(self, row: TableRow, sources: Sequence[MaskSource]) -> Masks:
        if not sources:
            return np.zeros((0, *read_header(path_in(self.folder, row.image)).size.hw), dtype=bool)
        masks = [self._mask(row, source) for source in sources]
        for one, other in pairwise(masks):
            if one.shape != other.shape:
                raise ImageError(f"the masks in line {row.line} of '{self.file}' are of different sizes")
        return np.stack(masks)

    def _mask(self, row: TableRow, source: MaskSource) -> Mask:
        if isinstance(source, str):
            return load_mask(path_in(self.folder, source))
        try:
            return mask_from_run_lengths(source)
        except ImageError as error:
            raise DataError(f"the run lengths in line {row.line} of '{self.file}' cannot be read: {error}") from error


def list_table(file: Path | str, encoding: str = "", *, confined: bool = False) -> TableListing:
    """Read a table; no image or mask is opened.

    Args:
        file: it.
        encoding: of its text, where it is not UTF-8.
        confined: whether all files that it names have to lie below its folder. A table that the user names may name
            any file; one that was only found in a folder may have come with a data set, and may not.

    Raises:
        DataError: the table is missing, of an unknown kind, in another encoding, empty, lacks a column, or a row lacks
            a value, has too many, or one of the wrong kind; the message has the line.
    """
    file = Path(file)
    rows, bad = [], BadRows(file)
    for line, values in table_rows(file, encoding):
        try:
            row = _row(Fields(dict(values), f"line {line} of '{file}'"), line)
            if confined:
                _refuse_outside(row, file)
            rows.append(row)
        except DataError as error:
            bad.add(f"{file}: line {line}", error)
    if bad:
        raise bad.error()
    if not rows:
        raise DataError(f"'{file}' has no rows")
    return TableListing(file, _named(rows, file), _missing(file.parent, rows, file))


def table_rows(file: Path, encoding: str = "") -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a table of any kind, each with the line where it begins, from 1 on.

    Raises:
        DataError: the table is missing, of an unknown kind, in another encoding, lacks a column, or a row cannot be
            read.
    """
    kind = file.suffix.lower()
    if kind not in SUFFIXES:
        raise DataError(f"a table is a file {', '.join(SUFFIXES)}, found '{file}'")
    try:
        if kind == ".jsonl":
            yield from jsonl_rows(file, encoding)
        else:
            yield from csv_rows(file, COLUMNS, encoding)
    except FileNotFoundError as error:
        raise DataError(f"expected a table at '{file}', found none") from error
    except OSError as error:
        raise DataError(f"'{file}' cannot be read as a table ({error.strerror or error})") from error


def has_requests(file: Path, encoding: str = "") -> bool:
    """Whether a file is a table whose first row has an image and a query; one that cannot be read may well be."""
    if file.suffix.lower() not in SUFFIXES or not file.is_file():
        return False
    try:
        if file.suffix.lower() == ".jsonl":
            return set(COLUMNS) <= dict(next(iter(jsonl_rows(file, encoding)), (0, {}))[1]).keys()
        return set(COLUMNS) <= set(_header(_csv_text(file, encoding), COLUMNS)[1])
    except DataError:
        return True


def csv_rows(file: Path, needed: Sequence[str], encoding: str = "") -> Iterator[tuple[int, Mapping[str, str]]]:
    """Rows below a header, whose names are in lower case, each with the line where it begins.

    Fields are parted by whichever of comma, semicolon and tabulator gives the columns that are needed, or else by the
    one that the header has most of.

    Raises:
        DataError: the file is in another encoding, lacks a column, or a row has more values than there are columns.
    """
    text = _csv_text(file, encoding)
    delimiter, columns = _header(text, needed)
    lacking = [name for name in needed if name not in columns]
    if lacking:
        raise DataError(f"'{file}' lacks the column {' and '.join(lacking)}; it has: {', '.join(columns)[:200]}")
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        raise DataError(f"'{file}' has the column '{twice[0]}' twice: leave one out")
    told = ((line, values) for line, values in _values(text, delimiter, file) if any(map(str.strip, values)))
    next(told, None)  # the header
    for line, values in told:
        more = values[len(columns) :]
        if any(value.strip() for value in more):
            sign = {",": "comma", ";": "semicolon", "\t": "tabulator"}[delimiter]
            raise DataError(
                f"line {line} of '{file}' has {len(values)} values for {len(columns)} columns: a value with a {sign} "
                f"in it stands in double quotes (found {shown(delimiter.join(values[len(columns) - 1 :]))})"
            )
        padded = [*values, *[""] * (len(columns) - len(values))]
        yield line, {name: value.strip() for name, value in zip(columns, padded, strict=False) if name}


def _csv_text(file: Path, encoding: str) -> str:
    """The text of a table, its first line empty where it only tells Excel what parts the fields (``sep=;``)."""
    return _SEPARATOR.sub("", read_text(file, encoding))


def _header(text: str, needed: Sequence[str]) -> tuple[str, list[str]]:
    """What parts the fields, and the names of the columns."""
    first = next(filter(str.strip, lines_of(text)), "")
    names = {
        sign: [name.strip().lower() for name in next(csv.reader([first], delimiter=sign, skipinitialspace=True), [])]
        for sign in sorted(",;\t", key=first.count, reverse=True)
    }
    sign = next((sign for sign, columns in names.items() if set(needed) <= set(columns)), next(iter(names)))
    return sign, names[sign]


def _values(text: str, delimiter: str, file: Path) -> Iterator[tuple[int, list[str]]]:
    """The values of each row, with the line where it begins."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the limit is one for all of Python, and 131,072 as it comes
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    line = 1
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"the row that begins in line {line} of '{file}' cannot be read ({error}): a value with a double quote "
                'in it stands in double quotes, and the quote is doubled, as in "a 5"" disc"'
            ) from error
        yield line, values
        line = reader.line_num + 1


def jsonl_rows(file: Path, encoding: str = "") -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a JSONL file, each with the number of its line; blank lines are passed over.

    Raises:
        DataError: a line is no JSON object, or the file is in another encoding.
    """
    for line, text in jsonl_texts(file, encoding):
        yield line, _object(text, f"line {line} of '{file}'")


def _object(text: str, where: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON ({error})") from error
    if not isinstance(fields, dict):
        raise DataError(f"{where} should be a JSON object, found {shown(fields)}")
    return fields


def _row(fields: Fields, line: int) -> TableRow:
    for name in COLUMNS:
        if not fields.says(name):
            raise DataError(f"{fields.where} has no '{name}'")
    return TableRow(
        line,
        fields.name("id") if fields.says("id") else "",
        fields.text("image"),
        fields.text("query"),
        _masks(fields),
        fields.text("ignore") if fields.says("ignore") else "",
        fields.text("task") if fields.says("task") else "",
    )


def _refuse_outside(row: TableRow, file: Path) -> None:
    """See that the files of a row lie below the table's folder."""
    named = [("image", row.image), *(("mask", one) for one in row.masks or ()), ("ignore", row.ignore)]
    for column, name in named:
        if isinstance(name, str) and name:
            file_below(file.parent, name, f"'{column}' in line {row.line} of '{file}'")


def _named(rows: Sequence[TableRow], file: Path) -> list[TableRow]:
    """The rows, those without an id called by their line; no two of one name."""
    named = [row if row.id else replace(row, id=str(row.line)) for row in rows]
    lines: dict[str, int] = {}
    for given, row in zip(rows, named, strict=True):
        other = lines.setdefault(row.id, row.line)
        if other != row.line:
            mixed = "" if given.id else ", since this row has no id and is called by its line: give every row an id"
            raise DataError(f"the id '{row.id}' in line {row.line} of '{file}' is taken by line {other}{mixed}")
    return named


def _masks(fields: Fields) -> tuple[MaskSource, ...] | None:
    """What the columns "masks" and "mask" say."""
    said = [name for name in ("masks", "mask") if fields.get(name) not in (None, "")]
    if not said:
        return _of_result(fields)
    if len(said) == 2 and fields.raw("masks") != fields.raw("mask"):
        raise DataError(f"{fields.where} has both 'mask' and 'masks', which differ: leave one out")
    told = fields.raw(said[0])
    if isinstance(told, str):
        if told.strip().lower() == NOTHING:
            return ()
        sources: list[Any] = [name.strip() for name in told.split("|")]
    else:
        sources = told if isinstance(told, list) else [told]
    for source in sources:
        if not (isinstance(source, str) and source.strip() and is_whole(source)) and not (
            isinstance(source, dict) and {"size", "counts"} <= source.keys()
        ):
            raise DataError(
                f"a mask in {fields.where} should be a file's name, the word '{NOTHING}', or run lengths with 'size' "
                f"and 'counts', found {shown(source)}; leave '{said[0]}' out where the truth is not known"
            )
    return tuple(sources)


def _of_result(fields: Fields) -> tuple[MaskSource, ...] | None:
    """The masks of a line that ``thinkseg segment --json`` has printed; not known where its text was no answer."""
    objects = fields.get("objects")
    if not isinstance(objects, list) or fields.has("failure"):
        return None
    masks: list[Any] = [found.get("mask") if isinstance(found, dict) else None for found in objects]
    wrong = [mask for mask in masks if not (isinstance(mask, dict) and {"size", "counts"} <= mask.keys())]
    if wrong:
        raise DataError(f"an object in {fields.where} should have run lengths as its 'mask', found {shown(wrong[0])}")
    return tuple(masks)


def _missing(folder: Path, rows: Sequence[TableRow], file: Path) -> list[Fault]:
    """A fault for each file that a row names and that is not there."""
    faults = []
    for row in rows:
        files = [(FaultKind.MISSING_IMAGE, row.image)]
        files += [(FaultKind.MISSING_MASK, source) for source in row.masks or () if isinstance(source, str)]
        files += [(FaultKind.MISSING_MASK, row.ignore)] if row.ignore else []
        for kind, name in files:
            if not os.path.isfile(path_in(folder, name)):  # a name may be longer than any file's
                faults.append(Fault(kind, str(path_in(folder, name)), f"named in line {row.line} of {file.name}"))
    return faults
