"""Records on disk: ``predictions.jsonl``, a line per sample, and ``run.json``, which says of what the lines are.

Lines are flushed one by one; whoever is killed leaves at most one torn line, which the next start cuts off. Two
different runs are never mixed in one folder, and two processes never write one file: a lock in ``.NAME.lock`` beside
it, which a process that ends or is killed gives free, keeps them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

from filelock import FileLock, Timeout

from thinkseg.errors import DataError
from thinkseg.evaluation.records import PredictionRecord, RunHeader, plain_number, record_from_line, record_to_line
from thinkseg.writing import json_text, replacing, write_at_once

LOCK_SECONDS = 10.0
"""How long to wait for another process that writes the same file: one that was killed is given the time to end."""

HEADER = "run.json"


class RecordList:
    """Records in memory, for a run that writes nothing. Used as a `RecordFile` is."""

    def __init__(self) -> None:
        self.records: list[PredictionRecord] = []

    def append(self, record: PredictionRecord) -> None:
        """Keep one more."""
        self.records.append(record)

    def __enter__(self) -> RecordList:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class RecordFile:
    """A file of records that is only ever appended to.

    Opening it drops a torn last line, reads the others and leaves the file ready for the next. Use it in a ``with``.

    Args:
        path: the file; made if it is not there.
        patience: seconds to wait for another process that writes it.

    Raises:
        DataError: another process writes the file, or one of its lines is not a record.
    """

    def __init__(self, path: Path, patience: float = LOCK_SECONDS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=patience, thread_local=False)
        _acquire(self._lock, path)
        try:
            _drop_torn_line(path)
            self.records = read_records(path) if path.exists() else []
            self._file = path.open("a", encoding="utf-8", newline="\n")
        except BaseException:
            self._lock.release()
            raise

    def append(self, record: PredictionRecord) -> None:
        """Write one line and hand it to the operating system at once."""
        self._file.write(record_to_line(record))
        self._file.flush()
        self.records.append(record)

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._lock.release()


def _acquire(lock: FileLock, path: Path) -> None:
    """Keep other processes from writing the same file."""
    try:
        lock.acquire()
    except Timeout as error:
        raise DataError(
            f"another process is writing {path}; wait until it ends, or choose another folder with --out"
        ) from error
    except (OSError, NotImplementedError):
        return  # some network file systems have no locks


def write_records(path: Path, records: Sequence[PredictionRecord]) -> None:
    """Write a whole file of records, which appears at once."""
    with replacing(path) as half, half.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(record_to_line(record) for record in records)


def read_records(path: Path) -> list[PredictionRecord]:
    """All records of a file, in the order in which they were written.

    Raises:
        DataError: the file is missing, or one of its lines is not a record; the sentence has the line's number.
    """
    if not path.is_file():
        raise DataError(f"expected the predictions of a run in {path}, found no such file")
    return list(_parse_lines(path))


def _parse_lines(path: Path) -> Iterator[PredictionRecord]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return  # torn, or still being written
            try:
                yield record_from_line(line.decode())
            except (ValueError, KeyError, TypeError, RecursionError) as error:  # bytes that are no UTF-8 among them
                raise DataError(
                    f"line {number} of {path} is not a record of an evaluation ({type(error).__name__}: {error}); "
                    "remove the line, or the file to start again"
                ) from error


def _drop_torn_line(path: Path) -> None:
    """Cut off what follows the last line break: a process was killed while it wrote it."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def claim_folder(path: Path, header: RunHeader) -> None:
    """Write the header where there is none yet, or make sure that the one that is there says the same.

    Raises:
        DataError: the folder holds another run; the sentence says what differs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS)
    _acquire(lock, path)  # so that of two runs that begin together one sees what the other has written
    try:
        if not path.exists():
            write_json(path, asdict(header))
            return
    finally:
        lock.release()
        with suppress(OSError):  # Windows does not remove a file that another process has open
            Path(lock.lock_file).unlink(missing_ok=True)  # whoever waits for it finds the header
    found = read_header(path)
    differing = [
        f"{field.name} {getattr(header, field.name)!r} (there: {getattr(found, field.name)!r})"
        for field in fields(RunHeader)
        if getattr(found, field.name) != getattr(header, field.name)
    ]
    if differing:
        raise DataError(
            f"{path.parent} holds another run, with which this one must not be mixed: asked for "
            f"{', '.join(differing)}; choose another folder with --out"
        )


def read_header(path: Path) -> RunHeader:
    """The header that `claim_folder` has written.

    Raises:
        DataError: there is none.
    """
    if not path.is_file():
        raise DataError(
            f"expected the header of a run in {path}, found no such file: name a folder that 'thinkseg evaluate' has "
            "written"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise TypeError(f"expected a JSON object, found {type(values).__name__}")
        return RunHeader.from_json(values)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"'{path}' is not the header of a run, or is damaged ({error}): choose another folder, or remove the "
            "files of this one to start again"
        ) from error


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader finds the old file or the new one, never half of one."""
    write_at_once(path, json_text(value, indent=2, default=plain_number) + "\n")
