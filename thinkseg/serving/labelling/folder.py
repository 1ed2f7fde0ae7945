"""The folder of a labelling, and who may do what in it.

::

    OUT/label.json                 what is labelled by what; another input or another model is refused
    OUT/labels/part-000007.parquet rows of results of a block, whole or not there
    OUT/.label/input.rows          the rows that were asked for, in Parquet, as they were at the first start
    OUT/.label/block-000007.jsonl  the rows of a block that is being labelled, so that a kill costs a batch

A block is so many rows of the input one after another. Whoever labels one holds its lock, so that processes, commands
and machines that share the folder share the blocks; a process that is killed gives its block free. A block is written
under a name of its own at once, so that no row is there twice and none is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from thinkseg.results.files import writing_into
from thinkseg.serving.claims import Claims
from thinkseg.serving.labelling.header import LabelHeader
from thinkseg.serving.labelling.manifest import read_requests
from thinkseg.serving.labelling.rows import LabelRow, table_of
from thinkseg.serving.labelling.sources import LabelRequest
from thinkseg.writing import half_of, json_text

LABELS, WORK, ROWS = "labels", ".label", "input.rows"


class LabelFolder:
    """A folder with its header.

    Args:
        out: the folder.
        header: of what is labelled there.
    """

    def __init__(self, out: Path, header: LabelHeader) -> None:
        self.out = out
        self.header = header
        self.labels = out / LABELS
        self.work = out / WORK
        self._claims = Claims()

    @property
    def manifest(self) -> Path:
        """The rows that were asked for, in Parquet."""
        return self.work / ROWS

    def requests(self, block: int) -> list[LabelRequest]:
        """The rows of a block, as they were asked for."""
        return read_requests(self.manifest, self.header.rows_of(block))

    def part(self, block: int) -> Path:
        """The file of a block's results."""
        return self.labels / f"part-{block:06d}.parquet"

    def is_done(self, block: int) -> bool:
        """Whether a block's results are there."""
        return self.part(block).exists()

    def is_free(self, block: int) -> bool:
        """Whether a block is to be done and nobody holds it."""
        with self.claimed(block) as journal:
            return journal is not None

    @contextmanager
    def claimed(self, block: int) -> Iterator[Journal | None]:
        """Hold a block; None where another process holds it, or where its results are there by now."""
        stem = self.work / f"block-{block:06d}"
        if not self._claims.claim(stem):
            yield None
            return
        try:
            if self.is_done(block):
                stem.with_suffix(".jsonl").unlink(missing_ok=True)  # whoever wrote them was killed right then
                yield None
                return
            for half in self.work.glob(f"{self.part(block).name}.*"):  # of one that was killed while it wrote it
                half.unlink(missing_ok=True)
            with Journal(stem.with_suffix(".jsonl"), self.header.rows_of(block)) as journal:
                yield journal
        finally:
            self._claims.release()

    def finish(self, block: int, journal: Journal) -> None:
        """Put the results of a block in their place, all at once."""
        import pyarrow.parquet as pq

        part = self.part(block)
        with writing_into(self.out):
            part.parent.mkdir(parents=True, exist_ok=True)
            half = half_of(self.work / part.name)
            with half.open("wb") as file:
                pq.write_table(table_of(journal.rows), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            os.replace(half, part)
            journal.remove()


class Journal:
    """The rows of a block so far, a line each. Opened again, it has all whole lines; what was torn is cut off.

    Args:
        path: the file; made if it is not there.
        numbers: of the rows that it will have, in order.
    """

    def __init__(self, path: Path, numbers: range) -> None:
        self._path = path
        with writing_into(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.rows, length = _whole_lines(path, numbers)
            self._file = path.open("ab")
            self._file.truncate(length)

    def add(self, rows: Sequence[LabelRow]) -> None:
        """Write rows and hand them to the operating system at once."""
        with writing_into(self._path.parent):
            self._file.write("".join(json_text(row) + "\n" for row in rows).encode())
            self._file.flush()
        self.rows += rows

    def remove(self) -> None:
        """Its rows are elsewhere now."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _whole_lines(path: Path, numbers: range) -> tuple[list[LabelRow], int]:
    """The rows at the beginning of a journal that are whole and of the right numbers, and their length in bytes."""
    rows: list[LabelRow] = []
    length = 0
    with suppress(FileNotFoundError), path.open("rb") as lines:
        for line, number in zip(lines, numbers, strict=False):
            try:
                row = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                break
            if not isinstance(row, dict) or row.get("row") != number:
                break
            rows.append(row)
            length += len(line)
    return rows, length
