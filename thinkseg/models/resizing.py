"""Images at the size that a model's processor makes of them: for work on them elsewhere than where the model is."""

from __future__ import annotations

from PIL import Image

from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.types import Size


class ImageResizer:
    """Brings images to the size that a reasoner's processor makes of them, pixel by pixel as the processor does."""

    def __init__(self, reasoner: TransformersReasoner) -> None:
        self._reasoner = reasoner
        self._sizes: dict[Size, Size | None] = {}

    def resize(self, image: Image.Image) -> Image.Image:
        """The image to hand to the processor in place of this one; the processor makes the same of both."""
        image = self._reasoner.on_canvas(image)
        size = Size(*image.size)
        if size not in self._sizes:
            self._sizes[size] = self._reasoner.family.final_size(self._reasoner.processor, size)
        final = self._sizes[size]
        return image if final is None or final == size else _resized(image, final)


def _resized(image: Image.Image, size: Size) -> Image.Image:
    """As the processors of the Qwen families resize: torchvision's bicubic on bytes, not quite the same as PIL's."""
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as vision

    pixels = vision.pil_to_tensor(image)
    resized = vision.resize(pixels, list(size.hw), interpolation=InterpolationMode.BICUBIC, antialias=True)
    made: Image.Image = vision.to_pil_image(resized)
    return made
