"""Images and masks between files and memory: the only place where an image is opened.

An image becomes a PIL image in RGB, turned as its EXIF says. A mask becomes a boolean array (height, width). Files
that are missing, broken or too large raise an `ImageError` that names them.

A mask file may be of any kind. A pixel is foreground where its value is more than half of the file's range, and the
range is the smallest of 1, 255 and 65535 that holds the largest value: so masks of 0/1, 0/255 and 16 bits all read
right, and the grey rim that JPEG leaves goes to the nearer side. Of several channels the largest counts (a red object
is an object); transparency weighs them, and where only transparency varies it is the mask. In a file with a palette of
colours, index 0 is the background and every other index foreground.
"""

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer
from PIL import Image, ImageOps, UnidentifiedImageError

from thinkseg.errors import ImageError
from thinkseg.types import Mask, Size

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""What counts as an image in a folder, in lower case."""

MAX_PIXELS = 89_478_485
"""Larger images are refused, as a small file may unpack to all of a machine's memory. It is Pillow's own limit."""

_LONGEST_RUN = 7
"""Characters of one run in COCO's text: 35 bits, more than `MAX_PIXELS` needs."""

Source = Path | str | Image.Image | BytesIO


class OversizeError(ImageError):
    """An image has more than `MAX_PIXELS`."""


class RunLengths(TypedDict):
    """A mask as COCO writes it: `size` is [height, width], `counts` the compressed runs, column by column."""

    size: list[int]
    counts: str


@dataclass(frozen=True, slots=True)
class ImageFile:
    """What the header of an image's file says."""

    size: Size
    """Upright, as `load_image` will give it."""
    format: str
    """By the content, not by the name: "JPEG", "PNG", …"""
    mode: str
    """PIL's name for the kind of pixels: "RGB", "L", "P", "CMYK", …"""
    turned: bool
    """Whether the EXIF data ask for a turn or a flip."""


def read_header(source: Path | str) -> ImageFile:
    """Look at an image's file without decoding its pixels (but a PNG's, whose EXIF data may come last).

    Raises:
        ImageError: missing, not an image, or larger than `MAX_PIXELS`; a file that is cut short may pass.
    """
    with _opened(source, decode=False) as image:
        orientation = image.getexif().get(0x0112, 1)
        width, height = image.size if orientation < 5 else image.size[::-1]
        return ImageFile(Size(width, height), image.format or "", image.mode, orientation in range(2, 9))


def load_image(source: Source, name: str | None = None) -> Image.Image:
    """Open an image of any mode.

    Args:
        source: a path, an image in memory, or a file's content.
        name: what an error calls it; its path when None.

    Returns:
        RGB, turned as its EXIF says. Transparency is laid on white, 16 bits are scaled to 8; of several frames, the
        first.

    Raises:
        ImageError: missing, not an image, truncated, or larger than `MAX_PIXELS`.
    """
    with _opened(source, name) as image:
        if image.mode.startswith("I") or image.mode == "F":
            grey = np.asarray(image, dtype=np.float64)
            limit = 65535.0 if image.mode.startswith("I;16") else _range_of(grey)
            return Image.fromarray((grey.clip(0, limit) * (255 / limit)).round().astype(np.uint8)).convert("RGB")
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
        return image.convert("RGB")


def load_mask(source: Source) -> Mask:
    """Read a mask of any mode; True where a value is more than half of the file's range (see the module's text).

    Raises:
        ImageError: as for `load_image`.
    """
    mask: Mask = load_map(source) > 0.5
    return mask


def load_map(source: Source) -> Float64[np.ndarray, "height width"]:
    """Read a mask with soft edges, as foreground detectors write it.

    Returns:
        0…1: the values over the file's range (see the module's text).

    Raises:
        ImageError: as for `load_image`.
    """
    with _opened(source) as image:
        values = _grey_values(image)
    return np.asarray(values.clip(0) / _range_of(values))


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


