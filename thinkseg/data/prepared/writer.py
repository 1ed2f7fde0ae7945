"""Ready-made rows: a split of a data set as Parquet files that hold the images themselves.

``datasets`` reads them (``load_dataset("parquet", data_files="OUT/*.parquet")``) with images and masks as images, and
`load_prepared` gives them back as samples. A file is written under another name and renamed when it is whole; whoever
starts again goes on with the first file that is missing. The source is only read.

Columns of ThinkSeg's own schema: ``id``, ``image``, ``query``, ``task``, ``target`` (the true mask, None if it is not
known), ``ignore`` (or None), ``instances`` (one mask per object, or None), ``reference`` (boxes and points with their
frame as JSON, or None), ``width``, ``height``, and ``original_width``, ``original_height`` (before resizing). Masks are
PNGs of 0 and 255. The published schemas are described in `thinkseg.data.prepared.schemas`, those of veRL and EasyR1 in
`thinkseg.data.prepared.engine_rows`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from thinkseg.data.listing import Listing
from thinkseg.data.prepared.builder import BuilderOptions, SampleRejected, Segment, row_from_sample
from thinkseg.data.prepared.engine_rows import ENGINES, EngineRows, RowPlace, engine_columns, engine_row
from thinkseg.data.prepared.reader import RowListing, list_rows
from thinkseg.data.prepared.schemas import COLUMNS
from thinkseg.errors import DataError, InputError

MANIFEST = "prepared.json"
IMAGES = "images"
"""Folder of the images that rows of engines name and that have no file of their own."""

_ROWS_AT_A_TIME = 16
"""Rows that are read from a file together; few, so that a row in the middle is cheap."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was written."""

    folder: Path
    files: Sequence[Path]
    rows: int
    left_out: Mapping[str, str]
    """Samples that gave no row, by their ids: why, which begins with one of `builder.REASONS`."""


