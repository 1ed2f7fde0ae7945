"""The square that some checkpoints were trained on: every image is stretched to it before the processor sees it."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from thinkseg.errors import InputError
from thinkseg.imaging import load_image
from thinkseg.models.checkpoint_config import CanvasFilter
from thinkseg.types import Size

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True, slots=True)
class Canvas:
    """A square of pixels, and how an image gets there."""

    side: int
    """Pixels a side, from 1."""
    filter: CanvasFilter = "bicubic"
    jpeg: bool = False
    """Whether it is then stored as a JPEG of quality 75, which is PIL's own, and read again."""

    def __post_init__(self) -> None:
        if self.side < 1:
            raise InputError(f"a canvas has at least 1 pixel a side, found {self.side}")

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size(self.side, self.side)

    def stretch(self, image: Image.Image) -> Image.Image:
        """The image over the whole square, its shape lost; PIL's filters, which look at all pixels when they shrink.

        Args:
            image: RGB, any size.
        """
        square = image.resize(self.size.wh, _FILTERS[self.filter])
        if not self.jpeg:
            return square
        stored = io.BytesIO()
        square.save(stored, format="JPEG")
        return load_image(stored)
