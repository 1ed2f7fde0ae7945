"""How a segmenter is prompted, and which of its masks are taken, where a checkpoint or a protocol says so.

>>> segmenter = prompted(segmenter, CheckpointConfig(masks="best of three", whole_pixels="half even"))  # doctest: +SKIP

The choice among three masks is the segmenter's own, if it has three; rounding, the square and the exchange of colours
are put around any segmenter. What nothing is said about stays as it is.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.errors import InputError
from thinkseg.models.base import Segmenter, segment_images
from thinkseg.models.checkpoint_config import CheckpointConfig, EncoderKind, Rounding
from thinkseg.types import Answer, Box, Masks, ObjectPrompt, Point, Segmentation, Size

_log = logging.getLogger(__name__)

_ABOVE_HALF = 128
"""A grey value of a mask that was stretched back is the object's where it is above this one, of 255."""


def prompted(segmenter: Segmenter, config: CheckpointConfig) -> Segmenter:
    """A segmenter as a checkpoint's settings want it; the one that is given stays as it is.

    Args:
        segmenter: any, also one that this function has made before, whose settings are replaced.
        config: `masks`, `whole_pixels`, `segmenter_canvas`, `segmenter_bgr` and `segmenter_encoder` of it.

    Raises:
        InputError: the encoder of this segmenter, or of this machine, cannot compute so.
    """
    inner = segmenter.segmenter if isinstance(segmenter, PromptedSegmenter) else segmenter
    best = config.masks == "best of three"
    if hasattr(inner, "best_of_three"):
        if inner.best_of_three != best:
            inner = copy.copy(inner)
            inner.best_of_three = best
    elif best:
        _log.info("the segmenter %s has one mask for an object, so the best of three is that one", type(inner).__name__)
    inner = _encoding_in(inner, config.segmenter_encoder or "float32")
    if config.whole_pixels is None and config.segmenter_canvas is None and not config.segmenter_bgr:
        return inner
    return PromptedSegmenter(inner, config.whole_pixels, config.segmenter_canvas, bool(config.segmenter_bgr))


def _encoding_in(segmenter: Segmenter, kind: EncoderKind) -> Segmenter:
    """The same, whose encoder computes in this way; a kind that cannot be told has a way of its own."""
    change = getattr(segmenter, "encoding_in", None)
    if change is None:
        if kind == "float32":
            return segmenter
        raise InputError(
            f"the segmenter {type(segmenter).__name__} has no encoder that could be told '{kind}': leave out "
            "'segmenter_encoder', or name a checkpoint of the SAM line"
        )
    changed: Segmenter = segmenter if getattr(segmenter, "encoder", None) == kind else change(kind)
    return changed


def remembering(segmenter: Segmenter, memory: int | None = None, **options: Any) -> Segmenter:
    """A segmenter that encodes an image once, however often it comes again, where its kind can keep encodings.

    Args:
        segmenter: any; the one that is given stays as it is.
        memory: the bytes that encodings may take together; None for what is usual.
        options: what else its kind can be told, such as ``leaves``; see `PromptableSegmenter.remembering`.
    """
    if isinstance(segmenter, PromptedSegmenter):
        return replace(segmenter, segmenter=remembering(segmenter.segmenter, memory, **options))
    keeping = getattr(segmenter, "remembering", None)
    if keeping is None:
        return segmenter
    kept: Segmenter = keeping(**options) if memory is None else keeping(memory, **options)
    return kept


@dataclass(frozen=True, slots=True)
class PromptedSegmenter:
    """A `Segmenter` around another one."""

    segmenter: Segmenter
    rounding: Rounding | None = None
    """Whether boxes and points are rounded to whole pixels of what the segmenter is shown, and how."""
    side: int | None = None
    """Pixels a side of the square that it is shown; None shows it the image."""
    bgr: bool = False
    """Whether it is shown red and blue exchanged."""

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """The masks of several answers about one image.

        Args:
            image: RGB, any size.
            answers: each in any frame.

        Returns:
            For each answer (objects, height, width) at the image's size. From a square the *union* of an answer's masks
            is stretched bilinearly and cut above a half; a pixel of it that no single mask reaches belongs to the
            object that comes nearest.
        """
        return self.segment_images([(image, answers)])[0]

    def segment_images(self, asked: Sequence[tuple[Image.Image, Sequence[Answer]]]) -> list[list[Segmentation]]:
        """For each image what `segment` gives."""
        found = segment_images(self.segmenter, [self._shown(image, answers) for image, answers in asked])
        if self.side is None:
            return found
        return [
            [replace(each, masks=_stretched(each.masks, Size(*image.size))) for each in own]
            for (image, _), own in zip(asked, found, strict=True)
        ]

    def _shown(self, image: Image.Image, answers: Sequence[Answer]) -> tuple[Image.Image, list[Answer]]:
        """The image as the segmenter is shown it, and the answers in whole pixels of that."""
        shown = image if self.side is None else image.resize((self.side, self.side), Image.Resampling.BILINEAR)
        rounded = [_rounded(answer.rescaled(Size(*shown.size)), self.rounding) for answer in answers]
        if self.bgr:
            red, green, blue = shown.split()
            shown = Image.merge("RGB", (blue, green, red))
        return shown, rounded


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)


_ROUNDINGS: Mapping[Rounding, Callable[[float], int]] = {"half even": round, "half up": _half_up}


def _rounded(answer: Answer, rounding: Rounding | None) -> Answer:
    """The answer in whole pixels of its frame."""
    if rounding is None:
        return answer
    whole = _ROUNDINGS[rounding]

    def moved(prompt: ObjectPrompt) -> ObjectPrompt:
        box = None if prompt.box is None else Box(*(float(whole(value)) for value in prompt.box.xyxy))
        points = (Point(float(whole(point.x)), float(whole(point.y)), point.label) for point in prompt.points)
        return ObjectPrompt(box, tuple(points))

    return replace(answer, objects=tuple(moved(prompt) for prompt in answer.objects))


def _stretched(masks: Masks, size: Size) -> np.ndarray:
    """Masks of a square at the image's size."""
    result = np.zeros((len(masks), *size.hw), dtype=bool)
    if not len(masks):
        return result
    nearest, owner = np.zeros(size.hw, np.uint8), np.zeros(size.hw, np.int64)
    for number, mask in enumerate(masks):
        grey = _grey(mask, size)
        result[number] = grey > _ABOVE_HALF
        owner[grey > nearest] = number
        nearest = np.maximum(nearest, grey)
    left = (_grey(np.logical_or.reduce(masks, axis=0), size) > _ABOVE_HALF) & ~result.any(axis=0)
    result[owner[left], *np.nonzero(left)] = True
    return result


def _grey(mask: np.ndarray, size: Size) -> np.ndarray:
    """A mask of one size at another one, from 0 to 255, by PIL's bilinear filter."""
    square = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(square.resize(size.wh, Image.Resampling.BILINEAR))
