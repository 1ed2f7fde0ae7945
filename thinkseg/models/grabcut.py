"""GrabCut: a segmenter without weights, for anyone who has none, and the baseline that a learned one has to beat.

Rother, Kolmogorov, Blake: "GrabCut: interactive foreground extraction using iterated graph cuts", SIGGRAPH 2004, as in
OpenCV. It knows colours and edges and nothing else, so it wants a box.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from thinkseg.errors import InputError
from thinkseg.types import Answer, Box, Mask, Masks, ObjectPrompt, Point, Segmentation, Size

_WORKING_SIDE = 256
"""Longer side, in pixels, of the cut-out that is segmented."""
_SURE_RADIUS = 2
"""Pixels around a point, at the working size, that are taken for certain."""
_GUESSED_SHARE = 0.25
"""Without a box: the object probably reaches this share of the image's shorter side around each of its points."""

Pixels = UInt8[np.ndarray, "height width 3"]


class GrabCutSegmenter:
    """A `Segmenter` on OpenCV's GrabCut; the same prompt always gives the same mask.

    A box says that everything outside is background. Points are certain. An object with points alone is guessed to
    fill discs around its points of label 1, of a quarter of the image's shorter side; without any it is empty. Its
    scores are None.

    Args:
        iterations: of GrabCut; three are a little better than one and take nearly twice the time.

    Attributes:
        encode_count: how many images have been prepared so far.
    """

    def __init__(self, *, iterations: int = 3) -> None:
        if iterations < 1:
            raise InputError(f"GrabCut needs at least 1 iteration, found {iterations}")
        self._iterations = iterations
        self.encode_count = 0

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """As in `models.base.Segmenter`."""
        if image.mode != "RGB":
            raise InputError(f"the segmenter takes RGB images, found mode {image.mode!r}")
        size = Size(*image.size)
        asked = [answer.rescaled(size).objects for answer in answers]
        mask_of: dict[ObjectPrompt, Mask] = {}
        if any(asked):
            pixels = np.asarray(image)
            self.encode_count += 1
            for prompt in dict.fromkeys(prompt for prompts in asked for prompt in prompts):
                mask_of[prompt] = self._mask(pixels, prompt)
        empty: Masks = np.zeros((0, *size.hw), dtype=bool)
        return [
            Segmentation(np.stack([mask_of[prompt] for prompt in prompts]) if prompts else empty.copy())
            for prompts in asked
        ]

    def _mask(self, pixels: Pixels, prompt: ObjectPrompt) -> Mask:
        """The mask of one object at the image's size."""
        whole: Mask = np.zeros(pixels.shape[:2], dtype=bool)
        if prompt.box is None and not any(point.label for point in prompt.points):
            return whole
        rows, columns = _neighbourhood(whole.shape, prompt.box)
        cutout = pixels[rows, columns]
        size = Size(cutout.shape[1], cutout.shape[0])
        scale = min(1.0, _WORKING_SIDE / max(size.wh))
        small = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
        shifted = _shifted(prompt, columns.start, rows.start, size)
        scaled = Answer(size, (shifted,)).rescaled(small).objects[0]
        found = self._cut(cv2.resize(cutout, small.wh, interpolation=cv2.INTER_AREA), scaled)
        restored = cv2.resize(found.astype(np.float32), size.wh, interpolation=cv2.INTER_LINEAR) > 0.5
        whole[rows, columns] = restored
        return whole

    def _cut(self, pixels: Pixels, prompt: ObjectPrompt) -> Mask:
        """GrabCut at the working size."""
        labels = _labels(pixels.shape[:2], prompt)
        foreground = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
        # OpenCV needs pixels of both kinds, enough of them to fit five colours to each.
        if min(foreground.sum(), (~foreground).sum()) < 5:
            return np.asarray(foreground)
        cv2.setRNGSeed(0)  # it starts from random clusters
        background_model, foreground_model = np.zeros((1, 65)), np.zeros((1, 65))
        no_box = (0, 0, 0, 0)  # the labels say more than a box could
        cv2.grabCut(pixels, labels, no_box, background_model, foreground_model, self._iterations, cv2.GC_INIT_WITH_MASK)
        found: Mask = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
        # Where the object's colours go on outside of the box, all of it can be lost: the guess is nearer than nothing.
        return found if found.any() else np.asarray(foreground)


def _neighbourhood(shape: tuple[int, ...], box: Box | None) -> tuple[slice, slice]:
    """Rows and columns of the part to look at: the box with its own size around it; everything without a box."""
    height, width = shape
    if box is None:
        return slice(0, height), slice(0, width)
    margin = max(box.x_max - box.x_min, box.y_max - box.y_min, 8.0)
    left, top = (max(0, int(value - margin)) for value in (box.x_min, box.y_min))
    right, bottom = int(box.x_max + margin) + 1, int(box.y_max + margin) + 1
    return slice(min(top, height - 1), min(bottom, height)), slice(min(left, width - 1), min(right, width))


def _shifted(prompt: ObjectPrompt, left: int, top: int, size: Size) -> ObjectPrompt:
    """The prompt seen from the cut-out's corner; points that lie outside of the cut-out are left out."""

    def inside(point: Point) -> bool:
        return left <= point.x <= left + size.width and top <= point.y <= top + size.height

    points = tuple(
        dataclasses.replace(point, x=point.x - left, y=point.y - top) for point in prompt.points if inside(point)
    )
    box = prompt.box
    if box is not None:
        box = Box(max(box.x_min - left, 0), max(box.y_min - top, 0), max(box.x_max - left, 0), max(box.y_max - top, 0))
    return ObjectPrompt(box, points)


def _within(box: Box) -> tuple[slice, slice]:
    """Rows and columns of the pixels between a box's edges, rounded; one at least, so that a box says where to look."""
    left, top, right, bottom = (round(value) for value in box.xyxy)
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def _labels(shape: tuple[int, ...], prompt: ObjectPrompt) -> UInt8[np.ndarray, "height width"]:
    """What is known before the first cut: certain and probable foreground and background."""
    labels = np.full(shape, cv2.GC_PR_BGD, dtype=np.uint8)
    if prompt.box is not None:
        labels[:] = cv2.GC_BGD
        labels[_within(prompt.box)] = cv2.GC_PR_FGD
        if not (labels == cv2.GC_BGD).any():
            # A box around everything leaves no background to learn from: the image's rim is the likeliest.
            for rim in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
                rim[:] = cv2.GC_PR_BGD
    else:
        radius = max(1, round(_GUESSED_SHARE * min(shape)))
        for point in prompt.points:
            if point.label == 1:
                cv2.circle(labels, (round(point.x), round(point.y)), radius, cv2.GC_PR_FGD, thickness=-1)
    for point in prompt.points:
        sure = cv2.GC_FGD if point.label == 1 else cv2.GC_BGD
        cv2.circle(labels, (round(point.x), round(point.y)), _SURE_RADIUS, sure, thickness=-1)
    return labels
