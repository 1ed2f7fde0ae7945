"""What an evaluation writes down for every sample: one line of JSON in ``predictions.jsonl``.

A line has everything that the metrics, the images and the comparisons need, so that no number ever asks for the
models again. Lines are flushed one by one; whoever is killed leaves at most one torn line, which the next start cuts
off. The file ``run.json`` beside it says of what the lines are, and two different runs are never mixed in one folder.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from thinkseg.answers.codec import answer_from_json
from thinkseg.errors import DataError
from thinkseg.imaging import RunLengths, mask_from_rle
from thinkseg.types import Answer, Failure, Mask, TrueBox

LOCK_SECONDS = 10.0
"""How long to wait for another process that writes the same file."""


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """The outcome for one sample. Coordinates are in `frame`, the frame that the model wrote them in."""

    id: str
    task: str
    query: str
    text: str
    """What the model wrote."""
    finish_reason: str
    frame: tuple[int, int] | None
    """Width and height; None when the text could not be read."""
    objects: list[dict[str, Any]]
    """One ``{"box": [x_min, y_min, x_max, y_max] | null, "points": [[x, y, label], …]}`` per object."""
    failure: Failure | None
    """None when the text could be read."""
    failure_detail: str
    intersection: int
    """Pixels of prediction and target."""
    union: int
    """Pixels of prediction or target."""
    iou: float
    """1 when prediction and target are both empty."""
    s_measure: float
    mae: float
    """Mean absolute error: the share of pixels that are wrong."""
    target_empty: bool
    predicted_empty: bool
    rle: RunLengths
    """The union of the predicted masks at the image's size, run-length encoded as in COCO."""
    has_target: bool = True
    """Whether there was a true mask to compare with; otherwise intersection, union, IoU, S-measure and MAE are 0."""
    true_boxes: list[dict[str, Any]] | None = None
    """One ``{"box": [x_min, y_min, x_max, y_max], "area": pixels, "crowd": bool}`` per annotated object, in the
    image's pixels; None where boxes were not annotated."""
    true_count: int | None = None
    """How many objects there are; None where that was not annotated."""
    counted: bool = True
    """Whether it is in the denominators; only protocols that leave samples out say no."""
    details: dict[str, float] = field(default_factory=dict)
    """What only some benchmarks measure, by name, see `thinkseg.evaluation.measures.extra_metrics`."""

    @property
    def abstained(self) -> bool:
        """Whether the model said, readably, that what it was asked for is not there."""
        return self.failure is None and not self.objects

    @property
    def quality(self) -> float:
        """What samples are ranked by, 0…1: the IoU, or without a true mask how near the count is, 1 / (1 + error)."""
        if self.has_target or self.true_count is None:
            return self.iou
        return 1 / (1 + abs(len(self.objects) - self.true_count))

    @property
    def outcome(self) -> str:
        """The outcome in a few words."""
        if self.has_target or self.true_count is None:
            return f"IoU {self.iou:.3f}"
        return f"{len(self.objects)} found, {self.true_count} there"

    @property
    def mask(self) -> Mask:
        """The union of the predicted masks at the image's size."""
        return mask_from_rle(self.rle)

    @property
    def answer(self) -> Answer | None:
        """The answer in the model's frame, without its thinking; None when the text could not be read."""
        if self.frame is None:
            return None
        return answer_from_json({"frame": self.frame, "objects": self.objects})


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What the lines of one folder are the outcome of; a run goes on only where all of it is the same."""

    benchmark: str
    model: str
    model_revision: str
    """A digest of the checkpoint's folder; empty for a hub id."""
    segmenter: str
    seed: int
    answer_format: str = ""
    protocol: str = "default"
    data: str = ""
    """Where the data set lies; empty for one that is composed."""
    asked: str = ""
    """Flags that overrule what is known about the checkpoint, as JSON; empty without any."""


