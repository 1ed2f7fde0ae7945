"""What is to be labelled, one request after another: the rows of a table, or the images of a folder or a pattern.

No image is opened, and nothing is kept: a Parquet table and a tree of folders are read in pieces, however many rows
they have. A table of text (CSV, TSV, JSONL) is read as `thinkseg.data.readers.tables` does, its text as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.data.fields import Fields
from thinkseg.data.listing import BadRows
from thinkseg.data.readers.tables import COLUMNS, SUFFIXES, table_rows
from thinkseg.data.text import is_whole, sayable
from thinkseg.errors import DataError, InputError, reason_of
from thinkseg.results.files import is_image_of_result
from thinkseg.serving.jobs import found_jobs

PARQUET = ".parquet"
_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """One row of the input."""

    row: int
    """Its number, from 0 on: what the input calls it, however often an image or a query stands in there."""
    id: str
    """As the table calls it; empty where it has no ids."""
    image: str
    """As the table has it, or the path from the folder on."""
    query: str


@dataclass(frozen=True, slots=True)
class LabelSource:
    """A table, a folder or a pattern."""

    name: str
    """As the user gives it."""
    query: str = ""
    """For what brings none of its own: a folder, or a pattern."""
    encoding: str = ""
    """Of a table, where it is not UTF-8."""

    @property
    def is_table(self) -> bool:
        """Whether it brings its own queries."""
        return not os.path.isdir(self.name) and Path(self.name).suffix.lower() in (*SUFFIXES, PARQUET)

    @property
    def root(self) -> Path:
        """The folder that images are named from."""
        return Path(os.path.abspath(Path(self.name).parent)) if self.is_table else found_jobs(self.name)[0]

    def requests(self) -> Iterator[LabelRequest]:
        """All of it, in order.

        Raises:
            ImageError: there is no such folder, or it has no images.
            DataError: a table is missing, or its rows are not as expected, which is told once all were read.
            InputError: a folder or a pattern goes without a query.
        """
        if self.is_table:
            yield from self._of_table()
            return
        if not self.query.strip() or not is_whole(self.query):
            raise InputError("the query is empty: say in words what to look for, such as --query 'the main object'")
        root, jobs = found_jobs(self.name, self.query, leave_out=is_image_of_result)
        for row, job in enumerate(jobs):
            yield LabelRequest(row, "", sayable(Path(os.path.relpath(job.image, root)).as_posix()), self.query)

    def _of_table(self) -> Iterator[LabelRequest]:
        file = Path(self.name)
        bad = BadRows(file)
        rows = _parquet_rows(file) if file.suffix.lower() == PARQUET else self._text_rows(file)
        for row, (where, values) in enumerate(rows):
            try:
                yield _request(row, Fields(values, where))
            except DataError as error:
                bad.add(where, error)
        if bad:
            raise bad.error()

    def _text_rows(self, file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        for line, values in table_rows(file, self.encoding):
            yield f"line {line} of '{file}'", dict(values)


def _request(row: int, fields: Fields) -> LabelRequest:
    for name in COLUMNS:
        if not fields.says(name):
            raise DataError(f"{fields.where} has no '{name}'")
    own = fields.name("id") if fields.says("id") else ""
    return LabelRequest(row, own, fields.text("image"), fields.text("query"))


def _parquet_rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a Parquet table, the columns that count, a few thousand at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
    except FileNotFoundError as error:
        raise DataError(f"expected a table at '{file}', found none") from error
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"'{file}' cannot be read as a Parquet table ({reason_of(error)})") from error
    columns: Mapping[str, str] = {name.strip().lower(): name for name in table.schema_arrow.names}
    lacking = [name for name in COLUMNS if name not in columns]
    if lacking:
        raise DataError(f"'{file}' lacks the column {' and '.join(lacking)}; it has: {', '.join(columns)[:200]}")
    wanted = [name for name in (*COLUMNS, "id") if name in columns]
    row = 0
    for batch in table.iter_batches(_ROWS_AT_A_TIME, columns=[columns[name] for name in wanted]):
        for values in zip(*(batch.column(columns[name]).to_pylist() for name in wanted), strict=True):
            row += 1
            yield f"row {row} of '{file}'", dict(zip(wanted, values, strict=True))
