"""Rows of counting benchmarks: an image, what to count, how many there are. PixMo-Count, CountBench, or one's own.

Rows lie in a Parquet, JSONL or CSV file. The columns are the ones that the data sets have:

* what to count: ``label`` (PixMo-Count), ``question`` (CountBench with the questions of CountBenchQA), or ``query``;
* how many: ``count``, or ``number`` (CountBench);
* the image: ``image``, its bytes in Parquet, else a file's name from the folder of the table on. PixMo-Count has only
  addresses; its images are looked for as ``images/SHA256.*`` beside the table or above it, by ``image_sha256``.

CountBench alone does not say what to count but in its captions ("ten sheep on a hill"), which give the number away: so
its rows need the column ``question``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from thinkseg.data.embedded import image_source
from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.data.names import file_below
from thinkseg.data.readers.tables import csv_rows, jsonl_rows
from thinkseg.errors import DataError, ImageError
from thinkseg.imaging import IMAGE_SUFFIXES, load_image
from thinkseg.types import Sample

SUFFIXES = (".parquet", ".jsonl", ".csv")
QUERY_COLUMNS = ("label", "question", "query")
COUNT_COLUMNS = ("count", "number")
TASK = "counting"

_ROWS_AT_A_TIME = 16


class CountListing(Listing):
    """Rows that say how many; use `list_counts` to make one. A row of Parquet without its image is left out."""

    def __init__(self, name: str, file: Path, encoding: str = "") -> None:
        super().__init__(name, file.parent)
        self.file = file
        self.embedded = file.suffix.lower() == ".parquet" and "image" in _parquet(file).schema_arrow.names
        rows = _rows(file, encoding)
        self._query = _column(rows, QUERY_COLUMNS, "what to count", file)
        self._count = _column(rows, COUNT_COLUMNS, "how many there are", file)
        self._rows = [(number, row) for number, row in enumerate(rows) if not self.embedded or row["has_image"]]
        self._counts = [_whole(row[self._count], f"row {number} of '{file}'") for number, row in self._rows]
        self._images = [self._image(number, row) for number, row in self._rows]
        self.faults = () if self.embedded else tuple(_missing(self._images))

    def __len__(self) -> int:
        return len(self._rows)

    def entry(self, index: int) -> Entry:
        """Where a row's image lies; the id is the number of the row, from 0 on."""
        number, row = self._rows[index]
        return Entry(
            f"{self.file.stem}-{number}",
            str(row[self._query]).strip(),
            self._images[index],
            f"{self.file}: row {number}",
            may_be_empty=not self._counts[index],
        )

    def read(self, index: int) -> Sample:
        """The row, with its image decoded when it lies inside the file."""
        entry = self.entry(index)
        source = self._decoded(index) if self.embedded else entry.image
        return Sample(id=entry.id, image=source, query=entry.query, task=TASK, count=self._counts[index])

    def _image(self, number: int, row: Mapping[str, Any]) -> Path:
        """The file of a row's image; for one inside the table, a name."""
        if self.embedded:
            return self.file.with_name(f"{self.file.name}#{number}")
        if row.get("image"):
            return file_below(self.folder, str(row["image"]), f"'image' of row {number} of '{self.file}'")
        digest = str(row.get("image_sha256") or "")
        if not digest:
            raise DataError(f"row {number} of '{self.file}' has neither 'image' nor 'image_sha256'")
        homes = [folder / "images" for folder in (self.folder, self.folder.parent)]
        files = (home / f"{digest}{suffix}" for home in homes for suffix in sorted(IMAGE_SUFFIXES))
        return next((file for file in files if file.is_file()), homes[0] / f"{digest}.jpg")

    def _decoded(self, index: int) -> Image.Image:
        number, _ = self._rows[index]
        source = _image_in(self.file, number)
        try:
            return load_image(source)
        except ImageError as error:
            raise ImageError(f"the image in row {number} of '{self.file}' cannot be read ({error})") from error


