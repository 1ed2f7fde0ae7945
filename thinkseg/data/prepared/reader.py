"""Rows in files: what `thinkseg data prepare` wrote, and the published rows of Seg-Zero and VisionReasoner.

Files are Parquet, or Arrow as ``datasets`` saves it (``save_to_disk``), below a folder at any depth; their names begin
with the split. Rows are read one by one when they are asked for. Parquet is read by groups of rows: ThinkSeg writes 16
in one, published files have a hundred and more, which is slow in random order. ``thinkseg data prepare`` rewrites them.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from thinkseg.data.listing import Entry, Listing
from thinkseg.data.names import in_order
from thinkseg.data.prepared.codec import original_size, sample_from_row
from thinkseg.data.prepared.schemas import COLUMNS
from thinkseg.data.text import plain_query
from thinkseg.errors import DataError
from thinkseg.types import Sample, Size

SUFFIXES = (".parquet", ".arrow")

OWN_COLUMNS = ("id", "image", "query", "task", "target", "ignore", "instances", "width", "height")
"""Of a row in ThinkSeg's own schema; later ones (``reference``, ``original_…``) may be absent."""

_PART_OF = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<hash>-[0-9a-f]+)?")


class RowListing(Listing):
    """Samples in files of rows; use `list_rows` to make one. Images lie inside the files."""

    embedded = True

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        super().__init__(name, files[0].parent)
        self.files = files
        latest = _Latest()
        self._tables = [_open(file, latest) for file in files]
        self._places = [(table, row) for table in self._tables for row in range(len(table))]

    def __len__(self) -> int:
        return len(self._places)

    def entry(self, index: int) -> Entry:
        """Where a row lies: a name made of its file's and its number, from 0 on."""
        table, row = self._places[index]
        identifier, query = table.labels[row]
        place = table.file.with_name(f"{table.file.name}#{row}")
        return Entry(identifier, query, place, str(place), may_be_empty=True)

    def read(self, index: int) -> Sample:
        """Decode a row."""
        table, row = self._places[index]
        return sample_from_row(table.row(row), f"row {row} of '{table.file}'", table.file.parent)

    def original_size(self, index: int) -> Size | None:
        """The size of an image before it was resized into its row; None where the row does not say."""
        table, row = self._places[index]
        return original_size(table.row(row))


def list_rows(root: Path | str, split: str = "", *, name: str = "") -> RowListing:
    """List rows of any schema.

    Args:
        root: a file, or a folder with files in it or below it.
        split: only files whose names begin with it; all there are when empty.
        name: of the data set, for messages.

    Raises:
        DataError: there are no such files, some are missing, or they hold other columns.
    """
    root = Path(root)
    files = row_files(root, split)
    if not files:
        raise DataError(f"expected files '{split or 'SPLIT'}-…-of-….parquet' in '{root}', found none")
    _refuse_holes(files)
    listing = RowListing(name or root.name, files)
    if not len(listing):
        raise DataError(f"the files of rows in '{root}' are empty")
    return listing


def row_files(root: Path, split: str = "") -> list[Path]:
    """The files of rows at a path or below it, by name; what ``datasets`` caches beside them is passed over."""
    found = [root] if root.is_file() else in_order(root.rglob("*"))
    return [
        file
        for file in found
        if file.suffix.lower() in SUFFIXES
        and not file.name.startswith((".", "cache-"))
        and split in ("", split_of(file))
        and file.is_file()
    ]


def holds_rows(root: Path) -> bool:
    """Whether a path is a file of rows, or a folder with such files in it, or in ``data`` or ``train`` below it."""
    if root.is_file():
        return root.suffix.lower() in SUFFIXES
    near = (folder for folder in (root, root / "data", root / "train") if folder.is_dir())
    return any(file.suffix.lower() in SUFFIXES for folder in near for file in folder.iterdir())


def split_of(file: Path) -> str:
    """The split that a file's name, or for ``save_to_disk`` the folder's, stands for: "train" of "train-00000-of-…"."""
    part = _PART_OF.fullmatch(file.stem)
    stem = part["stem"] if part else file.stem
    return file.parent.name if file.suffix.lower() == ".arrow" and stem == "data" else stem


