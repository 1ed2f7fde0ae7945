"""What the values of a mask's file mean."""

import numpy as np
from jaxtyping import Float64, Integer
from PIL import Image


def grey_values(image: Image.Image) -> Float64[np.ndarray, "height width"] | Integer[np.ndarray, "height width"]:
    """One number per pixel, large on the object (see the module's text)."""
    if image.mode == "1" or image.mode.startswith("I"):
        return np.asarray(image, dtype=np.int64)
    if image.mode in ("L", "F"):
        return np.asarray(image, dtype=np.float64)
    if image.mode == "P":
        colours = np.asarray(image.convert("RGB"))
        if (colours == colours[..., :1]).all():
            return colours[..., 0].astype(np.int64)
        return (np.asarray(image) > 0).astype(np.int64)
    layers = np.asarray(image.convert("RGBA"), dtype=np.float64)
    colour, alpha = layers[..., :3].max(axis=-1), layers[..., 3]
    if np.ptp(alpha) and not np.ptp(colour):
        return alpha
    return np.asarray(colour * alpha / 255)


def range_of(values: np.ndarray) -> float:
    """The smallest of 1, 255 and 65535 that holds the largest value."""
    largest = float(values.max(initial=0))
    return next((limit for limit in (1.0, 255.0, 65535.0) if largest <= limit), largest)
