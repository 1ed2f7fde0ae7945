"""Images of any mode as RGB, and the images of a folder."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from thinkseg.errors import ImageError
from thinkseg.imaging.levels import range_of
from thinkseg.imaging.opening import EXIF_KEYS, MAX_PIXELS, Source, opened_upright

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""What counts as an image in a folder, in lower case."""


def load_image(source: Source, name: str | None = None) -> Image.Image:
    """Open an image of any mode.

    Args:
        source: a path, an image in memory, or a file's content.
        name: what an error calls it; its path when None.

    Returns:
        RGB, turned as its EXIF says. Transparency is laid on white, 16 bits are scaled to 8, what is no finite
        number is black; of several frames, the first.

    Raises:
        ImageError: missing, not an image, truncated, or larger than `MAX_PIXELS`.
    """
    with opened_upright(source, name) as image:
        loaded = _as_rgb(image)
    for key in EXIF_KEYS:  # else it would be turned once more by whoever is given it
        loaded.info.pop(key, None)
    return loaded


def shown_image(source: Source) -> Image.Image:
    """What `load_image` gives, for whoever only looks at it: an image in memory that is so already is not copied.

    Raises:
        ImageError: as `load_image`.
    """
    if type(source) is not Image.Image or source.mode != "RGB" or source.width * source.height > MAX_PIXELS:
        return load_image(source)
    told = any(key in source.info for key in (*EXIF_KEYS, "transparency"))
    return load_image(source) if told else source


def content_key(image: Image.Image) -> tuple[str, tuple[int, int], bytes]:
    """Equal for images of equal content: the same file is decoded anew each time that it is asked for."""
    return image.mode, image.size, hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def find_images(folder: Path | str) -> dict[str, Path]:
    """The images directly in a folder by their stems, sorted; hidden files are passed over.

    What is no plain file, such as a pipe or a link that leads nowhere, is an image that cannot be read.

    Raises:
        ImageError: the folder is missing, or two images share a stem and it is not clear which one is meant.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"expected a folder of images, found none at '{folder}'")
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith(".") or path.is_dir():
            continue
        if path.stem in images:
            raise ImageError(f"'{images[path.stem]}' and '{path}' share a name: keep only the one that is meant")
        images[path.stem] = path
    return images


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0, posinf=0, neginf=0)
        limit = 65535.0 if image.mode.startswith("I;16") else range_of(float(grey.max(initial=0)))
        return Image.fromarray((grey.clip(0, limit) * (255 / limit)).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
