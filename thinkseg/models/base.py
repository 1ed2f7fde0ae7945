"""The two models, as the rest of ThinkSeg sees them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from PIL import Image

from thinkseg.types import Answer, Completion, Request, Segmentation, Size


@runtime_checkable
class Reasoner(Protocol):
    """A multimodal model that writes an answer about an image."""

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order."""
        ...

    def frame_of(self, image: Image.Image) -> Size:
        """The frame in which the model's text gives coordinates of this image (not the image's own size in general)."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """A promptable model that turns boxes and points into masks."""

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """The masks of several answers about one image, which is encoded once.

        Args:
            image: RGB, any size.
            answers: each in any frame; they are rescaled to the image here.

        Returns:
            For each answer its masks, a boolean array (objects, height, width) at the image's size, objects in the
            answer's order; with the segmenter's own estimate of each mask's IoU, if it has one.
        """
        ...
