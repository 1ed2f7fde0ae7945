"""Ready-made rows: a split of a data set as Parquet files that hold the pictures and masks themselves.

``datasets`` reads them (``load_dataset("parquet", data_files="OUT/*.parquet")``) with pictures and masks as images, and
`load_prepared` gives them back as samples. A file is written under another name and renamed when it is whole; whoever
starts again goes on with the first file that is missing. The source is only read.

Columns: ``id``, ``image``, ``query``, ``task``, ``target`` (the true mask, None if it is not known), ``ignore`` (or
None), ``instances`` (one mask per object, or None), ``width``, ``height``. Masks are PNGs of 0 and 255.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thinkseg.data.encoded import row_from_sample, sample_from_row
from thinkseg.data.listing import Listing
from thinkseg.errors import DataError, InputError
from thinkseg.types import Sample

MANIFEST = "prepared.json"

_ROWS_AT_A_TIME = 16
"""Rows that are read from a file together; few, so that a row in the middle is cheap."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How rows are made."""

    rows_per_file: int = 500
    longest_side: int | None = None
    """Larger pictures are shrunk to it, in pixels; None keeps them, byte by byte where that is possible."""
    skip_faulty: bool = False
    """Whether a sample that cannot be read is left out in place of ending the work."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was written."""

    folder: Path
    files: Sequence[Path]
    rows: int
    left_out: Sequence[str]
    """Ids of samples that could not be read."""


def prepare(
    listing: Listing,
    out: Path | str,
    split: str = "train",
    settings: Settings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Write the rows of a listing; what an earlier call has written is kept.

    Args:
        listing: the samples.
        out: a folder outside the listing's own.
        split: the files' names begin with it.
        settings: how.
        progress: told how many of how many samples are done after each.

    Raises:
        DataError: the folder lies in the source, or holds rows of something else, or a sample has a mask of another
            size than its picture.
        ImageError: a picture or mask that cannot be read (unless `skip_faulty`).
    """
    settings = settings or Settings()
    out = Path(out)
    _refuse_source(out, listing)
    count = max(1, -(-len(listing) // settings.rows_per_file))
    files = [out / f"{split}-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    _agree(out / MANIFEST, _header(listing, split, settings))
    for number, file in enumerate(files):
        indices = range(len(listing))[number * settings.rows_per_file : (number + 1) * settings.rows_per_file]
        if not file.exists():
            _write_rows(file, _rows(listing, indices, settings, progress))
        elif progress:
            progress(indices.stop, len(listing))
    written = [identifier for file in files for identifier in _column(file, "id")]
    known = set(written)
    left_out = [entry.id for entry in map(listing.entry, range(len(listing))) if entry.id not in known]
    return Prepared(out, files, len(written), left_out)


def load_prepared(folder: Path | str, split: str = "") -> PreparedSamples:
    """The samples of prepared rows, read one by one when they are asked for.

    Args:
        folder: what `prepare` wrote to.
        split: only its files; all there are when empty.

    Raises:
        DataError: there are no such files, or some are missing.
    """
    folder = Path(folder)
    files = sorted(folder.glob(f"{split or '*'}-[0-9]*-of-[0-9]*.parquet"))
    if not files:
        raise DataError(f"expected files '{split or 'SPLIT'}-…-of-….parquet' in '{folder}', found none")
    for file in files:
        name, _, total = file.stem.rpartition("-of-")
        stem = name.rpartition("-")[0]
        there = sum(other.name.startswith(f"{stem}-") and other.stem.endswith(total) for other in files)
        if there != int(total):
            raise DataError(
                f"'{folder}' has {there} of the {int(total)} files of '{stem}': finish 'thinkseg data prepare'"
            )
    return PreparedSamples(files)


class PreparedSamples(Sequence[Sample]):
    """Samples in Parquet files; use `load_prepared` to make one."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._places: list[tuple[Path, int, int]] = []  # file, group of rows, row in the group
        for file in files:
            for group, rows in enumerate(_group_sizes(file)):
                self._places += [(file, group, row) for row in range(rows)]
        self._latest: tuple[Path, int] | None = None
        self._rows: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        file, group, row = self._places[index]
        if self._latest != (file, group):
            self._rows = _read_group(file, group)
            self._latest = (file, group)
        return sample_from_row(self._rows[row])


def _rows(
    listing: Listing, indices: range, settings: Settings, progress: Callable[[int, int], None] | None
) -> Iterator[dict[str, Any]]:
    for index in indices:
        try:
            yield row_from_sample(listing[index], settings.longest_side)
        except InputError:
            if not settings.skip_faulty:
                raise
        if progress:
            progress(index + 1, len(listing))


def _refuse_source(out: Path, listing: Listing) -> None:
    for source in (listing.folder, *(listing.entry(index).image.parent for index in range(min(1, len(listing))))):
        if out.resolve().is_relative_to(source.resolve()):
            raise DataError(f"the rows should lie outside the data set, found '{out}' in '{source}'")


def _header(listing: Listing, split: str, settings: Settings) -> dict[str, Any]:
    """What the files in a folder are made of; equal headers give equal files."""
    digest = hashlib.sha256()
    for index in range(len(listing)):
        entry = listing.entry(index)
        digest.update(f"{entry.id}\0{entry.query}\0{entry.image.name}\0{entry.truth.rpartition('/')[2]}\0".encode())
    return {
        "name": listing.name,
        "split": split,
        "samples": len(listing),
        "digest": digest.hexdigest(),
        "settings": asdict(settings),
    }


def _agree(manifest: Path, header: dict[str, Any]) -> None:
    """Write down what is made here, or hold it against what is written down."""
    try:
        present = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        manifest.parent.mkdir(parents=True, exist_ok=True)
        _replace(manifest, json.dumps(header, indent=2, ensure_ascii=False).encode())
        return
    except ValueError as error:
        raise DataError(f"'{manifest}' cannot be read ({error}); choose another folder, or remove this one") from error
    other = [name for name in header if present.get(name) != header[name]]
    if other:
        raise DataError(
            f"'{manifest.parent}' holds rows of something else (it differs in {', '.join(other)}); "
            "choose another folder, or remove this one"
        )


def _write_rows(file: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write a file a few rows at a time and give it its name when it is whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features, List, Value
    from datasets import Image as Picture

    schema = Features(
        {
            "id": Value("string"),
            "image": Picture(),
            "query": Value("string"),
            "task": Value("string"),
            "target": Picture(),
            "ignore": Picture(),
            "instances": List(Picture()),
            "width": Value("int32"),
            "height": Value("int32"),
        }
    ).arrow_schema
    unfinished = file.with_suffix(".unfinished")
    with pq.ParquetWriter(unfinished, schema) as writer:
        batch = []
        for row in rows:
            batch.append(row)
            if len(batch) == _ROWS_AT_A_TIME:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    os.replace(unfinished, file)


def _replace(file: Path, content: bytes) -> None:
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, file)


def _column(file: Path, name: str) -> list[Any]:
    import pyarrow.parquet as pq

    column: list[Any] = pq.read_table(file, columns=[name]).column(name).to_pylist()
    return column


def _group_sizes(file: Path) -> list[int]:
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(file)
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def _read_group(file: Path, group: int) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as opened:
        rows: list[dict[str, Any]] = opened.read_row_group(group).to_pylist()
    return rows
