"""The rows that were asked for, on disk as they were at the first start; some of them are read without the others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from thinkseg.serving.labelling.sources import LabelRequest
from thinkseg.writing import half_of

_ROW_GROUP = 8192
"""Rows that are read together."""


class Counted:
    """Hands requests through, counting them and taking their digest.

    Args:
        requests: they.

    Attributes:
        rows: how many there were so far.
    """

    def __init__(self, requests: Iterable[LabelRequest]) -> None:
        self._requests = requests
        self._digest = hashlib.sha256()
        self.rows = 0

    def __iter__(self) -> Iterator[LabelRequest]:
        for request in self._requests:
            self._digest.update(f"{request.id}\0{request.image}\0{request.query}\0".encode())
            self.rows += 1
            yield request

    def exhaust(self) -> None:
        """Go to the end of them."""
        for _ in self:
            pass

    @property
    def revision(self) -> str:
        """Of those so far: the same for the same rows, wherever their folder lies."""
        return self._digest.hexdigest()[:12]


def write_requests(path: Path, requests: Iterable[LabelRequest]) -> None:
    """Write all requests, a few thousand at a time; the file appears at once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("row", pa.int64()), *((name, pa.string()) for name in ("id", "image", "query"))])
    remaining = iter(requests)
    half = half_of(path)
    try:
        with pq.ParquetWriter(half, schema, compression="zstd") as writer:
            while rows := list(islice(remaining, _ROW_GROUP)):
                writer.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema=schema))
        os.replace(half, path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def read_requests(path: Path, wanted: range) -> list[LabelRequest]:
    """Some of the requests, by their numbers, one after another."""
    import pyarrow.parquet as pq

    groups = range(wanted.start // _ROW_GROUP, (wanted.stop - 1) // _ROW_GROUP + 1)
    with pq.ParquetFile(path) as file:
        table: Any = file.read_row_groups(groups)
    rows = table.slice(wanted.start - groups.start * _ROW_GROUP, len(wanted)).to_pylist()
    return [LabelRequest(**row) for row in rows]
