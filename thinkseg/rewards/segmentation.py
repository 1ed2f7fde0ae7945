"""What the segmenter makes of the answers of a batch: each distinct image is shown to it once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thinkseg.errors import ImageError
from thinkseg.imaging import content_key
from thinkseg.models.base import Segmenter
from thinkseg.rewards.reward_input import RewardInput
from thinkseg.types import Answer, Masks


def segmented(inputs: Sequence[RewardInput], segmenter: Segmenter) -> list[RewardInput]:
    """The inputs with their masks: one call per distinct image, in which equal answers are segmented once.

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
    with_masks = list(inputs)
    for indices in by_image.values():
        group = [inputs[index] for index in indices]
        for index, item, made in zip(indices, group, _masks_of(group, segmenter), strict=True):
            with_masks[index] = replace(item, segmenter_masks=made)
    return with_masks


def _masks_of(inputs: Sequence[RewardInput], segmenter: Segmenter) -> list[Masks]:
    """The masks of several answers about one image; none for a malformed answer and for "nothing there"."""
    image = inputs[0].truth.image
    assert image is not None
    shape = (image.height, image.width)
    for item in inputs:
        for known in (item.truth.mask, item.truth.instances, item.truth.ignore):
            if known is not None and known.shape[-2:] != shape:
                raise ImageError(
                    f"a true mask has the size of its image, {image.width}×{image.height}; "
                    f"found one of {known.shape[-1]}×{known.shape[-2]}"
                )
    asked: dict[tuple[object, ...], Answer] = {}
    for item in inputs:
        if item.answer is not None and item.answer.objects:
            asked.setdefault((item.answer.frame, item.answer.objects), item.answer)
    made = segmenter.segment(image, list(asked.values())) if asked else []
    found = {key: of_answer.masks for key, of_answer in zip(asked, made, strict=True)}
    nothing = np.zeros((0, *shape), bool)
    return [found.get((item.answer.frame, item.answer.objects), nothing) if item.answer else nothing for item in inputs]