def boxes_to_json(boxes: Sequence[TrueBox] | None) -> list[dict[str, Any]] | None:
    """The annotated boxes of a sample as plain JSON."""
    if boxes is None:
        return None
    return [{"box": list(true.box.xyxy), "area": true.area, "crowd": true.crowd} for true in boxes]


class RecordFile:
    """A file of records that is only ever appended to.

    Opening it drops a torn last line, reads the others and leaves the file ready for the next. Use it in a ``with``.

    Raises:
        DataError: another process writes the file, or one of its lines is not a record.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", newline="\n")
        try:
            _lock(self._file.fileno(), path)
            _drop_torn_line(path)
            self.records = read_records(path)
        except BaseException:
            self._file.close()
            raise

    def append(self, record: PredictionRecord) -> None:
        """Write one line and hand it to the operating system at once."""
        self._file.write(_line(record))
        self._file.flush()
        self.records.append(record)

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _line(record: PredictionRecord) -> str:
    return json.dumps(asdict(record), ensure_ascii=False, allow_nan=False, default=_plain) + "\n"


def _lock(file: int, path: Path) -> None:
    """Keep other processes from writing the same file; a killed one is given the time to end."""
    if sys.platform == "win32":
        return  # has no such lock
    import fcntl

    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise DataError(
                    f"Another process is writing {path}; wait until it ends, or choose another folder with --out."
                ) from error
            time.sleep(LOCK_SECONDS / 50)
        except OSError:
            return  # some network file systems have no locks
        else:
            return


def write_records(path: Path, records: Sequence[PredictionRecord]) -> None:
    """Write a whole file of records, which appears at once."""
    half = _half_of(path)
    with half.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_line(record) for record in records)
    os.replace(half, path)


def read_records(path: Path) -> list[PredictionRecord]:
    """All records of a file, in the order in which they were written.

    Raises:
        DataError: the file is missing, or one of its lines is not a record; the sentence has the line's number.
    """
    if not path.is_file():
        raise DataError(f"Expected the predictions of a run in {path}, found no such file.")
    return list(_parse_lines(path))


def _parse_lines(path: Path) -> Iterator[PredictionRecord]:
    names = {field.name for field in fields(PredictionRecord)}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return  # torn, or still being written
            try:
                values = json.loads(line)
                values["frame"] = tuple(values["frame"]) if values["frame"] is not None else None
                values["failure"] = Failure(values["failure"]) if values["failure"] is not None else None
                yield PredictionRecord(**{name: values[name] for name in names if name in values})
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"Line {number} of {path} is not a record of an evaluation ({type(error).__name__}: {error}). "
                    "Remove the line, or the file to start again."
                ) from error


def _drop_torn_line(path: Path) -> None:
    """Cut off what follows the last line break: a process was killed while it wrote it."""
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def claim_folder(path: Path, header: RunHeader) -> None:
    """Write the header where there is none yet, or make sure that the one that is there says the same.

    Raises:
        DataError: the folder holds another run; the sentence says what differs.
    """
    if not path.exists():
        write_json(path, asdict(header))
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not the header of a run: {error}. Choose another folder with --out.") from error
    differing = [
        f"{name} {wanted!r} (there: {found.get(name)!r})"
        for name, wanted in asdict(header).items()
        if found.get(name) != wanted
    ]
    if differing:
        raise DataError(
            f"{path.parent} holds another run, with which this one must not be mixed: asked for "
            f"{', '.join(differing)}. Choose another folder with --out."
        )


def read_header(path: Path) -> RunHeader:
    """The header that `claim_folder` has written.

    Raises:
        DataError: there is none.
    """
    if not path.is_file():
        raise DataError(f"Expected the header of a run in {path}, found no such file.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return RunHeader(**{field.name: values[field.name] for field in fields(RunHeader) if field.name in values})
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not the header of a run: {error}.") from error


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader finds the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = _half_of(path)
    half.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n", encoding="utf-8")
    os.replace(half, path)


def _half_of(path: Path) -> Path:
    """Where this process writes what is to replace a file."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def _plain(value: object) -> object:
    """NumPy's numbers as Python's, which is what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
