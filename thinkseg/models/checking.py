"""Whether an object keeps the contract of a segmenter: for segmenters from outside the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from thinkseg.errors import InputError, reason_of
from thinkseg.extension import described
from thinkseg.models.base import ManyImagesSegmenter, Segmenter
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Segmentation, Size

_SIZE = Size(48, 32)
_FRAME = Size(1000, 1000)
_BOX, _POINT = Box(250, 250, 750, 750), Point(500, 500)
_TRIAL = (
    Answer(_FRAME, (ObjectPrompt(_BOX, (_POINT,)), ObjectPrompt(_BOX), ObjectPrompt(None, (_POINT,)))),
    Answer(_FRAME),
)
"""What a segmenter has to take: objects with a box, with points, with both, and no object at all."""
_ROUNDING = 0.01
"""Share of pixels that may differ where images are segmented together."""


def check_segmenter(value: Any, name: str, device: str) -> Segmenter:
    """The segmenter that a reference names, made and tried out on a small image.

    Args:
        value: what it names: a class, or a function, that is called with the device.
        name: the reference, for the sentence.
        device: name of the torch device.

    Raises:
        InputError: it cannot be made, or what it makes breaks the contract.
    """
    if not callable(value):
        raise InputError(
            f"expected a segmenter at '{name}', a class or a function that is called with the device, found "
            f"{described(value)}"
        )
    try:
        segmenter = value(device)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the segmenter '{name}' cannot be made: {reason_of(error)}. It is called with the device, here "
            f"'{device}'; thinkseg.models.base.Segmenter has the contract"
        ) from error
    if not isinstance(segmenter, Segmenter):
        raise InputError(
            f"the segmenter '{name}' lacks segment(image, answers): thinkseg.models.base.Segmenter has the contract"
        )
    _try_out(segmenter, name)
    return segmenter


def _try_out(segmenter: Segmenter, name: str) -> None:
    image = Image.linear_gradient("L").convert("RGB").resize(_SIZE.wh)
    alone = _tried(lambda: segmenter.segment(image, _TRIAL), name)
    _check(alone, "segment", name)
    if not isinstance(segmenter, ManyImagesSegmenter):
        return
    together = _tried(lambda: segmenter.segment_images([(image, _TRIAL)]), name)
    if not isinstance(together, list) or len(together) != 1:
        _refuse(name, "segment_images gives a list with one list for each image", together)
    _check(together[0], "segment_images", name)
    pairs = [(one.masks, other.masks) for one, other in zip(alone, together[0], strict=True)]
    if any(np.count_nonzero(one != other) > _ROUNDING * one.size for one, other in pairs):
        raise InputError(
            f"the segmenter '{name}' has other masks in segment_images than in segment, and training asks the first, "
            "an evaluation the second: a class that changes one of them changes both"
        )


def _tried(work: Callable[[], object], name: str) -> Any:
    try:
        return work()
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the segmenter '{name}' fails where it is tried out, on objects with a box, with a point, and with both: "
            f"{reason_of(error)}; thinkseg.models.base.Segmenter has the contract"
        ) from error


def _check(found: Any, method: str, name: str) -> None:
    """Refuse what is not one `Segmentation` for each answer of the trial."""
    if not isinstance(found, list) or len(found) != len(_TRIAL):
        _refuse(name, f"{method} gives a list with one Segmentation for each answer", found)
    for answer, own in zip(_TRIAL, found, strict=True):
        objects = len(answer.objects)
        if not isinstance(own, Segmentation):
            _refuse(name, f"{method} gives a list of thinkseg.types.Segmentation", own)
        shape = (objects, *_SIZE.hw)
        if not isinstance(own.masks, np.ndarray) or own.masks.dtype != bool or own.masks.shape != shape:
            _refuse(name, f"masks are a boolean array of {shape} (objects, height, width)", own.masks)
        scores = own.scores
        if scores is not None and not (
            isinstance(scores, np.ndarray) and scores.shape == (objects,) and ((scores >= 0) & (scores <= 1)).all()
        ):
            _refuse(name, f"scores are {objects} numbers from 0 to 1, one for each mask, or None", scores)


def _refuse(name: str, law: str, found: Any) -> NoReturn:
    kind = type(found).__name__
    if isinstance(found, np.ndarray):
        kind = f"an array of {found.shape} of {found.dtype}"
    elif isinstance(found, list | tuple):
        kind = f"a {kind} of {len(found)}"
    raise InputError(f"the segmenter '{name}' breaks a law of thinkseg.models.base.Segmenter: {law}, found {kind}")
