"""What the segmenter makes of the answers of a batch: it sees each distinct image once, and all of them together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from thinkseg.errors import ImageError
from thinkseg.imaging import content_key
from thinkseg.models.base import Segmenter, segment_images
from thinkseg.rewards.reward_input import RewardInput
from thinkseg.types import Answer, Masks, ObjectPrompt, Size

_Key = tuple[Size, tuple[ObjectPrompt, ...]]


def segmented(inputs: Sequence[RewardInput], segmenter: Segmenter) -> list[RewardInput]:
    """The inputs with their masks: each distinct image is encoded once, and equal answers are segmented once.

    Inputs without an image stay as they are.

    Raises:
        ImageError: a true mask and its image differ in size.
    """
    keys: dict[int, object] = {}
    by_image: dict[object, list[int]] = {}
    for index, item in enumerate(inputs):
        image = item.truth.image
        if image is not None:
            if id(image) not in keys:
                keys[id(image)] = content_key(image)
            by_image.setdefault(keys[id(image)], []).append(index)
    groups = [[inputs[index] for index in indices] for indices in by_image.values()]
    with_masks = list(inputs)
    for indices, masks in zip(by_image.values(), _masks_of(groups, segmenter), strict=True):
        for index, made in zip(indices, masks, strict=True):
            with_masks[index] = replace(inputs[index], segmenter_masks=made)
    return with_masks


def _masks_of(groups: Sequence[Sequence[RewardInput]], segmenter: Segmenter) -> list[list[Masks]]:
    """The masks of several answers about each of some images; none for a malformed answer and for "nothing there"."""
    for inputs in groups:
        _refuse_misfits(inputs)
    asked = [_asked(inputs) for inputs in groups]
    shown = [(_image_of(inputs), list(own.values())) for inputs, own in zip(groups, asked, strict=True) if own]
    made = iter(segment_images(segmenter, shown) if shown else ())
    masks = []
    for inputs, own in zip(groups, asked, strict=True):
        found = {key: of_answer.masks for key, of_answer in zip(own, next(made) if own else (), strict=True)}
        nothing = np.zeros((0, *_shape(_image_of(inputs))), bool)
        masks.append([found.get(_key(item.answer), nothing) if item.answer else nothing for item in inputs])
    return masks


def _asked(inputs: Sequence[RewardInput]) -> dict[_Key, Answer]:
    """The distinct answers that name objects."""
    answers = [item.answer for item in inputs if item.answer is not None and item.answer.objects]
    distinct: dict[_Key, Answer] = {}
    for answer in answers:
        distinct.setdefault(_key(answer), answer)
    return distinct


def _key(answer: Answer) -> _Key:
    """Equal for answers that are segmented alike, whatever else they say."""
    return answer.frame, answer.objects


def _image_of(inputs: Sequence[RewardInput]) -> Image.Image:
    image = inputs[0].truth.image
    assert image is not None
    return image


def _shape(image: Image.Image) -> tuple[int, int]:
    return image.height, image.width


def _refuse_misfits(inputs: Sequence[RewardInput]) -> None:
    image = _image_of(inputs)
    for item in inputs:
        for known in (item.truth.mask, item.truth.instances, item.truth.ignore):
            if known is not None and known.shape[-2:] != _shape(image):
                raise ImageError(
                    f"a true mask has the size of its image, {image.width}×{image.height}; "
                    f"found one of {known.shape[-1]}×{known.shape[-2]}"
                )
