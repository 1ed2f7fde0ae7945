"""Masks and soft maps of any kind of file as arrays, and back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image

from thinkseg.errors import ImageError
from thinkseg.imaging.levels import NotAMaskError, levels_of, range_of
from thinkseg.imaging.opening import Source, name_of, opened_upright
from thinkseg.imaging.two_values import two_valued
from thinkseg.types import Mask, Size

_LOSSY = ("JPEG", "MPO", "JPEG2000")
"""Formats that scatter a value about itself; WebP may, and does not say so."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskFile:
    """What a mask's file says."""

    mask: Mask
    values: int
    """How many different values it has; more than two are a mask with soft rims, or one that went through JPEG."""


def load_mask(source: Source, name: str | None = None) -> Mask:
    """Read a true mask, of any mode: a file of two values, or of two and what rims and JPEG put between them.

    A pixel is the object where its value is more than half of the file's range, or where there are 0 and one other
    value, in the other one (see `thinkseg.imaging.two_values` and `thinkseg.imaging.levels`).

    Args:
        source: a path, an image in memory, or a file's content.
        name: what an error calls it; its path when None.

    Raises:
        NotAMaskError: it cannot be told which of its values is the object, as with class numbers, trimaps and maps of
            labels in colours.
        ImageError: as for `load_image`.
    """
    return read_mask(source, name).mask


def read_mask(source: Source, name: str | None = None) -> MaskFile:
    """As `load_mask`, with what the file is like."""
    name = name_of(source, name)
    with opened_upright(source, name) as image:
        lossy = image.format in _LOSSY
        levels = levels_of(image, name)
    return MaskFile(*two_valued(levels, name, lossy=lossy))


def load_map(source: Source, name: str | None = None) -> Float64[np.ndarray, "height width"]:
    """Read a prediction, which may be soft: a foreground detector writes how sure it is of each pixel.

    Returns:
        0…1: the values over the file's range, which is the smallest of 1, 255 and 65535 that holds the largest value.

    Raises:
        NotAMaskError: several colours, of which it cannot be told which is the object.
        ImageError: as for `load_image`.
    """
    name = name_of(source, name)
    with opened_upright(source, name) as image:
        if image.mode == "F" or image.mode.startswith("I"):
            values = np.asarray(image, dtype=np.float64).clip(0)
            if not np.isfinite(values.max(initial=0)):
                raise NotAMaskError(f"{name} has pixels that are no finite numbers: write values from 0 to 1")
            return np.asarray(values / range_of(float(values.max(initial=0))))
        levels = levels_of(image, name)
    return np.divide(levels.values, levels.limit, dtype=np.float64)


def size_difference(mask: Size, image: Size) -> str:
    """How a mask of another size than its image is told, everywhere in the same words."""
    return f"is {mask.width}×{mask.height} (width×height), its image {image.width}×{image.height}"


def save_mask(mask: Mask, path: Path | str) -> None:
    """Write a mask as an 8-bit PNG, 255 on the object; folders that are missing are made.

    Raises:
        ImageError: the name does not end in .png. A lossy file would change the mask.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ImageError(f"masks are written as PNG, and '{path}' ends in '{path.suffix}': name it '.png'")
    path.parent.mkdir(parents=True, exist_ok=True)
    mask_image(mask).save(path, format="PNG")


def mask_image(mask: Mask) -> Image.Image:
    """A mask as an 8-bit grey image, 255 on the object."""
    return Image.fromarray(mask.astype(np.uint8) * 255)


def resize_mask(
    mask: Mask, size: Size, method: Literal["nearest", "area"] = "nearest"
) -> Bool[np.ndarray, "new_height new_width"]:
    """A mask at another size.

    Args:
        mask: the mask.
        size: the new width and height.
        method: "nearest" takes the nearest pixel; "area" asks whether the object covers at least half of the new pixel,
            which keeps outlines truer when a mask is made much smaller.
    """
    if size.hw == mask.shape:
        return mask
    if method == "nearest":
        return np.asarray(Image.fromarray(mask).resize(size.wh, Image.Resampling.NEAREST))
    coverage = Image.fromarray(mask.astype(np.float32)).resize(size.wh, Image.Resampling.BOX)
    return np.asarray(coverage) >= 0.5
