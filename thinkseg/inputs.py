"""What a caller may hand over as an image: a path, a PIL image, a NumPy array, or, where it is allowed, an address.

All of it becomes a PIL image in RGB, turned as its EXIF says. Nothing is fetched from a network unless the caller says
so; what is fetched is limited in bytes and in time.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from thinkseg.arguments import FROM_0, PATH, TEXT, Kind, check, instance, optional
from thinkseg.errors import ImageError
from thinkseg.fetching import TIMEOUT, Opener, fetch
from thinkseg.imaging import load_image
from thinkseg.types import Sample

ImageInput = Path | str | Image.Image | np.ndarray
"""A path, an http(s) address, a PIL image, or an array of uint8: H×W×3 (RGB), H×W×4 (RGBA) or H×W (grey)."""

MAX_BYTES = 64 * 2**20
"""The largest file that is fetched."""


def is_url(source: object) -> bool:
    """Whether something is an http(s) address."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def image_from_input(source: object, *, allow_url: bool = False) -> Image.Image:
    """The image that a caller means.

    Args:
        source: see `ImageInput`.
        allow_url: whether an address is fetched.

    Returns:
        RGB, turned as its EXIF says; transparency is laid on white.

    Raises:
        ImageError: it is none of these, missing, damaged or too large, or an address that is not allowed or cannot be
            fetched.
    """
    if isinstance(source, np.ndarray):
        return image_from_array(source)
    if isinstance(source, str) and is_url(source):
        if not allow_url:
            raise ImageError(
                f"'{source}' is an address, and nothing is fetched from a network unasked: download the image, or say "
                "allow_url=True"
            )
        return fetch_image(source)
    if isinstance(source, Path | str | Image.Image):
        return load_image(source)
    raise ImageError(f"expected an image as a path, a PIL image or a NumPy array, found {_type_name(source)}")


def check_sample(sample: object) -> None:
    """Refuse a sample of the caller's own whose values are of the wrong kind.

    Raises:
        InputError: it is no `Sample`, or one of its values cannot be.
    """
    check(sample, instance("a Sample", Sample), "each of the samples")
    assert isinstance(sample, Sample)
    check(sample.id, TEXT, "'id' of a sample")
    for name, kind in _OF_A_SAMPLE.items():
        check(getattr(sample, name), kind, f"'{name}' of sample '{sample.id}'")


_IS_MASK = Kind("a boolean array", lambda value: isinstance(value, np.ndarray) and value.dtype == np.bool_)
_OF_A_SAMPLE = {
    "image": PATH | instance("a PIL image", Image.Image),
    "query": TEXT,
    "target": optional(_IS_MASK),
    "ignore": optional(_IS_MASK),
    "instances": optional(_IS_MASK),
    "task": TEXT,
    "count": optional(FROM_0),
}


def image_from_array(pixels: np.ndarray) -> Image.Image:
    """An array of uint8 as an image: H×W×3 is RGB (not BGR, as OpenCV has it), H×W×4 RGBA, H×W grey.

    >>> image_from_array(np.zeros((2, 5), dtype=np.uint8)).size
    (5, 2)

    Raises:
        ImageError: the shape or the type is another one.
    """
    if pixels.dtype != np.uint8:
        raise ImageError(
            f"expected an image's array as uint8 from 0 to 255, found {pixels.dtype}: scale it, and convert it with "
            ".astype(np.uint8)"
        )
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)) or not pixels.size:
        channels_first = pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and pixels.shape[2] > 4
        advice = "; move the channels last with .transpose(1, 2, 0)" if channels_first else ""
        raise ImageError(
            f"expected an image's array of the shape (height, width, 3), (height, width, 4) or (height, width), found "
            f"{pixels.shape}{advice}"
        )
    return load_image(Image.fromarray(np.ascontiguousarray(pixels)))


def fetch_image(
    url: str, *, max_bytes: int = MAX_BYTES, timeout: float = TIMEOUT, opener: Opener | None = None
) -> Image.Image:
    """Fetch an image over http(s).

    Args:
        url: its address.
        max_bytes: a larger file is refused.
        timeout: seconds that all of it may take.
        opener: what opens an address; the standard library's when None.

    Raises:
        ImageError: the address cannot be reached, or answers wrongly, slowly, with too much or no image.
    """
    return load_image(BytesIO(fetch(url, max_bytes, timeout=timeout, opener=opener, error=ImageError)), url)


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
