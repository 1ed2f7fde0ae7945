"""The values that flow through ThinkSeg, from a sample to a report. All of them are small and frozen.

::

    Sample ─▶ Request ─▶ Completion ─▶ Answer ─▶ masks ─▶ Prediction ─▶ Report
                                              └────────▶ Reward

Coordinates never travel without the frame that they are measured in: an `Answer` carries its `frame`, and
`Answer.rescaled` is the only place in the project that changes one frame for another. Widths come before heights,
x before y, as in PIL; arrays of pixels are H×W, as in NumPy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

if TYPE_CHECKING:
    from PIL import Image

    ImageSource = Path | str | Image.Image
    """Where the pixels of an image are: a path, or a PIL image that is in memory already."""

Mask = Bool[np.ndarray, "height width"]
"""True on the object; at the image's size."""
Masks = Bool[np.ndarray, "objects height width"]
"""One mask per object; shape (0, height, width) when there is none."""
Scores = Float[np.ndarray, "objects"]
"""One number from 0 to 1 per object: how well the segmenter thinks that its mask fits (an estimated IoU)."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels, both at least 1; width first, like PIL."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a size needs a width and a height of at least 1, found {self.width}×{self.height}")

    @property
    def wh(self) -> tuple[int, int]:
        """(width, height), as PIL wants it."""
        return self.width, self.height

    @property
    def hw(self) -> tuple[int, int]:
        """(height, width), as NumPy wants it."""
        return self.height, self.width


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box in the pixels of its frame: 0 ≤ x_min ≤ x_max, 0 ≤ y_min ≤ y_max, all finite.

    Its numbers are edges: pixel 0 reaches from 0 to 1, so the box of pixels 3 to 10 is 3 … 11 and 8 wide. Boxes that
    end at the index of the last pixel (3 … 10), as in the published data of Seg-Zero and VisionReasoner, are called
    inclusive wherever they occur.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.xyxy):
            raise ValueError(f"a box needs four finite numbers, found {list(self.xyxy)}")
        if self.x_min < 0 or self.y_min < 0:
            raise ValueError(f"a box cannot have a negative corner, found {list(self.xyxy)}")
        if self.x_min > self.x_max or self.y_min > self.y_max:
            raise ValueError(f"a box is x_min, y_min, x_max, y_max in this order, found {list(self.xyxy)}")

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """(x_min, y_min, x_max, y_max)."""
        return self.x_min, self.y_min, self.x_max, self.y_max

    def contains(self, point: Point) -> bool:
        """Whether the point lies in the box, its border included."""
        return self.x_min <= point.x <= self.x_max and self.y_min <= point.y <= self.y_max


@dataclass(frozen=True, slots=True)
class Point:
    """A click in the pixels of its frame: label 1 lies on the object, label 0 on the background."""

    x: float
    y: float
    label: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y)) or self.x < 0 or self.y < 0:
            raise ValueError(f"a point needs two finite numbers that are not negative, found [{self.x}, {self.y}]")
        if self.label not in (0, 1):
            raise ValueError(f"a point's label is 1 (object) or 0 (background), found {self.label}")


@dataclass(frozen=True, slots=True)
class ObjectPrompt:
    """What the segmenter gets about one object: a box, points, or both."""

    box: Box | None = None
    points: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        if self.box is None and not self.points:
            raise ValueError("an object needs a box or at least one point, found neither")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a completion says, read: the objects, in the pixels of `frame`; no objects means "nothing there"."""

    frame: Size
    objects: tuple[ObjectPrompt, ...] = ()
    think: str = ""

    def rescaled(self, frame: Size) -> Answer:
        """The same answer measured in another frame. This is the only place that rescales coordinates."""
        if frame == self.frame:
            return self
        x_scale = frame.width / self.frame.width
        y_scale = frame.height / self.frame.height

        def moved(prompt: ObjectPrompt) -> ObjectPrompt:
            box = prompt.box
            if box is not None:
                box = Box(box.x_min * x_scale, box.y_min * y_scale, box.x_max * x_scale, box.y_max * y_scale)
            return ObjectPrompt(box, tuple(Point(p.x * x_scale, p.y * y_scale, p.label) for p in prompt.points))

        return dataclasses.replace(self, frame=frame, objects=tuple(moved(prompt) for prompt in self.objects))


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """What a segmenter makes of one answer."""

    masks: Masks
    """One mask per object, in the answer's order, at the image's size."""
    scores: Scores | None = None
    """The segmenter's own estimate of each mask's IoU; None from a segmenter that has none."""

    def __post_init__(self) -> None:
        if self.scores is not None and len(self.scores) != len(self.masks):
            raise ValueError(f"{len(self.masks)} masks need as many scores, found {len(self.scores)}")


