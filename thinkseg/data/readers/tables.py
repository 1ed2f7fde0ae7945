"""Data of your own in a table: a CSV, TSV or JSONL file with a row for each image and request.

Columns (a JSONL line is an object with the same names):

* ``image``: the image's file;
* ``query``: what to look for;
* ``mask``: a mask's file, several with ``|`` between them, one per object, or the word ``none`` if what is asked for is
  not there; left empty, the truth is not known. In JSONL also ``masks``: a list, in which a mask may be run lengths
  as ``thinkseg segment`` writes them, and ``[]`` says that nothing is there;
* optional: ``ignore`` (a mask's file), ``id``, ``task``.

Files are looked for from the table's folder on. Other columns are left alone.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.errors import DataError, ImageError
from thinkseg.imaging import RunLengths, load_mask, mask_from_rle, read_header
from thinkseg.types import Mask, Masks, Sample

SUFFIXES = (".csv", ".tsv", ".jsonl")

NOTHING = "none"
"""In the mask's column: nothing fits the query, there is no target."""

MaskSource = str | RunLengths
"""A file's name, or run lengths."""


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
        files = [source for source in row.masks or () if isinstance(source, str)]
        return Entry(
            row.id,
            row.query,
            self.folder / row.image,
            " | ".join(str(self.folder / file) for file in files) or f"{self.file}: line {row.line}",
            tuple(self.folder / file for file in files),
            self.folder / row.ignore if row.ignore else None,
            may_be_empty=not row.masks,
        )

    def read(self, index: int) -> Sample:
        """Read a row's masks."""
        row = self._rows[index]
        instances = None if row.masks is None else self._instances(row, row.masks)
        target: Mask | None = None if instances is None else np.logical_or.reduce(instances, axis=0)
        ignore = load_mask(self.folder / row.ignore) if row.ignore else None
        if target is not None and ignore is not None and target.shape != ignore.shape:
            raise ImageError(f"'mask' and 'ignore' in line {row.line} of '{self.file}' are of different sizes")
        return Sample(
            id=row.id,
            image=self.folder / row.image,
            query=row.query,
            target=target,
            ignore=ignore,
            instances=instances,
            task=row.task,
        )

    def _instances(self, row: TableRow, sources: Sequence[MaskSource]) -> Masks:
        if not sources:
            return np.zeros((0, *read_header(self.folder / row.image).size.hw), dtype=bool)
        try:
            masks = [
                load_mask(self.folder / source) if isinstance(source, str) else mask_from_rle(source)
                for source in sources
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the run lengths in line {row.line} of '{self.file}' cannot be read ({error})") from error
        for one, other in pairwise(masks):
            if one.shape != other.shape:
                raise ImageError(f"the masks in line {row.line} of '{self.file}' are of different sizes")
        return np.stack(masks)


def list_table(file: Path | str) -> TableListing:
    """Read a table; no image or mask is opened.

    Raises:
        DataError: the table is missing, of an unknown kind, empty, lacks a column, or a row lacks a value; the message
            has the line.
    """
    file = Path(file)
    readers = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": jsonl_rows}
    if file.suffix.lower() not in readers:
        raise DataError(f"a table is a file {', '.join(SUFFIXES)}, found '{file}'")
    try:
        rows = [_row(fields, line, file) for line, fields in readers[file.suffix.lower()](file)]
    except FileNotFoundError as error:
        raise DataError(f"expected a table at '{file}', found none") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{file}' should be in UTF-8 and is not ({error})") from error
    if not rows:
        raise DataError(f"'{file}' has no rows")
    lines: dict[str, int] = {}
    for row in rows:
        if row.id in lines:
            raise DataError(f"the id '{row.id}' in line {row.line} of '{file}' is taken by line {lines[row.id]}")
        lines[row.id] = row.line
    return TableListing(file, rows, _missing(file.parent, rows, file))


def _csv_rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows below a header; fields are parted by whichever of comma, semicolon and tabulator the header has most of."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        header = stream.readline()
        stream.seek(0)
        reader = csv.DictReader(stream, delimiter=max(",;\t", key=header.count))
        columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        lacking = [name for name in ("image", "query") if name not in columns]
        if lacking:
            raise DataError(f"'{file}' lacks the column {' and '.join(lacking)}; it has: {', '.join(columns)}")
        for fields in reader:
            yield reader.line_num, {name: (value or "").strip() for name, value in fields.items() if name}


def jsonl_rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a JSONL file, each with the number of its line; blank lines are passed over.

    Raises:
        DataError: a line is no JSON object, or the file is not in UTF-8.
    """
    with file.open(encoding="utf-8-sig") as stream:
        try:
            for line, text in enumerate(stream, start=1):
                if text.strip():
                    yield line, _object(text, f"line {line} of '{file}'")
        except UnicodeDecodeError as error:
            raise DataError(f"'{file}' should be in UTF-8 and is not ({error})") from error


def _object(text: str, where: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where} is no JSON ({error})") from error
    if not isinstance(fields, dict):
        raise DataError(f"{where} should be a JSON object, found {type(fields).__name__}")
    return fields


def _row(fields: Mapping[str, Any], line: int, file: Path) -> TableRow:
    for name in ("image", "query"):
        if not str(fields.get(name) or "").strip():
            raise DataError(f"line {line} of '{file}' has no '{name}'")
    masks = _masks(fields, f"line {line} of '{file}'")
    return TableRow(
        line,
        str(fields.get("id") or line),
        str(fields["image"]),
        str(fields["query"]).strip(),
        masks,
        str(fields.get("ignore") or ""),
        str(fields.get("task") or ""),
    )


def _masks(fields: Mapping[str, Any], where: str) -> tuple[MaskSource, ...] | None:
    """What the columns "masks" and "mask" say."""
    told = fields.get("masks", fields.get("mask"))
    if told is None or told == "":
        return None
    if isinstance(told, str):
        names = [name.strip() for name in told.split("|")]
        return () if told.strip().lower() == NOTHING else tuple(name for name in names if name)
    sources = told if isinstance(told, list) else [told]
    for source in sources:
        if not (isinstance(source, str) and source) and not (
            isinstance(source, dict) and {"size", "counts"} <= source.keys()
        ):
            raise DataError(f"a mask in {where} should be a file's name or run lengths with 'size' and 'counts'")
    return tuple(sources)


def _missing(folder: Path, rows: Sequence[TableRow], file: Path) -> list[Fault]:
    """A fault for each file that a row names and that is not there."""
    faults = []
    for row in rows:
        files = [(FaultKind.MISSING_IMAGE, row.image)]
        files += [(FaultKind.MISSING_MASK, source) for source in row.masks or () if isinstance(source, str)]
        files += [(FaultKind.MISSING_MASK, row.ignore)] if row.ignore else []
        for kind, name in files:
            if not (folder / name).is_file():
                faults.append(Fault(kind, str(folder / name), f"named in line {row.line} of {file.name}"))
    return faults