def _refuse_holes(files: Sequence[Path]) -> None:
    """See that of files that are numbered all are there."""
    numbers: dict[tuple[Path, str, int], set[int]] = {}
    for file in files:
        part = _PART_OF.fullmatch(file.stem)
        if part:
            numbers.setdefault((file.parent, part["stem"], int(part["total"])), set()).add(int(part["number"]))
    for (folder, stem, total), there in numbers.items():
        if len(there) != total:
            raise DataError(
                f"'{folder}' has {len(there)} of the {total} files of '{stem}': get the others, or finish "
                "'thinkseg data prepare'"
            )


class _Table:
    """One file of rows."""

    def __init__(self, file: Path, names: Sequence[str], count: int) -> None:
        told = set(names)
        if not (told.issuperset(OWN_COLUMNS) or told.issuperset(COLUMNS)):
            raise DataError(
                f"'{file}' should have the columns {', '.join(OWN_COLUMNS)}, or the published {', '.join(COLUMNS)}; "
                f"it has: {', '.join(names)}"
            )
        self.file = file
        self._count = count
        self._query = "problem" if "solution" in told else "query"
        self._labels: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return self._count

    @property
    def labels(self) -> Sequence[tuple[str, str]]:
        """Id and request of every row."""
        if not self._labels:
            told = zip(self.column("id"), self.column(self._query), strict=True)
            read = plain_query if self._query == "problem" else str.strip
            self._labels = [(str(identifier), read(str(text))) for identifier, text in told]
        return self._labels

    @abstractmethod
    def column(self, name: str) -> list[Any]:
        """All values of a column."""

    @abstractmethod
    def row(self, index: int) -> Mapping[str, Any]:
        """One row."""


class _Latest:
    """The groups of rows that were read last, of all files together: so that rows in their order are read once, while
    memory holds a few groups however many files there are.
    """

    KEPT = 2

    def __init__(self) -> None:
        self._groups: list[tuple[Path, int, Any]] = []

    def get(self, file: Path, group: int) -> Any:
        """The rows of a group, as Arrow holds them, read anew where they are not at hand."""
        import pyarrow.parquet as pq

        for known, number, rows in self._groups:
            if (known, number) == (file, group):
                return rows
        with pq.ParquetFile(file) as opened:
            rows = opened.read_row_group(group)
        self._groups = [*self._groups, (file, group, rows)][-self.KEPT :]
        return rows


class _Parquet(_Table):
    """A Parquet file, read by groups of rows."""

    def __init__(self, file: Path, latest: _Latest) -> None:
        import pyarrow.parquet as pq

        metadata = pq.read_metadata(file)
        super().__init__(file, metadata.schema.to_arrow_schema().names, metadata.num_rows)
        sizes = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
        self._ends = list(accumulate(sizes))
        self._latest = latest

    def column(self, name: str) -> list[Any]:
        import pyarrow.parquet as pq

        values: list[Any] = pq.read_table(self.file, columns=[name]).column(name).to_pylist()
        return values

    def row(self, index: int) -> Mapping[str, Any]:
        group = bisect_right(self._ends, index)
        first = self._ends[group - 1] if group else 0
        return _row(self._latest.get(self.file, group), index - first)


class _Arrow(_Table):
    """An Arrow file, which stays on disk: memory holds what is asked for."""

    def __init__(self, file: Path) -> None:
        import pyarrow as pa

        self._rows = pa.ipc.open_stream(pa.memory_map(str(file))).read_all()
        super().__init__(file, self._rows.column_names, self._rows.num_rows)

    def column(self, name: str) -> list[Any]:
        values: list[Any] = self._rows.column(name).to_pylist()
        return values

    def row(self, index: int) -> Mapping[str, Any]:
        return _row(self._rows, index)


def _row(rows: Any, index: int) -> Mapping[str, Any]:
    """One row of an Arrow table."""
    (row,) = rows.slice(index, 1).to_pylist()
    return dict(row)


def _open(file: Path, latest: _Latest) -> _Table:
    import pyarrow as pa

    try:
        return _Arrow(file) if file.suffix.lower() == ".arrow" else _Parquet(file, latest)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{file}' is damaged or no file of rows ({error})") from error