def find_images(folder: Path | str) -> dict[str, Path]:
    """The images directly in a folder by their stems, sorted; hidden files are passed over.

    Raises:
        ImageError: the folder is missing, or two images share a stem and it is not clear which one is meant.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"expected a folder of images, found none at '{folder}'")
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in images:
            raise ImageError(f"'{images[path.stem]}' and '{path}' share a name: keep only the one that is meant")
        images[path.stem] = path
    return images


def rle_from_mask(mask: Mask) -> RunLengths:
    """A mask as COCO's compressed run lengths, for JSON."""
    from pycocotools import mask as coco

    height, width = mask.shape
    return {"size": [height, width], "counts": coco.encode(np.asfortranarray(mask.view(np.uint8)))["counts"].decode()}


def mask_from_rle(rle: RunLengths) -> Mask:
    """The mask that `rle_from_mask`, or any tool that writes COCO's compressed run lengths, has written.

    COCO's tools would read on where a text is cut short, and leave pixels that no run reaches as memory has them. So
    the text is read here, and nothing is left for them to do.

    Raises:
        ImageError: the counts are damaged or do not fill the size.
    """
    height, width = rle["size"]
    if height < 0 or width < 0 or height * width > MAX_PIXELS:
        raise ImageError(f"a mask of {height}×{width} (height×width) is not possible, or too large")
    runs = _runs_in(rle["counts"])
    if runs.sum() != height * width or runs.min(initial=0) < 0:
        raise ImageError(f"run lengths of {height}×{width} pixels must add up to {height * width}, found {runs.sum()}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape((height, width), order="F")


def _runs_in(counts: str) -> Int64[np.ndarray, "runs"]:
    """The lengths of the runs in a text: five bits a character, lowest first; from the fourth run on less the one two
    before.
    """
    codes = np.frombuffer(counts.encode("utf-32-le"), dtype=np.uint32).astype(np.int64) - 48
    strange = (codes < 0) | (codes > 63)
    if strange.any():
        letter = counts[int(strange.argmax())]
        raise ImageError(f"run lengths are written in the characters '0' to 'o', found {letter!r}")
    if not len(codes):
        return np.zeros(0, dtype=np.int64)
    ends = np.flatnonzero(codes < 32)
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise ImageError("run lengths end in the middle of a number: the text is cut short")
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > _LONGEST_RUN:
        raise ImageError(f"run lengths have a number of more than {_LONGEST_RUN} characters, which no image has")
    places = 5 * (np.arange(len(codes)) - np.repeat(ends + 1 - lengths, lengths))
    runs = np.add.reduceat((codes & 0x1F) << places, ends + 1 - lengths)
    runs -= np.where(codes[ends] & 0x10, np.int64(1) << 5 * lengths, 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs


@contextmanager
def _opened(source: Source, name: str | None = None, *, decode: bool = True) -> Iterator[Image.Image]:
    """The image, decoded and turned as its EXIF says; whatever goes wrong becomes an ImageError with its name."""
    if name is None and isinstance(source, Path | str):
        name = str(source)
    name = "the image in memory" if name is None else f"'{name}'"
    with ExitStack() as files:
        try:
            image = source if isinstance(source, Image.Image) else files.enter_context(Image.open(source))
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name)
            yield ImageOps.exif_transpose(image) if decode else image
        except FileNotFoundError as error:
            raise ImageError(f"expected an image at {name}, found no such file") from error
        except IsADirectoryError as error:
            raise ImageError(f"expected an image at {name}, found a folder") from error
        except UnidentifiedImageError as error:
            raise ImageError(f"{name} is not an image of a kind that can be read") from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _too_large(name) from error
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
            raise ImageError(f"{name} is damaged or cut short and cannot be read ({error})") from error


def _too_large(name: str) -> OversizeError:
    return OversizeError(f"{name} has more than {MAX_PIXELS:,} pixels, which is not read: make it smaller")


def _grey_values(image: Image.Image) -> Float64[np.ndarray, "height width"] | Integer[np.ndarray, "height width"]:
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


def _range_of(values: np.ndarray) -> float:
    """The smallest of 1, 255 and 65535 that holds the largest value."""
    largest = float(values.max(initial=0))
    return next((limit for limit in (1.0, 255.0, 65535.0) if largest <= limit), largest)
