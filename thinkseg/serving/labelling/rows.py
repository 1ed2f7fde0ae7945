"""A result as a row of Parquet: one row a request, whatever came of it, and back to the record of a result.

Lists of a row go by objects: the first box, points, labels, area, score and run lengths are those of the first object.
Coordinates are in pixels of the image, x before y.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from thinkseg.data.text import printable
from thinkseg.results.record import ResultRecord, record_from_prediction
from thinkseg.serving.labelling.sources import LabelRequest
from thinkseg.types import Failure, Prediction

LabelRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all rows of a folder say of where they come from; `label.json` spells it out."""

    model: str
    """The reasoner, as the user names it."""
    model_revision: str
    """A digest of all that answers: checkpoints, settings, the user's own code."""
    data_revision: str
    """A digest of the rows that were asked for."""


def schema() -> Any:
    """The columns, as an Arrow schema."""
    import pyarrow as pa

    number, text = pa.float64(), pa.string()
    return pa.schema([
        ("row", pa.int64()),
        ("id", text),
        ("image", text),
        ("query", text),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("thinking", text),
        ("nothing_there", pa.bool_()),
        ("boxes", pa.list_(pa.list_(number))),
        ("points", pa.list_(pa.list_(pa.list_(number)))),
        ("labels", pa.list_(pa.list_(pa.int8()))),
        ("areas", pa.list_(pa.int64())),
        ("scores", pa.list_(number)),
        ("rles", pa.list_(pa.struct([("size", pa.list_(pa.int32())), ("counts", text)]))),
        ("failure", text),
        ("failure_detail", text),
        ("text", text),
        ("finish_reason", text),
        ("frame", pa.list_(pa.int32())),
        ("image_digest", text),
        ("model", text),
        ("model_revision", text),
        ("data_revision", text),
    ])  # fmt: skip


_OF_OBJECTS = {
    "boxes": "box", "points": "points", "labels": "labels", "areas": "area", "scores": "score", "rles": "mask",
}  # fmt: skip
"""Columns of lists, and what each object of a record calls it."""


def table_of(rows: Iterable[LabelRow]) -> Any:
    """Rows as an Arrow table."""
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows), schema=schema())


def row_of(request: LabelRequest, prediction: Prediction, digest: str | None, stamp: Stamp) -> LabelRow:
    """What came of a request, as a row.

    Args:
        request: it.
        prediction: a failure, too.
        digest: the fingerprint of the image's file; None where it cannot be read.
        stamp: of the folder.
    """
    record = record_from_prediction(prediction, request.query)
    seen = prediction.failure is not Failure.UNREADABLE_IMAGE
    frame = record["frame"]
    return {
        "row": request.row,
        "id": request.id or None,
        "image": request.image,
        "query": request.query,
        "width": record["size"]["width"] if seen else None,
        "height": record["size"]["height"] if seen else None,
        "thinking": _written(record["thinking"]),
        "nothing_there": record["nothing_there"],
        **{column: [found[name] for found in record["objects"]] for column, name in _OF_OBJECTS.items()},
        "failure": record["failure"],
        "failure_detail": _written(record["failure_detail"]),
        "text": _written(record["completion"]["text"]),
        "finish_reason": record["completion"]["finish_reason"],
        "frame": None if frame is None else [frame["width"], frame["height"]],
        "image_digest": digest,
        "model": stamp.model,
        "model_revision": stamp.model_revision,
        "data_revision": stamp.data_revision,
    }


def record_of(row: Mapping[str, Any]) -> ResultRecord:
    """The record of a row, as ``thinkseg segment`` writes it: for `Result.from_record`, lines of JSON, exports.

    Args:
        row: with `_OF_OBJECTS` as lists; one whose image could not be read has the size 1 × 1.
    """
    columns = [row[column] for column in _OF_OBJECTS]
    objects = [dict(zip(_OF_OBJECTS.values(), values, strict=True)) for values in zip(*columns, strict=True)]
    return {
        "image": row["image"],
        "query": row["query"],
        "size": {"width": row["width"] or 1, "height": row["height"] or 1},
        "thinking": row["thinking"],
        "nothing_there": row["nothing_there"],
        "count": None if row["failure"] is not None else len(objects),
        "objects": objects,
        "failure": row["failure"],
        "failure_detail": row["failure_detail"],
        "completion": {"text": row["text"], "finish_reason": row["finish_reason"]},
        "frame": None if row["frame"] is None else dict(zip(("width", "height"), row["frame"], strict=True)),
        "model": {"name": row["model"], "revision": row["model_revision"]},
        "image_digest": row["image_digest"],
    }


def _written(text: str | None) -> str | None:
    """Text that Parquet takes, which has no half surrogate pairs."""
    return None if text is None else printable(text)
