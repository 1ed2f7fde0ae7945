"""Two tables, or two folders of rows, of the parts of some data: what `evaluate`, `train` and the rest read as it is.

What lies in files is named by a table, CSV where that can say it, else JSONL (masks that were drawn from annotations
are run lengths there); nothing is copied. Rows that hold their images stay rows.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thinkseg.data.listing import Listing, Part
from thinkseg.data.prepared.writer import prepare
from thinkseg.data.readers.tables import NOTHING, TableListing, table_rows
from thinkseg.data.splitting.parts import SHARE, Parts, split_listing
from thinkseg.data.text import sayable
from thinkseg.errors import DataError
from thinkseg.imaging.run_lengths import rle_from_mask
from thinkseg.results.files import prepare_folder
from thinkseg.writing import json_text, write_at_once

NAMES = ("train", "test")

Row = dict[str, Any]
"""By the names of the columns; "masks" is a list of files and run lengths, or None where the truth is not known."""


@dataclass(frozen=True, slots=True)
class SplitData:
    """What was written."""

    train: Path
    """A table, or a folder of rows."""
    test: Path
    parts: Parts


def split_data(
    listing: Listing, out: Path | str, share: float = SHARE, seed: int = 0, group: str = "", encoding: str = ""
) -> SplitData:
    """Split data by image and write both parts.

    Args:
        listing: the data.
        out: the folder to write into; it may not hold a split yet.
        share: of the images that is kept to measure on, above 0 and below 1.
        seed: of the draw.
        group: the column of a table whose rows stay together where it is the same.
        encoding: of that table, where it is not UTF-8.

    Raises:
        InputError: an impossible share, or a folder that cannot be written into.
        DataError: the data cannot be split or read, or the folder holds a split.
    """
    listing.require_complete()
    groups = column_of(listing, group, encoding) if group else ()
    parts = split_listing(listing, share, seed, groups)
    out = Path(out)
    refuse_split(out)
    more = {group: groups} if group else {}
    train, test = (
        write_part(listing, places, out, name, more) for name, places in zip(NAMES, parts.places, strict=True)
    )
    return SplitData(train, test, parts)


def refuse_split(out: Path) -> None:
    """Refuse a folder that holds a split.

    Raises:
        DataError: it does.
    """
    for name in NAMES:
        for path in (out / name, out / f"{name}.csv", out / f"{name}.jsonl"):
            if path.exists():
                raise DataError(f"'{out}' holds a split already ('{path.name}'): choose another folder")


def column_of(listing: Listing, name: str, encoding: str = "") -> Sequence[str]:
    """A column of a table of the user's own.

    Raises:
        DataError: the data are no table, or it has no such column.
    """
    if not isinstance(listing, TableListing):
        raise DataError(
            f"'--group' names a column of a table, and {listing.name} is none: write one (docs/data/own.md)"
        )
    rows = [row for _, row in table_rows(listing.file, encoding)]
    if not any(name in row for row in rows):
        raise DataError(f"'{listing.file}' has no column '{name}'; it has: {', '.join(rows[0])}")
    return [str(row.get(name) or "").strip() for row in rows]


def write_part(
    listing: Listing,
    places: Sequence[int],
    out: Path,
    name: str,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write some samples of a listing as a table, or as rows where they hold their images.

    Args:
        listing: the data.
        places: which samples.
        out: the folder to write into; made if it is not there.
        name: of the part, without a suffix.
        columns: more columns of the table, by their names, with a value for each sample of the listing; what the sample
            itself says in one of that name wins.

    Returns:
        The table, or the folder of the rows.

    Raises:
        InputError: the folder cannot be written into.
        DataError: a sample cannot be read, or has boxes alone.
    """
    prepare_folder(out)
    if listing.embedded:
        prepare_folder(out / name)
        prepare(Part(listing, places), out / name, name)
        return out / name
    more = {column: told for column, told in (columns or {}).items() if column != "mask"}
    rows = [
        _filled(_row(listing, place, out), {column: told[place] for column, told in more.items()}) for place in places
    ]
    as_csv = all(map(_fits_csv, rows))
    file = out / f"{name}.{'csv' if as_csv else 'jsonl'}"
    write_at_once(file, csv_text(rows) if as_csv else "".join(json_text(_said(row)) + "\n" for row in rows))
    return file


def _filled(row: Row, more: Row) -> Row:
    """A row with more columns; what it says itself stays."""
    return {**more, **{name: value for name, value in row.items() if not (value == "" and more.get(name))}}


def _row(listing: Listing, place: int, out: Path) -> Row:
    """A sample as a row of a table that lies in the folder `out`."""
    entry, sample = listing.entry(place), listing[place]
    if sample.target is None and (sample.reference is not None or sample.boxes is not None):
        raise DataError(
            f"sample '{entry.id}' of {listing.name} has boxes and no mask, which a table cannot say: make rows of it "
            "('thinkseg data prepare'), and split these"
        )
    instances = sample.instances
    masks: list[Any] | None
    if sample.target is None:
        masks = None
    elif not sample.target.any() and (instances is None or not len(instances)):
        masks = []
    elif entry.masks and len(entry.masks) == (1 if instances is None else len(instances)):
        masks = [_from(out, file) for file in entry.masks]
    else:
        objects = sample.target[None] if instances is None else instances
        masks = [rle_from_mask(np.ascontiguousarray(mask)) for mask in objects]
    return {
        "id": entry.id,
        "image": _from(out, entry.image),
        "query": entry.query,
        "masks": masks,
        "ignore": _from(out, entry.ignore) if entry.ignore else "",
        "task": sample.task,
    }


def _from(folder: Path, file: Path) -> str:
    """A file as named from a folder on, by "/" everywhere."""
    try:
        return sayable(Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix())
    except ValueError:  # on another drive
        return sayable(file.resolve().as_posix())


def _fits_csv(row: Row) -> bool:
    masks = row["masks"] or []
    names = [row["image"], row["ignore"], *masks]
    return all(isinstance(name, str) and name == name.strip() and "|" not in name for name in names) and all(
        mask.lower() != NOTHING for mask in masks
    )


def _said(row: Row) -> Row:
    """A row without what it does not say."""
    return {name: value for name, value in row.items() if value not in ("", None)}


def csv_text(rows: Sequence[Row]) -> str:
    """Rows as CSV, with the columns that one of them has something to say in."""
    said = [name for name in rows[0] if name == "masks" or any(row[name] for row in rows)]
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["mask" if name == "masks" else name for name in said])
    for row in rows:
        masks = "" if row["masks"] is None else "|".join(row["masks"]) or NOTHING
        writer.writerow([masks if name == "masks" else row[name] for name in said])
    return written.getvalue()
