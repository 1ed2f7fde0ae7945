"""Masks and soft maps of any kind of file as arrays, and back."""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image

from thinkseg.errors import ImageError
from thinkseg.imaging.levels import grey_values, range_of
from thinkseg.imaging.opening import Source, opened_upright
from thinkseg.types import Mask, Size


def load_mask(source: Source, name: str | None = None) -> Mask:
    """Read a mask of any mode; True where a value is more than half of the file's range (see the module's text).

    Raises:
        ImageError: as for `load_image`.
    """
    mask: Mask = load_map(source, name) > 0.5
    return mask


def load_map(source: Source, name: str | None = None) -> Float64[np.ndarray, "height width"]:
    """Read a mask with soft edges, as foreground detectors write it.

    Returns:
        0…1: the values over the file's range (see the module's text).

    Raises:
        ImageError: as for `load_image`.
    """
    with opened_upright(source, name) as image:
        values = grey_values(image)
    return np.asarray(values.clip(0) / range_of(values))


def save_mask(mask: Mask, path: Path | str) -> None:
    """Write a mask as an 8-bit PNG, 255 on the object; folders that are missing are made.

    Raises:
        ImageError: the name does not end in .png. A lossy file would change the mask.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ImageError(f"masks are written as PNG, and '{path}' ends in '{path.suffix}': name it '.png'")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path, format="PNG")


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
