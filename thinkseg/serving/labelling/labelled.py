"""A folder of results as it is read: how many rows it has and what came of them, and the rows themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thinkseg.errors import DataError
from thinkseg.results.record import ResultRecord
from thinkseg.serving.labelling.folder import LABELS
from thinkseg.serving.labelling.header import HEADER, read_header
from thinkseg.serving.labelling.rows import record_of
from thinkseg.writing import half_of

_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class Labelled:
    """What `thinkseg label` has made so far."""

    folder: Path
    asked: int
    """Rows of the input."""
    rows: int
    """Rows of results."""
    found: int
    """Rows with at least one object."""
    nothing_there: int
    """Rows whose answer is that nothing fits the query."""
    failures: Mapping[str, int]
    """Rows without an answer, by the name of the failure."""

    @classmethod
    def open(cls, folder: str | Path) -> Labelled:
        """Count the rows of a folder; only the columns that say it are read.

        Raises:
            DataError: it is no folder of `thinkseg label`, or a file of it cannot be read.
        """
        header = read_header(Path(folder))
        if header is None:
            raise DataError(f"expected a folder that 'thinkseg label' has written at '{folder}', found no {HEADER}")
        counts: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        for path in _parts(Path(folder)):
            table = _read(path, ["failure", "nothing_there"])
            failed = [name for name in table.column("failure").to_pylist() if name is not None]
            nothing = sum(table.column("nothing_there").to_pylist())
            failures.update(failed)
            counts.update(rows=len(table), nothing=nothing, found=len(table) - nothing - len(failed))
        told = dict(sorted(failures.items()))
        return cls(Path(folder), header.rows, counts["rows"], counts["found"], counts["nothing"], told)

    @property
    def labels(self) -> Path:
        """The folder of the Parquet files."""
        return self.folder / LABELS

    @property
    def complete(self) -> bool:
        """Whether every row of the input has its row of results."""
        return self.rows == self.asked

    def records(self) -> Iterator[ResultRecord]:
        """The results one by one, as ``thinkseg segment`` records them, with the number of the row as ``row``.

        `Result.from_record` makes a result of one, with its image. Rows come in the input's order from the engine
        ``local``; Ray's files are in no order.
        """
        import pyarrow.parquet as pq

        for path in _parts(self.folder):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_AT_A_TIME):
                    for row in batch.to_pylist():
                        yield {"row": row["row"], **({"id": row["id"]} if row["id"] else {}), **record_of(row)}


def settle(folder: Path, rows: int) -> int:
    """See that no row is there twice: of two results the first stays.

    A process whose driver was killed may have written rows that a later one has written, too.

    Args:
        folder: of the labelling.
        rows: of the input.

    Returns:
        How many rows have no result.
    """
    import pyarrow.parquet as pq

    seen = np.zeros(rows, dtype=bool)
    for path in _parts(folder):
        numbers = _read(path, ["row"]).column("row").to_numpy()
        first = np.zeros(len(numbers), dtype=bool)
        first[np.unique(numbers, return_index=True)[1]] = True
        new = first & ~seen[numbers]
        seen[numbers] = True
        if new.all():
            continue
        if new.any():
            half = half_of(path.parent.parent / path.name)
            pq.write_table(pq.read_table(path, partitioning=None).filter(new), half, compression="zstd")
            half.replace(path)
        else:
            path.unlink()
    return int(rows - seen.sum())


def rows_there(folder: Path, known: dict[Path, int]) -> int:
    """How many rows the files of a folder have, which are looked into once each; one that is being written has none.

    Args:
        folder: of the labelling.
        known: how many each file has, which is added to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in _parts(folder):
        if path not in known:
            try:
                known[path] = pq.read_metadata(path).num_rows
            except (OSError, pa.ArrowException):
                continue
    return sum(known.values())


def _parts(folder: Path) -> list[Path]:
    return sorted((folder / LABELS).glob("*.parquet"))


def _read(path: Path, columns: list[str]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=columns, partitioning=None)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise DataError(f"'{path}' is no file of 'thinkseg label', or is damaged: {error}") from error
