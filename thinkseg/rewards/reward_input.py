"""What a part of the reward looks at: one completion, read and segmented, beside what is known to be right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.answers.base import AnswerFormat
from thinkseg.answers.codec import answer_from_json
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import load_mask
from thinkseg.types import Answer, Mask, Masks, Size


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known to be right for one completion; parts that need what is not known give no score.

    What follows from the rest need not be said: the mask is the union of the instances, and an empty mask, no
    instances, and an answer without objects all say that nothing is there.
    """

    mask: Mask | None = None
    """The true mask at the image's size; all False when nothing is there."""
    instances: Masks | None = None
    """The true objects one by one, at the image's size; none, or all of them empty, when nothing is there."""
    ignore: Mask | None = None
    """Pixels that count neither way, or None."""
    objects: Answer | None = None
    """The true boxes and points in any frame; without objects when nothing is there."""
    image: Image.Image | None = None
    """What the segmenter sees."""

    def __post_init__(self) -> None:
        fill_in = partial(object.__setattr__, self)
        if self.mask is None and self.instances is not None:
            fill_in("mask", np.logical_or.reduce(self.instances, axis=0))
        if self.mask is None and self.objects is not None and not self.objects.objects:
            size = self.objects.frame if self.image is None else Size(*self.image.size)
            fill_in("mask", np.zeros(size.hw, dtype=bool))
        if self.mask is not None and not self.mask.any():
            height, width = self.mask.shape
            if self.instances is None:
                fill_in("instances", np.zeros((0, height, width), dtype=bool))
            if self.objects is None:
                fill_in("objects", Answer(Size(width, height)))


@dataclass(frozen=True, slots=True, eq=False)
class RewardInput:
    """One completion to score."""

    text: str
    """What the model wrote."""
    answer_format: AnswerFormat
    frame: Size
    """In which the text gives coordinates."""
    truth: Truth
    answer: Answer | None
    """The text, read; None when it is malformed."""
    reason: str = ""
    """Why it is malformed, in a sentence."""
    segmenter_masks: Masks | None = None
    """What the segmenter makes of the answer; None where there is no segmenter, no image, or no part that needs it."""

    @property
    def masks(self) -> Masks:
        """The segmenter's masks, one per object at the image's size: none for "nothing there" and a malformed answer.

        Raises:
            InputError: the segmenter was not run, since no part of the reward says that it needs masks.
        """
        if self.segmenter_masks is None:
            raise InputError(
                "a part of the reward looks at the segmenter's masks and does not say so: write "
                "@thinkseg.reward(needs_masks=True) above it"
            )
        return self.segmenter_masks


_COLUMNS = frozenset(
    {"image", "images", "target", "instances", "ignore", "reference", "frame", "box", "points", "objects"}
)


def trivial_score(item: RewardInput, nothing_there: bool) -> float | None:
    """The score of an input in which there is nothing to compare, as a share of the full one; None for any other.

    "Nothing there" earns all where nothing is there, and nothing where something is. An answer that names objects
    where nothing is there earns nothing, and a malformed answer never does.
    """
    if item.answer is None:
        return 0.0
    if nothing_there or not item.answer.objects:
        return float(nothing_there and not item.answer.objects)
    return None


def truth_from_row(columns: Mapping[str, Sequence[Any]], index: int) -> Truth:
    """The truth in a row of a data set, as a trainer hands its columns to the rewards.

    Args:
        columns: by name, one value per completion. Used are ``image`` or the first of ``images`` (PIL), ``target`` and
            ``ignore`` (PIL mask, array or None), ``instances`` (a list of such masks, an array (objects, height, width)
            or None), ``reference`` (an `Answer`), and what `objects_from_record` reads. Others are passed over.
        index: which completion.
    """
    row = {name: values[index] for name, values in columns.items() if name in _COLUMNS}
    image = row.get("image")
    if image is None and row.get("images"):
        image = row["images"][0]
    reference = row.get("reference")
    return Truth(
        mask=_mask_in(row.get("target")),
        instances=_masks_in(row.get("instances")),
        ignore=_mask_in(row.get("ignore")),
        objects=reference if reference is not None else objects_from_record(row),
        image=image,
    )


def objects_from_record(record: Mapping[str, Any]) -> Answer | None:
    """The true objects in a record, in the pixels of its ``frame``: [width, height].

    They are either ``box`` ([x_min, y_min, x_max, y_max]) with ``points`` (a list of [x, y]) of one object, or
    ``objects``, a list that may be empty, of such or of ``bbox_2d`` and ``point_2d``. None when the record has neither.

    Raises:
        DataError: they are not as described, or the frame is missing.
    """
    box, objects = record.get("box"), record.get("objects")
    if box is None and objects is None:
        return None
    if box is not None:
        objects = [{"box": box, "points": record.get("points")}]
    return answer_from_json({"frame": record.get("frame"), "objects": objects})


def _masks_in(value: Any) -> Masks | None:
    """The masks of several objects. An empty list does not say their size, so it says nothing: an empty target does."""
    if isinstance(value, np.ndarray):
        return np.asarray(value > 0)
    masks = [mask for mask in map(_mask_in, value or ()) if mask is not None]
    if any(mask.shape != masks[0].shape for mask in masks):
        raise DataError("the masks in 'instances' should all have the size of their image, found different sizes")
    return np.stack(masks) if masks else None


def _mask_in(value: Any) -> Mask | None:
    """A mask from what data sets hold: boolean arrays as they are, images by their range, other arrays where > 0."""
    if value is None or (isinstance(value, np.ndarray) and value.dtype == np.bool_):
        return value
    if isinstance(value, Image.Image):
        return load_mask(value)
    return np.asarray(np.asarray(value) > 0)
