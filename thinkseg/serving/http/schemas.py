"""What goes over the wire, as pydantic models: requests are checked by them, answers are described by them.

The answer about a query is the record that ``thinkseg segment`` writes, with what a service adds to it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from thinkseg.answers.reading import FARTHEST, MAX_OBJECTS, MAX_POINTS

Output = Literal["json", "mask", "index", "overlay", "cutout"]
Coordinate = Annotated[FiniteFloat, Field(ge=0, lt=FARTHEST)]
"""In pixels; one beyond the image is taken, as models write such."""
ANSWERS = 256
"""Answers in a request for masks."""

TINY_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAMAQMAAABRKa/CAAAABlBMVEXr6+vIHh42bKc9AAAAF0lEQVR42mNgYGBgYGCw/8DEwICJ"
    "IAAAIoMBPiJN8n0AAAAASUVORK5CYII="
)
"""16×12 pixels: a red box on grey."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class SegmentOptions(_Wire):
    """How a query is answered."""

    query: Annotated[str, Field(min_length=1, pattern=r"\S")]
    """What to look for, in words."""
    output: Output = "json"
    """What comes back: JSON, or a PNG: the union of the masks, an image that is n on object n, the overlay, or the
    objects without the rest of the image."""
    polygons: bool = False
    """Whether each object has polygons around its mask, too."""
    tolerance: Annotated[FiniteFloat, Field(ge=0, le=100)] = 1.0
    """How far, in pixels, a polygon may be from the mask's outline; 0 keeps every pixel."""


class SegmentRequest(SegmentOptions):
    """A query about an image."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"image": TINY_PNG, "query": "the red thing", "polygons": True}]}
    )

    image: Annotated[str, Field(min_length=1)]
    """The content of a PNG, JPEG or WebP file in base64; a data URL is taken, too. Nothing is fetched or read."""


class PromptedObject(_Wire):
    """An object to segment: a box, points, or both."""

    box: Annotated[list[Coordinate], Field(min_length=4, max_length=4)] | None = None
    """x_min, y_min, x_max, y_max in pixels of the image."""
    points: Annotated[
        list[Annotated[list[Coordinate], Field(min_length=3, max_length=3)]], Field(max_length=MAX_POINTS)
    ] = []
    """[x, y, label], label 1 on the object and 0 beside it."""


class MasksRequest(_Wire):
    """Boxes and points about an image."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"image": TINY_PNG, "answers": [[{"box": [2, 2, 12, 10], "points": [[7, 6, 1]]}], []]}]
        }
    )

    image: Annotated[str, Field(min_length=1)]
    """As for ``/v1/segment``."""
    answers: Annotated[list[Annotated[list[PromptedObject], Field(max_length=MAX_OBJECTS)]], Field(max_length=ANSWERS)]
    """Each a list of objects; there may be none, and one may have none."""


class SizeRecord(_Wire):
    """Of an image, in pixels."""

    width: int
    height: int


class RunLengthsRecord(_Wire):
    """A mask as COCO writes it."""

    size: list[int]
    """[height, width]"""
    counts: str
    """COCO's compressed run lengths, column by column."""


class FoundObjectRecord(_Wire):
    """An object that was found, in pixels of the image."""

    box: list[float] | None
    """x_min, y_min, x_max, y_max as the reasoner gave it."""
    points: list[list[float]]
    """[x, y] as the reasoner gave them."""
    labels: list[int]
    """Of each point, 1 on the object and 0 beside it."""
    area: int
    """Pixels of the mask."""
    score: float | None
    """The segmenter's own estimate of the mask's IoU, from 0 to 1."""
    mask: RunLengthsRecord
    polygons: list[list[list[float]]] | None = None
    """Where they are asked for: of each part of the mask its corners, [x, y]."""


class CompletionRecord(_Wire):
    """What the reasoner wrote."""

    text: str
    finish_reason: Literal["stop", "length"]


class ModelRecord(_Wire):
    """The models that answered."""

    name: str
    revision: str
    """A digest of the checkpoint; empty where it is not known."""
    segmenter: str
    segmenter_revision: str


class TimingsRecord(_Wire):
    """Seconds, the waiting for other requests included."""

    read: float
    reasoner: float
    segmenter: float
    total: float


class SegmentAnswer(_Wire):
    """What was found."""

    image: str
    query: str
    size: SizeRecord
    thinking: str | None
    """None where the text could not be read."""
    nothing_there: bool
    """Whether the reasoner says that the image has nothing that the query asks for."""
    count: int | None
    objects: list[FoundObjectRecord]
    failure: Literal["malformed_answer", "truncated"] | None
    """Why there is no answer: the reasoner's text is not one, or is cut off."""
    failure_detail: str | None
    completion: CompletionRecord
    frame: SizeRecord | None
    """In which the reasoner gave coordinates; those here are in pixels of the image."""
    model: ModelRecord
    timings: TimingsRecord


class MaskRecord(_Wire):
    """The mask of an object."""

    mask: RunLengthsRecord
    score: float | None
    """The segmenter's own estimate of the mask's IoU, from 0 to 1."""


class AnswerMasks(_Wire):
    """The masks of an answer, in the order of its objects."""

    objects: list[MaskRecord]


class MasksAnswer(_Wire):
    """The masks of all answers, in their order."""

    size: list[int]
    """[width, height] of the image, upright."""
    answers: list[AnswerMasks]
    segmenter: str
    revision: str


class ErrorRecord(_Wire):
    """What is wrong."""

    code: str
    message: str
    """One sentence."""


class ErrorAnswer(_Wire):
    """Any answer that is not the one that was asked for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": {"code": "bad_request", "message": "'query' is missing"}}]}
    )

    error: ErrorRecord


class ReasonerInfo(_Wire):
    """The multimodal model."""

    name: str
    revision: str
    format: str
    """Of its answers."""


class SegmenterInfo(_Wire):
    """The promptable model."""

    name: str
    revision: str
    masks: str
    """Which mask of an object is taken: "single" or "best of three"."""


class ModelsAnswer(BaseModel):
    """What is served; routers of other protocols may add to it."""

    reasoner: ReasonerInfo
    segmenter: SegmenterInfo
    limits: dict[str, Any]
    """What is taken: bytes and pixels of an image, its formats, characters of a query, seconds."""
    version: str
    """Of ThinkSeg."""


class StateAnswer(BaseModel):
    """How the service is."""

    status: Literal["UP", "READY", "BUSY", "DRAINING", "FAILING"]
