"""A table of one's own: ``table.csv`` (image, query, mask and what else is known), with a mask file for each object.

It says all that a sample is: which objects there are, that nothing is there, what counts neither way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thinkseg.data.splitting.writing import csv_text
from thinkseg.data.writers.images import ImageFolder
from thinkseg.data.writers.names import Names
from thinkseg.data.writers.written import WriteOptions, Written, begin, told
from thinkseg.imaging import save_mask
from thinkseg.types import Sample
from thinkseg.writing import write_at_once

FILE = "table.csv"


def write_table(samples: Sequence[Sample], out: Path, options: WriteOptions) -> Written:
    """Write samples as a table.

    Args:
        samples: each is asked for once, in order.
        out: a new or an empty folder.
        options: how.

    Raises:
        InputError: the folder cannot be written into, or a sample cannot be read.
    """
    written = begin(out, "csv", FILE)
    folder = ImageFolder(out / "images", copy=options.copy_images)
    names = Names()
    rows: list[dict[str, Any]] = []
    for sample, objects in told(samples, written, says_nothing=True, ignores=True):
        placed, stem = folder.place(sample), names.of(sample.id)
        masks = [
            f"objects/{stem}{f'-{number}' if len(objects) > 1 else ''}.png" for number in range(1, len(objects) + 1)
        ]
        for mask, name in zip(objects, masks, strict=True):
            save_mask(mask, out / name)
        ignore = ""
        if sample.ignore is not None and sample.ignore.any():
            ignore = f"ignore/{stem}.png"
            save_mask(sample.ignore, out / ignore)
        row = {"id": sample.id, "image": placed.named_from(out), "query": sample.query, "masks": masks}
        rows.append({**row, "ignore": ignore, "task": sample.task})
    written.images = len(folder)
    empty = "id,image,query,mask\n"
    write_at_once(out / FILE, csv_text(rows) if rows else empty)
    return written