def list_counts(file: Path | str, *, name: str = "", encoding: str = "") -> CountListing:
    """List the rows of a counting benchmark.

    Args:
        file: Parquet, JSONL or CSV, with the columns that the module's text names.
        name: of the data set, for messages.
        encoding: of JSONL and CSV, where it is not UTF-8.

    Raises:
        DataError: the file is missing, of another kind, or lacks a column; or a count is no whole number.
    """
    file = Path(file)
    if file.suffix.lower() not in SUFFIXES:
        raise DataError(f"rows to count are in a file {', '.join(SUFFIXES)}, found '{file}'")
    if not file.is_file():
        raise DataError(f"expected rows to count in '{file}', found no such file")
    return CountListing(name or file.stem, file, encoding)


def find_counts(root: Path, folder: str, split: str) -> Path | None:
    """The file of a split: below the root in a folder of this name, or below the root itself; the first by name.

    Args:
        root: where the data sets are.
        folder: how the name of the data set's folder begins; capitals, dashes and underscores do not count.
        split: how the file's name begins.
    """
    plain = folder.replace("-", "").replace("_", "")
    homes = [child for child in sorted(root.iterdir()) if child.is_dir() and _plain(child.name).startswith(plain)]
    if _plain(root.resolve().name).startswith(plain):
        homes.append(root)
    for home in homes:
        for below in (home, home / "data"):
            files = [file for file in sorted(below.glob(f"{split}*")) if file.suffix.lower() in SUFFIXES]
            if files:
                return files[0]
    return None


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _rows(file: Path, encoding: str) -> Sequence[Mapping[str, Any]]:
    """All columns but the images' bytes."""
    if file.suffix.lower() == ".parquet":
        return _parquet_rows(file)
    told = jsonl_rows(file, encoding) if file.suffix.lower() == ".jsonl" else csv_rows(file, (), encoding)
    return [fields for _, fields in told]


def _parquet_rows(file: Path) -> Sequence[Mapping[str, Any]]:
    table = _parquet(file)
    names = [name for name in table.schema_arrow.names if name not in ("image", "points")]
    rows: list[dict[str, Any]] = table.read(columns=names).to_pylist()
    if "image" in table.schema_arrow.names:
        for row, there in zip(rows, _images_there(table), strict=True):
            row["has_image"] = there
    return rows


def _images_there(table: Any) -> Iterator[bool]:
    """Whether each row has an image. Its bytes stay in the file where Parquet allows it: where an image has a path
    beside its bytes, that column is enough; else a few rows are read at a time.
    """
    import pyarrow as pa

    kind = table.schema_arrow.field("image").type
    has_path = pa.types.is_struct(kind) and kind.get_field_index("path") >= 0
    for batch in table.iter_batches(_ROWS_AT_A_TIME, columns=["image.path" if has_path else "image"]):
        yield from batch.column("image").is_valid().to_pylist()


@lru_cache(maxsize=4)
def _parquet(file: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"'{file}' should be a Parquet file and cannot be read as one ({error})") from error


@lru_cache(maxsize=1)
def _group(file: Path, group: int) -> Sequence[Any]:
    """The images of one group of rows."""
    return list(_parquet(file).read_row_group(group, columns=["image"]).column("image"))


def _image_in(file: Path, number: int) -> Path | BytesIO:
    table = _parquet(file)
    left = number
    for group in range(table.num_row_groups):
        size = table.metadata.row_group(group).num_rows
        if left < size:
            return image_source(_group(file, group)[left].as_py(), file.parent, f"row {number} of '{file}'")
        left -= size
    raise IndexError(number)


def _column(rows: Sequence[Mapping[str, Any]], names: Sequence[str], what: str, file: Path) -> str:
    """The column that is there, of several that may be."""
    if not rows:
        raise DataError(f"'{file}' has no rows")
    for name in names:
        if name in rows[0]:
            lacking = next((number for number, row in enumerate(rows) if row.get(name) in (None, "")), None)
            if lacking is not None:
                raise DataError(f"row {lacking} of '{file}' has no '{name}'")
            return name
    hint = " (its captions give the number away; add the questions of CountBenchQA)" if "text" in rows[0] else ""
    raise DataError(f"'{file}' should say {what} in a column {' or '.join(names)}{hint}; it has: {', '.join(rows[0])}")


def _whole(value: Any, where: str) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not math.isfinite(number) or number < 0 or number != int(number):
        raise DataError(f"{where} should have a whole number of objects, found '{value}'")
    return int(number)


def _missing(images: Sequence[Path]) -> list[Fault]:
    return [Fault(FaultKind.MISSING_IMAGE, str(image)) for image in images if not image.is_file()]
