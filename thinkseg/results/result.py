"""What `Pipeline.segment` returns: an answer about one image, in the pixels of that image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from thinkseg.arguments import COUNT, FLAG, MAPPING, NAME, PATH, instance, optional, takes
from thinkseg.drawing import cut_out, overlay
from thinkseg.errors import InputError, reason_of
from thinkseg.geometry import box_from_mask
from thinkseg.imaging import resize_mask
from thinkseg.results.files import RECORD, endings, read_record, stem_of_image, with_ending, write_result
from thinkseg.results.record import ResultRecord, describe, prediction_from_record, record_from_prediction
from thinkseg.results.supervision import detections_from
from thinkseg.types import Answer, Box, Failure, Mask, Masks, Point, Prediction, Scores, Size

IN_MEMORY = "image"
"""What an image without a file is called."""

_SHOWN_SIDE = 1024
"""Longest side, in pixels, of the image that a notebook shows."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundObject:
    """One object of a result, in pixels of the image."""

    number: int
    """From 1, as in the overlay."""
    box: Box | None
    """The box that the model gave; None where its format has none."""
    points: tuple[Point, ...]
    """The points that the model gave, each with its label: 1 on the object, 0 beside it."""
    mask: Mask
    """(height, width), True on the object."""
    score: float | None
    """The segmenter's own estimate of the mask's IoU, from 0 to 1; None where it has none."""

    @property
    def area(self) -> int:
        """How many pixels the mask has."""
        return int(self.mask.sum())

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x_min, y_min, x_max, y_max of the model's box, or else of the one around the mask, within the image."""
        height, width = self.mask.shape
        left, top, right, bottom = _corners(self)
        return min(left, width), min(top, height), min(right, width), min(bottom, height)

    @property
    def outer_box(self) -> Box | None:
        """The model's box, or the one around the mask where that one is none or has no area within the image; None
        where neither has one: for tools that take no box without an area.
        """
        left, top, right, bottom = self.corners
        return Box(left, top, right, bottom) if left < right and top < bottom else box_from_mask(self.mask)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a model found in an image. Coordinates are in pixels of the image, x before y, from its upper left corner.

    A completion that cannot be read is a result, too: `failure` says why, and there are no objects.

    >>> import numpy as np
    >>> import thinkseg
    >>> photo = np.full((120, 160, 3), 235, dtype=np.uint8)
    >>> photo[30:90, 40:100] = (200, 30, 30)
    >>> result = thinkseg.load("pocket").segment(photo, "the red thing")
    >>> result.mask.shape, result.mask.dtype
    ((120, 160), dtype('bool'))
    >>> len(result.boxes) == len(result.masks) == len(result.objects)
    True
    >>> result.overlay().size
    (160, 120)
    """

    image: Image.Image
    """RGB, upright."""
    query: str
    prediction: Prediction
    """What the models said, as it is counted in an evaluation."""
    source: str = IN_MEMORY
    """The image's path or address; ``"image"`` for one that was in memory."""
    model: Mapping[str, Any] | None = None
    """What the record says about the models, if anything."""

    @classmethod
    @takes(record=MAPPING, image=instance("a PIL image", Image.Image))
    def from_record(cls, record: Mapping[str, Any], image: Image.Image) -> Result:
        """The result that was written as a record (`NAME.json`), with its image.

        Coordinates in a record are rounded to hundredths of a pixel; masks are exact.

        Raises:
            InputError: the record lacks something, or holds something else than `save` writes.
        """
        source = str(record.get("image", IN_MEMORY))
        try:
            prediction = prediction_from_record(record)
            return cls(image, record["query"], prediction, source, record.get("model"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the record of '{source}' is none that `save` writes: {reason_of(error)}") from error

    @property
    def mask(self) -> Mask:
        """The union of all objects: (height, width), all False when there is none."""
        return self.prediction.mask

    @property
    def masks(self) -> Masks:
        """One mask per object: (objects, height, width)."""
        return self.prediction.masks

    @property
    def scores(self) -> Scores | None:
        """The segmenter's own estimate of each mask's IoU, from 0 to 1; None where it has none."""
        return self.prediction.scores

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """The box that the model gave of each object; None for an object that it gave only points of."""
        return tuple(found.box for found in self.objects)

    @property
    def points(self) -> tuple[tuple[Point, ...], ...]:
        """The points that the model gave of each object."""
        return tuple(found.points for found in self.objects)

    @property
    def labels(self) -> tuple[tuple[int, ...], ...]:
        """The label of each point: 1 on the object, 0 beside it."""
        return tuple(tuple(point.label for point in found.points) for found in self.objects)

    @property
    def objects(self) -> tuple[FoundObject, ...]:
        """The objects in the answer's order."""
        placed = self._placed()
        prompts = placed.objects if placed else ()
        scores = [None] * len(prompts) if self.scores is None else self.scores.tolist()
        return tuple(
            FoundObject(number, prompt.box, prompt.points, mask, score)
            for number, (prompt, mask, score) in enumerate(zip(prompts, self.masks, scores, strict=True), start=1)
        )

    @property
    def found(self) -> bool:
        """Whether there is at least one object."""
        return len(self.masks) > 0

    @property
    def nothing_there(self) -> bool:
        """Whether the model says that the image has nothing that the query asks for."""
        return self.answer is not None and not self.found

    @property
    def thinking(self) -> str:
        """What the model thought; empty when its text could not be read."""
        return self.answer.think.strip() if self.answer else ""

    @property
    def failure(self) -> Failure | None:
        """Why the model's text could not be read; None when it could."""
        return self.prediction.failure

    @property
    def failure_detail(self) -> str:
        """What is wrong with the text, in a sentence; empty when nothing is."""
        return self.prediction.failure_detail

    @property
    def text(self) -> str:
        """What the model wrote, word by word."""
        return self.prediction.completion.text

    @property
    def answer(self) -> Answer | None:
        """The answer as it was read, in the frame that the model wrote it in; None when it could not be read."""
        return self.prediction.answer

    @property
    def size(self) -> Size:
        """The image's size."""
        return self.prediction.size

    @takes(longest_side=optional(COUNT))
    def overlay(self, longest_side: int | None = None) -> Image.Image:
        """The image with every object in its own colour, with its box, points and number.

        Args:
            longest_side: draw at a smaller size, in pixels; None for the image's own.
        """
        if longest_side is None or longest_side >= max(self.image.size):
            return overlay(self.image, self.masks, self.answer)
        smaller = self.image.copy()
        smaller.thumbnail((longest_side, longest_side))
        size = Size(*smaller.size)
        masks = [resize_mask(mask, size, "area") for mask in self.masks]
        return overlay(smaller, np.stack(masks) if masks else None, self.answer)

    @takes(crop=FLAG)
    def cutout(self, *, crop: bool = True) -> Image.Image:
        """The objects without the rest of the image: RGBA, transparent where the mask is False.

        Args:
            crop: whether to cut to the smallest box around the mask; an empty mask is not cropped.
        """
        return cut_out(self.image, self.mask, crop=crop)

    def to_record(self) -> ResultRecord:
        """The result as plain JSON: what `save` and ``thinkseg segment`` write into `NAME.json`."""
        record = {"image": self.source, **record_from_prediction(self.prediction, self.query)}
        return {**record, "model": dict(self.model)} if self.model is not None else record

    def describe(self) -> list[str]:
        """What was found, in lines for people: the thinking, and the objects or why there is none."""
        return describe(self.to_record())

    @takes(folder=PATH, name=optional(NAME), index=FLAG, instances=FLAG)
    def save(
        self, folder: Path | str = ".", name: str | None = None, *, index: bool = False, instances: bool = False
    ) -> list[Path]:
        """Write the files that ``thinkseg segment`` writes, in place of those of an earlier result of this name.

        Args:
            folder: made if it is not there.
            name: without suffix; the image's own when None.
            index: whether to write `NAME.index.png`, which is n on object n.
            instances: whether to write each object's own mask, `NAME.object-1.png` and so on.

        Returns:
            The files: `NAME.mask.png`, `NAME.overlay.png`, what else was asked for, and last `NAME.json`.

        Raises:
            InputError: the folder cannot be made, `NAME.json` is there and is no result, or a file of this name is the
                image itself.
        """
        stem = Path(folder) / (name or self._name())
        self._refuse_to_overwrite(stem)
        record = self.to_record()
        try:
            write_result(stem, record, lambda: self.image, index=index, instances=instances)
        except OSError as error:
            raise InputError(f"the result cannot be written into '{stem.parent}': {error.strerror or error}") from error
        return [with_ending(stem, ending) for ending in endings(record, index=index, instances=instances)]

    def to_supervision(self) -> Any:
        """The objects as `supervision.Detections`, for annotators, trackers and writers of the package `supervision`.

        `xyxy` has the model's boxes, and the box around the mask for an object without one; `mask` the masks;
        `confidence` the scores, if there are any; `class_id` is 0, and `data["class_name"]` the query.

        Raises:
            MissingExtraError: `supervision` is not installed; the extra of that name has it.
        """
        boxes = [_corners(found) for found in self.objects]
        return detections_from(boxes, self.masks, self.scores, self.query)

    def _repr_png_(self) -> bytes:
        """The overlay, by which a notebook shows a result."""
        file = BytesIO()
        self.overlay(_SHOWN_SIDE).save(file, "PNG")
        return file.getvalue()

    def __repr__(self) -> str:
        if self.failure is not None:
            came_of_it = self.failure.value
        else:
            came_of_it = f"{len(self.masks)} object{'s' * (len(self.masks) != 1)}" if self.found else "nothing there"
        return f"<Result: {self.query!r} in {self.source}, {self.size.width}×{self.size.height}: {came_of_it}>"

    def _placed(self) -> Answer | None:
        return self.answer.rescaled(self.size) if self.answer else None

    def _name(self) -> str:
        return Path(urlsplit(self.source).path if "://" in self.source else self.source).stem or IN_MEMORY

    def _refuse_to_overwrite(self, stem: Path) -> None:
        record = with_ending(stem, RECORD)
        if record.exists() and read_record(stem) is None:
            raise InputError(f"'{record}' is there and is no result: give another name, or another folder")
        source = stem_of_image(Path(self.source))
        if source is not None and source.resolve() == stem.resolve():
            raise InputError(f"a result named '{stem}' would overwrite its image '{self.source}': give another name")


def _corners(found: FoundObject) -> tuple[float, float, float, float]:
    """The object's box, or the one around its mask, or else its first point."""
    box = found.box or box_from_mask(found.mask)
    if box is not None:
        return box.xyxy
    point = found.points[0]
    return point.x, point.y, point.x, point.y