@dataclass(frozen=True, slots=True)
class TrueBox:
    """One annotated object of a benchmark that compares boxes, in the image's pixels."""

    box: Box
    """Its edges: a box of one pixel is 1 wide."""
    area: float
    """Pixels of the object itself."""
    crowd: bool = False
    """Whether it stands for a crowd, whose objects were not annotated one by one: boxes on it count neither way."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image and one query, with the truth where it is known."""

    id: str
    """Unique within its data set."""
    image: ImageSource
    query: str
    target: Mask | None = None
    """The true mask at the image's size; all False when the query names nothing in the image; None when unknown."""
    ignore: Mask | None = None
    """Pixels that count neither way, or None."""
    reference: Answer | None = None
    """A reference answer to imitate, in any frame, or None."""
    instances: Masks | None = None
    """The true objects one by one, or None when only their union is known."""
    task: str = ""
    """The kind of query (salient, camouflaged, referring, …) by which a report groups; may be empty."""
    boxes: tuple[TrueBox, ...] | None = None
    """The true objects as they were annotated with boxes, or None when they were not."""
    count: int | None = None
    """How many objects the query names, or None when unknown; a benchmark of counts may have no masks."""
    is_sentence: bool = False
    """Whether the query is a whole sentence and not a phrase, as ReasonSeg says; it may be asked in other words."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """The prompt in words: an optional system message and the user's text (the image comes first)."""

    user: str
    system: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One image with one instruction, for a reasoner."""

    image: Image.Image
    instruction: Instruction


class FinishReason(StrEnum):
    """Why the reasoner stopped writing."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Completion:
    """What the reasoner wrote, and why it stopped."""

    text: str
    """Every text of a model comes in here, and one that no file can hold (half an emoji) is mended: `writable_text`."""
    finish_reason: FinishReason = FinishReason.STOP
    failure: str = ""
    """Why there is no text, where the reasoner could not be asked: a sentence; empty where it wrote one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", writable_text(self.text))


def writable_text(text: str) -> str:
    """The text as UTF-8 can hold it: both halves of a surrogate pair are joined, a half alone becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Failure(StrEnum):
    """Why a prediction has no mask of its own; the value is its name in every file."""

    MALFORMED_ANSWER = "malformed_answer"
    TRUNCATED = "truncated"
    UNREADABLE_IMAGE = "unreadable_image"
    REFUSED_IMAGE = "refused_image"
    UNREADABLE_TRUTH = "unreadable_truth"
    UNANSWERED = "unanswered"

    @property
    def of_image(self) -> bool:
        """Whether it lies in the image, so that the model was never asked and wrote nothing."""
        return self in (Failure.UNREADABLE_IMAGE, Failure.REFUSED_IMAGE)

    @property
    def of_truth(self) -> bool:
        """Whether it lies in the true mask, so that nothing is known to hold a prediction against."""
        return self is Failure.UNREADABLE_TRUTH

    @property
    def of_model(self) -> bool:
        """Whether it lies in what the model wrote."""
        return not (self.of_image or self.of_truth or self.of_engine)

    @property
    def of_engine(self) -> bool:
        """Whether it lies in a reasoner that others run, so that it was asked and nothing came."""
        return self is Failure.UNANSWERED

    @property
    def sentence(self) -> str:
        """What a report prints for people."""
        return _FAILURE_SENTENCES[self]

    @classmethod
    def _missing_(cls, value: object) -> Failure | None:
        """Records of earlier versions have the name in capitals, their reports the sentence."""
        return next((failure for failure in cls if value in (failure.name, failure.sentence)), None)


_FAILURE_SENTENCES = {
    Failure.MALFORMED_ANSWER: "The model's text is not an answer in the expected format.",
    Failure.TRUNCATED: "The model ran into the length limit before it finished its answer.",
    Failure.UNREADABLE_IMAGE: "The image cannot be read, so the model was not asked.",
    Failure.REFUSED_IMAGE: "The image or its query was refused before the model was asked.",
    Failure.UNANSWERED: "The server of the reasoner did not answer, so there is no text.",
    Failure.UNREADABLE_TRUTH: "The true mask cannot be read or does not fit its image: left out of every measure.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The outcome for one sample: there is exactly one per sample, whatever happened."""

    sample_id: str
    completion: Completion
    answer: Answer | None
    """The answer in the frame that the model wrote it in; None when the text could not be read."""
    masks: Masks
    """One mask per object, at the image's size; shape (0, height, width) for a failure or "nothing there"."""
    failure: Failure | None = None
    failure_detail: str = ""
    """Why the text could not be read, in a sentence; empty when there was no failure."""
    scores: Scores | None = None
    """The segmenter's estimate of each mask's IoU, from 0 to 1; None for a failure, or where the segmenter has none."""

    @property
    def mask(self) -> Mask:
        """The union of the objects' masks: (height, width), all False when there is none."""
        union: Mask = np.logical_or.reduce(self.masks, axis=0)
        return union

    @property
    def size(self) -> Size:
        """The image's size."""
        height, width = self.masks.shape[1:]
        return Size(width, height)


@dataclass(frozen=True, slots=True)
class Reward:
    """The scores of one completion, part by part. A part that could not be scored is None, which is not 0."""

    parts: Mapping[str, float | None]
    weights: Mapping[str, float]

    @property
    def total(self) -> float:
        """The weighted sum of the parts that were scored; an unscored part adds nothing."""
        return sum(self.weights.get(name, 1.0) * value for name, value in self.parts.items() if value is not None)


@dataclass(frozen=True, slots=True)
class Metric:
    """A number and how many samples it rests on."""

    value: float
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found, and all that is needed to run it again."""

    benchmark: str
    model: str
    metrics: Mapping[str, Metric]
    by_task: Mapping[str, Mapping[str, Metric]] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    """How many predictions failed, by the name of the `Failure`."""
    protocol: str = "default"
    commit: str = ""
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
