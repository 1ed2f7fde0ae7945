"""A segmenter behind an address: a ThinkSeg service makes the masks, so that many processes share one SAM 2.

>>> segmenter = load_served_segmenter("http://127.0.0.1:8000")     # doctest: +SKIP
>>> masks = segmenter.segment(image, [answer])[0].masks             # doctest: +SKIP

It is asked by ``POST /v1/masks`` with the image as PNG and all answers about it in pixels of the image; masks come back
as COCO's run lengths. The key is that of the environment variable THINKSEG_API_KEY, if there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.answers.codec import prompt_to_json
from thinkseg.errors import ImageError, InputError, ThinkSegError
from thinkseg.imaging import mask_from_rle
from thinkseg.models.engines.images import png_text
from thinkseg.models.engines.service import JsonService, Patience, ServiceError, checked_address, key_from
from thinkseg.types import Answer, Masks, Scores, Segmentation, Size

KEY = "THINKSEG_API_KEY"
"""The environment variable of the key."""

_AT_ONCE = 4
"""Images that are under way at a time."""
_CHOICES = {"single": False, "best of three": True}


class ServedSegmenter:
    """A `Segmenter` that asks a ThinkSeg service.

    Args:
        service: at the address of the service, without ``/v1``.
        name: of the segmenter there, as the service gives it.
        best_of_three: whether the service takes the best of three masks; see `best_of_three`.
    """

    def __init__(self, service: JsonService, name: str = "", *, best_of_three: bool = False) -> None:
        self.service = service
        self.name = name
        self._best_of_three = best_of_three

    @property
    def best_of_three(self) -> bool:
        """Whether of three masks of a prompt the one of the highest score is taken: the service's choice, not ours.

        To set it otherwise raises an InputError.
        """
        return self._best_of_three

    @best_of_three.setter
    def best_of_three(self, wanted: bool) -> None:
        if wanted != self._best_of_three:
            own, other = ("best of three", "single") if self._best_of_three else ("single", "best of three")
            raise InputError(
                f"the segmenter at {self.service.address} takes masks as '{own}', and '{other}' is asked for: start "
                f"the service so, or say --masks '{own}'"
            )

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """The masks of several answers about one image, in one request.

        Args:
            image: RGB, any size.
            answers: each in any frame.

        Returns:
            As in `models.base.Segmenter`; scores are None where the service gives none.

        Raises:
            ServiceError: the service does not answer, or not as it should.
        """
        size = Size(*image.size)
        nothing = Segmentation(np.zeros((0, *size.hw), dtype=bool))
        asked = [answer.rescaled(size).objects for answer in answers]
        if not any(asked):
            return [nothing for _ in answers]
        told = [[prompt_to_json(prompt) for prompt in objects] for objects in asked]
        try:
            found = self.service.post("/v1/masks", {"image": png_text(image), "answers": told})
        except ServiceError as error:
            if error.status in (400, 413, 422):  # of this image alone: the sample is refused, and the others go on
                raise ImageError(str(error)) from error
            raise
        return self._read(found, size, [len(objects) for objects in asked])

    def segment_images(self, asked: Sequence[tuple[Image.Image, Sequence[Answer]]]) -> list[list[Segmentation]]:
        """For each image what `segment` gives; several requests are under way at a time."""
        if len(asked) < 2:
            return [self.segment(image, answers) for image, answers in asked]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self.segment, *zip(*asked, strict=True)))

    def _read(self, found: Any, size: Size, counts: Sequence[int]) -> list[Segmentation]:
        """Masks and scores from the answer of a service, which is held against what was asked.

        Raises:
            ServiceError: it is another one.
        """
        try:
            if list(found["size"]) != list(size.wh):
                raise ValueError(f"'size' is {found['size']!r:.60}, expected {list(size.wh)}")
            answers = found["answers"]
            told = [len(answer["objects"]) for answer in answers]
            if told != list(counts):
                raise ValueError(f"it has {told} objects in its answers, expected {list(counts)}")
            return [_segmentation(answer["objects"], size) for answer in answers]
        except (KeyError, TypeError, ValueError, AttributeError, ThinkSegError) as error:
            raise ServiceError(
                f"{self.service.address}/v1/masks does not answer as a ThinkSeg service does: {error}"
            ) from error


def _segmentation(objects: Sequence[Mapping[str, Any]], size: Size) -> Segmentation:
    masks: Masks = np.zeros((len(objects), *size.hw), dtype=bool)
    for mask, told in zip(masks, objects, strict=True):
        lengths = told["mask"]
        if list(lengths["size"]) != list(size.hw) or not isinstance(lengths["counts"], str):
            raise ValueError(f"a mask has the size {lengths['size']!r:.60}, expected {list(size.hw)}")
        mask[:] = mask_from_rle(lengths)
    said = [told.get("score") for told in objects]
    if not said or any(score is None for score in said):
        return Segmentation(masks)
    scores: Scores = np.array(said, dtype=np.float64)
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"scores are from 0 to 1, found {said!r:.80}")
    return Segmentation(masks, scores)


def load_served_segmenter(address: str, patience: Patience | None = None) -> ServedSegmenter:
    """The segmenter of a ThinkSeg service.

    Args:
        address: of the service, with ``/v1`` at its end or without.
        patience: how long it is waited for.

    Raises:
        InputError: the address is none, nothing answers there, or what answers is no ThinkSeg service.
    """
    base = checked_address(address, "a segmenter's service").removesuffix("/v1")
    service = JsonService(base, key_from(KEY), patience)
    try:
        told = service.get("/v1/models", retries=2)
    except ServiceError as error:
        hint = f"; its key is read from {KEY}" if error.status in (401, 403) else ""
        raise InputError(f"the segmenter's service cannot be used: {error}{hint}") from error
    about = told.get("segmenter") if isinstance(told, Mapping) else None
    if not isinstance(about, Mapping):
        raise InputError(
            f"{base}/v1/models names no segmenter: expected a ThinkSeg service there, found something else"
        )
    masks = about.get("masks", "single")
    if masks not in _CHOICES:
        raise InputError(f"{base}/v1/models has masks {masks!r:.60}, expected one of {', '.join(_CHOICES)}")
    return ServedSegmenter(service, str(about.get("name", "")), best_of_three=_CHOICES[masks])
