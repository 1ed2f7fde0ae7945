"""What is asked about images: prompts in chunks that a decoder can take together, and the masks that were found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from PIL import Image

from thinkseg.models.encodings import Encoded
from thinkseg.types import Masks, ObjectPrompt, Scores, Segmentation


@dataclass(eq=False)
class Asked:
    """What is asked about one image, and what was found."""

    image: Image.Image
    objects: list[tuple[ObjectPrompt, ...]]
    """Of each answer, its prompts in the frame of the model's input."""
    encoded: Encoded
    found: dict[ObjectPrompt, tuple[np.ndarray, float]]
    """A boolean mask (height, width) and its score for every distinct prompt."""

    @property
    def prompts(self) -> Sequence[ObjectPrompt]:
        """The distinct ones, in order."""
        return list(dict.fromkeys(prompt for objects in self.objects for prompt in objects))

    @property
    def pixels(self) -> int:
        """Of the image."""
        return self.image.width * self.image.height

    def segmentations(self) -> list[Segmentation]:
        """One for each answer, in order."""
        left = Counter(prompt for objects in self.objects for prompt in objects)
        return [_segmentation(objects, self.found, left, self.image.size) for objects in self.objects]


AskedPrompt = tuple[Asked, ObjectPrompt]
"""A prompt, and what it is asked about."""


def chunks(prompts: Iterable[AskedPrompt], limit: int, pixels: int) -> Iterator[list[AskedPrompt]]:
    """Prompts in chunks of the same form: with a box or without, and so many points.

    Args:
        prompts: those about an image one after another.
        limit: of prompts in a chunk.
        pixels: that the images of a chunk may have together, an image counted for each of its prompts; one prompt is
            always taken.
    """
    forms: dict[tuple[bool, int], list[AskedPrompt]] = {}
    for own in prompts:
        forms.setdefault((own[1].box is not None, len(own[1].points)), []).append(own)
    for same in forms.values():
        chunk: list[AskedPrompt] = []
        for own in same:
            if len(chunk) == limit or (chunk and sum(each.pixels for each, _ in (*chunk, own)) > pixels):
                yield chunk
                chunk = []
            chunk.append(own)
        yield chunk


def by_image(chunk: Sequence[AskedPrompt]) -> list[tuple[Asked, list[ObjectPrompt]]]:
    """The prompts of a chunk by their images, in order."""
    return [(asked, [prompt for _, prompt in own]) for asked, own in groupby(chunk, key=lambda own: own[0])]


def nothing(image: Image.Image) -> Segmentation:
    """What an answer without objects gets."""
    return _segmentation((), {}, Counter(), image.size)


def _segmentation(
    objects: Sequence[ObjectPrompt],
    found: dict[ObjectPrompt, tuple[np.ndarray, float]],
    left: Counter[ObjectPrompt],
    size_wh: tuple[int, int],
) -> Segmentation:
    """Masks and scores of one answer, an array each; a mask that no further answer needs is let go."""
    width, height = size_wh
    masks: Masks = np.empty((len(objects), height, width), dtype=bool)
    scores: Scores = np.empty(len(objects), dtype=np.float64)
    for number, prompt in enumerate(objects):
        masks[number], scores[number] = found[prompt]
        left[prompt] -= 1
        if not left[prompt]:
            del found[prompt]
    return Segmentation(masks, scores)
