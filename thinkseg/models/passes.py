"""Batches of prompts that are filled by tokens: small ones where prompts are long, large ones where they are short.

>>> [*passes_of([700, 60, 50, 700, 40], "abbac", tokens=1400)]
[[0, 3], [1, 2, 4]]
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from PIL import Image

from thinkseg.errors import ImageError
from thinkseg.types import Size


def passes_of(lengths: Sequence[int], images: Sequence[Hashable], tokens: int) -> Iterator[list[int]]:
    """Which prompts go through a model together, each once, the longest first.

    Prompts about one image stay together where they have room in one pass, so that it is encoded once.

    Args:
        lengths: of the prompts, in tokens, those of the image among them.
        images: for each prompt what it is about; equal for the same image.
        tokens: how many a pass may have, padding among them: its rows times its longest prompt. A prompt of more is a
            pass of its own.

    Yields:
        Their places, counted from 0.
    """
    about: dict[Hashable, list[int]] = {}
    for place, image in enumerate(images):
        about.setdefault(image, []).append(place)
    for places in about.values():
        places.sort(key=lambda place: -lengths[place])

    def fit(more: Sequence[int]) -> bool:
        together = [*one, *more]
        return len(together) * max(lengths[place] for place in together) <= tokens

    one: list[int] = []
    for places in sorted(about.values(), key=lambda places: -lengths[places[0]]):
        whole = len(places) * lengths[places[0]] <= tokens
        for more in [places] if whole else [[place] for place in places]:
            if one and not fit(more):
                yield one
                one = []
            one += more
    if one:
        yield one


class PromptLengths:
    """How many tokens prompts have, as a model's processor makes them; an image is not looked at, but for its size.

    Args:
        processor: of the model.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._of_images: dict[Size, int] = {}

    def of(self, prompt: str, size: Size) -> int:
        """The length of a prompt about an image of this size in pixels.

        Raises:
            ImageError: the processor refuses images of this shape.
        """
        if size not in self._of_images:
            self._of_images[size] = self._whole(prompt, size) - self._words(prompt)
        return self._of_images[size] + self._words(prompt)

    def _words(self, prompt: str) -> int:
        """Its length with one token, or none, in the image's place."""
        return len(self._processor.tokenizer(prompt)["input_ids"])

    def _whole(self, prompt: str, size: Size) -> int:
        import torch

        # On the meta device an image is a shape without pixels: of 12 megapixels it takes no longer than of one.
        bare: Any = torch.empty((3, size.height, size.width), dtype=torch.uint8, device="meta")
        try:
            try:
                told = self._processor(images=[[bare]], text=[prompt])
            except (NotImplementedError, RuntimeError, TypeError):
                told = self._processor(images=[[Image.new("RGB", size.wh)]], text=[prompt])
        except ValueError as error:
            raise ImageError(
                f"the model's processor refuses an image of {size.width}×{size.height}: {error}"
            ) from error
        return len(told["input_ids"][0])