def prepare(
    listing: Listing,
    out: Path | str,
    split: str = "train",
    settings: BuilderOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
    segment: Segment | None = None,
    engine: EngineRows | None = None,
) -> Prepared:
    """Write the rows of a listing; what an earlier call has written is kept.

    Args:
        listing: the samples.
        out: a folder outside the listing's own.
        split: the files' names begin with it.
        settings: how.
        progress: told how many of how many samples are done after each.
        segment: the segmenter for `BuilderOptions.keep_iou`.
        engine: for the schema of an engine, how its rows are made.

    Raises:
        DataError: the folder lies in the source, or holds rows of something else, or a sample has a mask of another
            size than its image.
        ImageError: an image or mask that cannot be read (unless `skip_faulty`).
    """
    settings = settings or BuilderOptions()
    if settings.keep_iou is not None and segment is None:
        raise InputError("to keep what a segmenter finds, a segmenter is needed")
    if (settings.schema in ENGINES) != (engine is not None):
        raise InputError(f"the schema '{settings.schema}' and what a model is asked do not go together")
    out = Path(out)
    _refuse_source(out, listing)
    count = max(1, -(-len(listing) // settings.rows_per_file))
    files = [out / f"{split}-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    manifest = _Manifest(out / MANIFEST, _header(listing, split, settings))

    def make(index: int) -> dict[str, Any]:
        place = RowPlace(split, index, out / IMAGES)
        own = None if engine is None else partial(engine_row, engine=engine, place=place)
        return row_from_sample(listing[index], settings, listing.original_size(index), segment, own)

    for number, file in enumerate(files):
        indices = range(len(listing))[number * settings.rows_per_file : (number + 1) * settings.rows_per_file]
        if not file.exists():
            left_out: dict[str, str] = {}
            rows = _rows(listing, indices, make, settings, left_out, progress)
            unfinished = _write_rows(file, rows, _columns(settings))
            manifest.note(file.name, left_out)  # before the file has its name: of a file that counts it is known
            os.replace(unfinished, file)
        elif progress:
            progress(indices.stop, len(listing))
    manifest.finish()
    return Prepared(out, files, sum(map(_count, files)), manifest.left_out())


def load_prepared(folder: Path | str, split: str = "") -> RowListing:
    """The samples of prepared rows, read one by one when they are asked for.

    Args:
        folder: what `prepare` wrote to, or published rows.
        split: only its files; all there are when empty.

    Raises:
        DataError: there are no such files, or some are missing.
    """
    return list_rows(folder, split)


def _rows(
    listing: Listing,
    indices: range,
    make: Callable[[int], dict[str, Any]],
    settings: BuilderOptions,
    left_out: dict[str, str],
    progress: Callable[[int, int], None] | None,
) -> Iterator[dict[str, Any]]:
    """The rows of some samples; those that give none are noted."""
    for index in indices:
        try:
            yield make(index)
        except SampleRejected as reason:
            left_out[listing.entry(index).id] = str(reason)
        except InputError as error:
            if not settings.skip_faulty:
                raise
            left_out[listing.entry(index).id] = f"unreadable: {error}"
        if progress:
            progress(index + 1, len(listing))


def _refuse_source(out: Path, listing: Listing) -> None:
    for source in (listing.folder, *(listing.entry(index).image.parent for index in range(min(1, len(listing))))):
        if out.resolve().is_relative_to(source.resolve()):
            raise DataError(f"the rows should lie outside the data set, found '{out}' in '{source}'")


def _header(listing: Listing, split: str, settings: BuilderOptions) -> dict[str, Any]:
    """What the files in a folder are made of; equal headers give equal files."""
    return {
        "name": listing.name,
        "split": split,
        "samples": len(listing),
        "digest": listing.revision(),
        "settings": {name: value for name, value in asdict(settings).items() if name != "asked" or value},
    }


class _Manifest:
    """What the files in a folder are made of, and which samples each of them leaves out.

    A line is added to a file beside it for every file of rows, and all of them go into the manifest at the end, so that
    the work for a file does not grow with those before it.
    """

    def __init__(self, file: Path, header: dict[str, Any]) -> None:
        self._file = file
        self._lines = file.with_suffix(".left-out.jsonl")
        self._header = header
        self._left_out: dict[str, dict[str, str]] = {}
        try:
            present = json.loads(file.read_text(encoding="utf-8"))
            self._left_out = dict(present.get("left_out", {}))
            self._left_out |= self._noted()
        except FileNotFoundError:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._lines.unlink(missing_ok=True)
            self._write()
            return
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"'{file}' cannot be read ({error}); choose another folder, or remove this one") from error
        other = [name for name in header if present.get(name) != header[name]]
        if other:
            raise DataError(
                f"'{file.parent}' holds rows of something else (it differs in {', '.join(other)}); "
                "choose another folder, or remove this one"
            )

    def note(self, name: str, left_out: Mapping[str, str]) -> None:
        """Write down what a file leaves out."""
        self._left_out.pop(name, None)
        if left_out:
            self._left_out[name] = dict(left_out)
        with self._lines.open("a", encoding="utf-8", newline="\n") as lines:
            lines.write(json.dumps({name: left_out}) + "\n")
            lines.flush()
            os.fsync(lines.fileno())

    def finish(self) -> None:
        """Put all that was noted into the manifest."""
        self._write()
        self._lines.unlink(missing_ok=True)

    def left_out(self) -> dict[str, str]:
        """All samples that are left out, with the reason."""
        return {identifier: why for file in self._left_out.values() for identifier, why in file.items()}

    def _noted(self) -> dict[str, dict[str, str]]:
        """What an earlier call has noted; a last line that was cut off is of a file that it did not finish."""
        if not self._lines.is_file():
            return {}
        whole = [line for line in self._lines.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"]
        return {name: left_out for line in whole for name, left_out in json.loads(line).items()}

    def _write(self) -> None:
        reasons = dict(sorted(Counter(map(kind_of, self.left_out().values())).items()))
        left_out = {name: gone for name, gone in sorted(self._left_out.items()) if gone}
        content = {**self._header, "left_out": left_out, "reasons": reasons}
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_bytes(json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        os.replace(unfinished, self._file)


def kind_of(reason: str) -> str:
    """The key in `thinkseg.data.prepared.builder.REASONS` that a reason begins with."""
    return reason.partition(":")[0]


def _columns(settings: BuilderOptions) -> dict[str, Any]:
    """The columns of the schema, as ``datasets`` names their kinds."""
    from datasets import Image, List, Value

    text, number = Value("string"), Value("int32")
    if settings.schema in ENGINES:
        return dict(engine_columns(settings.schema))
    if settings.schema != "thinkseg":
        kinds = dict.fromkeys(COLUMNS, text)
        return {**kinds, "image": Image(), "img_height": Value("int64"), "img_width": Value("int64")}
    return {
        "id": text,
        "image": Image(),
        "query": text,
        "task": text,
        "target": Image(),
        "ignore": Image(),
        "instances": List(Image()),
        "reference": text,
        "width": number,
        "height": number,
        "original_width": number,
        "original_height": number,
    }


def _write_rows(file: Path, rows: Iterator[dict[str, Any]], columns: dict[str, Any]) -> Path:
    """Write a file a few rows at a time under another name, which is returned."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features

    schema = Features(columns).arrow_schema
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
    return unfinished


def _count(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)
