"""What an evaluation writes down for every sample, and of which run it is; both as plain JSON.

A record has everything that the metrics, the images and the comparisons need, so that no number ever asks for the
models again. `thinkseg.evaluation.record_file` keeps records on disk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from thinkseg.answers.codec import answer_from_json
from thinkseg.imaging import RunLengths, mask_from_rle
from thinkseg.types import Answer, Failure, Mask, TrueBox
from thinkseg.writing import json_text


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
    """Whether there was a true mask to compare with; otherwise intersection, union, IoU, S-measure and MAE are 0, and
    say nothing: no measure of masks is to be taken of them."""
    true_boxes: list[dict[str, Any]] | None = None
    """One ``{"box": [x_min, y_min, x_max, y_max], "area": pixels, "crowd": bool}`` per annotated object, in the
    image's pixels; None where boxes were not annotated."""
    true_count: int | None = None
    """How many objects there are; None where that was not annotated."""
    counted: bool = True
    """Whether it is in the denominators; protocols that leave samples out say no, and so does an unreadable truth."""
    extra: dict[str, float] = field(default_factory=dict)
    """What only some measures need, by name; see `Measure.extra` in `thinkseg.evaluation.measures.base`."""

    @property
    def abstained(self) -> bool:
        """Whether the model abstained: an answer that parses and has no objects."""
        return self.failure is None and not self.objects

    @property
    def quality(self) -> float:
        """What samples are ranked by, 0…1: the IoU, or without a true mask how near the count is, 1 / (1 + error)."""
        there = self._objects_there
        return self.iou if there is None else 1 / (1 + abs(len(self.objects) - there))

    @property
    def outcome(self) -> str:
        """The outcome in a few words."""
        there = self._objects_there
        return f"IoU {self.iou:.3f}" if there is None else f"{len(self.objects)} found, {there} there"

    @property
    def _objects_there(self) -> int | None:
        """How many objects there are, where that is all that is known: without a true mask."""
        if self.has_target or self.true_count is not None or self.true_boxes is None:
            return None if self.has_target else self.true_count
        return sum(not true["crowd"] for true in self.true_boxes)

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
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What the caller overrules of the checkpoint's settings, by the names of `CheckpointConfig`; and the ``encoding``
    of the data, where it was named."""
    code: Mapping[str, str] = field(default_factory=dict)
    """By reference, the digest of the user's own code that takes part, so that a changed file is noticed."""
    segmenter_revision: str = ""
    """A digest of the segmenter's folder; empty for a hub id and for one that has no weights."""
    dtype: str = ""
    """Of the reasoner's weights, as they were loaded; empty for a model that does not say."""
    device: str = ""
    """The kind of device that the models run on (cpu, cuda, mps): each rounds in its own way, and a rounding can turn
    the next token; empty for a model that does not say."""
    instruction: str = ""
    """The published instruction that it was asked with and a digest of its sentences; empty for the format's own."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunHeader:
        """Build a header from plain values; one of an older version has what it lacks at its default.

        Raises:
            TypeError: a value is missing that has no default.
            ValueError: a value cannot be read.
        """
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        if isinstance(known.get("asked"), str):  # older versions wrote JSON within JSON
            known["asked"] = json.loads(known["asked"] or "{}")
        missing = [name for name in ("benchmark", "model", "model_revision", "segmenter", "seed") if name not in known]
        if missing:
            raise TypeError(f"it lacks {', '.join(missing)}")
        for name, value in known.items():
            if type(value) is not _HEADER_TYPES[name]:
                raise TypeError(f"'{name}' should be {_HEADER_TYPES[name].__name__}, found {value!r:.60}")
        return cls(**known)


_HEADER_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("benchmark", "model", "model_revision", "segmenter", "answer_format", "protocol", "data"), str),
    **dict.fromkeys(("segmenter_revision", "dtype", "device", "instruction"), str),
    **dict.fromkeys(("asked", "code"), dict),
    "seed": int,
}


def boxes_to_json(boxes: Sequence[TrueBox] | None) -> list[dict[str, Any]] | None:
    """The annotated boxes of a sample as plain JSON."""
    if boxes is None:
        return None
    return [{"box": list(true.box.xyxy), "area": true.area, "crowd": true.crowd} for true in boxes]


def record_to_line(record: PredictionRecord) -> str:
    """A record as one line of JSON, with its line break."""
    return json_text(asdict(record), allow_nan=False, default=plain_number) + "\n"


def record_from_line(line: str) -> PredictionRecord:
    """The record that a line holds; keys of newer versions are left out.

    Raises:
        ValueError, KeyError, TypeError, RecursionError: it holds none.
    """
    values = json.loads(line)
    if not isinstance(values, dict):
        raise TypeError(f"expected a JSON object, found {type(values).__name__}")
    values.setdefault("extra", values.get("details", {}))  # as earlier versions called it
    values["frame"] = tuple(values["frame"]) if values["frame"] is not None else None
    values["failure"] = Failure(values["failure"]) if values["failure"] is not None else None
    _check_types(values)
    return PredictionRecord(**{name: values[name] for name in _FIELDS if name in values})


def _check_types(values: Mapping[str, Any]) -> None:
    """Refuse a line whose values the measures would trip over."""
    for names, kinds, told in _TYPES:
        for name in (name for name in names if name in values):
            value = values[name]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise TypeError(f"'{name}' should be {told}, found {value!r:.60}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"'{name}' should be a finite number, found {value}")


_TYPES: tuple[tuple[tuple[str, ...], tuple[type, ...], str], ...] = (
    (("id", "task", "query", "text", "finish_reason", "failure_detail"), (str,), "text"),
    (("intersection", "union"), (int,), "a whole number"),
    (("iou", "s_measure", "mae"), (int, float), "a number"),
    (("target_empty", "predicted_empty", "has_target", "counted"), (bool,), "true or false"),
    (("objects",), (list,), "a list"),
    (("rle", "extra"), (dict,), "an object"),
)
_FIELDS = tuple(field.name for field in fields(PredictionRecord))


def plain_number(value: object) -> object:
    """NumPy's numbers as Python's, which is what JSON knows; for the ``default`` of `json.dumps`."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
