"""The only place where a file is opened as an image: from a fixed list of formats, upright, or refused in a sentence.

Pillow hands PostScript to Ghostscript, which is a program of its own that reads and writes files, and has readers for
formats that nobody keeps photographs in. So only the readers of `FORMATS` are asked, whatever the name of a file ends
in, and nothing is opened that is not a plain file: a pipe or a device may have no end.

Of a file's EXIF data the turn is needed and nothing else. It is read here, from the bytes, so that all readers agree
and that no other tag, however damaged, keeps a sound image from being read.
"""

import errno
import os
import re
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from thinkseg.errors import ImageError
from thinkseg.types import Size

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Pillow's names of the formats that are read; JPEG includes the files of several images that telephones write."""

MAX_PIXELS = 89_478_485
"""Larger images are refused, as a small file may unpack to all of a machine's memory. It is Pillow's own limit."""

Source = Path | str | Image.Image | BytesIO

EXIF_KEYS = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""Where Pillow keeps in an image's `info` what may ask for a turn."""

_ORIENTATION = 0x0112
_WHOLE_NUMBERS = {3: "H", 4: "I"}
"""The two types in which EXIF writes a whole number, as `struct` calls them."""
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])(?![0-9])')
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What is to be done to see an image upright; 1 is upright, and any other number says nothing."""
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error)
"""What Pillow's readers raise at bytes that they did not expect."""


class OversizeError(ImageError):
    """An image has more than `MAX_PIXELS`."""


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
        ImageError: missing, no plain file, not an image, or larger than `MAX_PIXELS`; a file that is cut short may
            pass.
    """
    with _opened(source, name_of(source)) as image:
        turned = _orientation_of(image)
        width, height = image.size
        if turned in (5, 6, 7, 8) and image.format != "TIFF":  # Pillow turns these itself, in their size already
            width, height = height, width
        return ImageFile(Size(width, height), image.format or "", image.mode, turned in _TURNS)


def peek(content: bytes, formats: Sequence[str] = FORMATS, name: str = "the image") -> tuple[str, Size]:
    """What the header of an image's content says, without decoding a pixel, whatever the format.

    Args:
        content: of a file.
        formats: that are read, of `FORMATS`.
        name: what an error calls it.

    Returns:
        Its format, and its size as it is stored: what EXIF says of a turn is not looked at.

    Raises:
        ImageError: not an image of these formats, damaged, or larger than `MAX_PIXELS`.
    """
    with _opened(BytesIO(content), name, formats) as image:
        return image.format or "", Size(*image.size)


@contextmanager
def opened_upright(source: Source, name: str | None = None) -> Iterator[Image.Image]:
    """An image, decoded and turned as its EXIF data say, not to be changed; whatever goes wrong is an error.

    Args:
        source: a path, an image in memory, or a file's content.
        name: what an error calls it; its path when None.

    Raises:
        ImageError: missing, no plain file, not an image of `FORMATS`, damaged, or larger than `MAX_PIXELS`; also in
            place of what Pillow raises inside the context.
    """
    with _opened(source, name_of(source, name)) as image:
        image.load()
        turn = None if image.format == "TIFF" else _TURNS.get(_orientation_of(image))
        upright = image if turn is None else image.transpose(turn)
        upright.format = image.format
        yield upright


def name_of(source: Source, name: str | None = None) -> str:
    """What an error calls an image: its name in quotation marks, if it has none of its own."""
    if name is not None:
        return name if "'" in name else f"'{name}'"
    return f"'{source}'" if isinstance(source, Path | str) else "the image in memory"


@contextmanager
def _opened(source: Source, name: str, formats: Sequence[str] = FORMATS) -> Iterator[Image.Image]:
    with ExitStack() as files:
        try:
            image = source if isinstance(source, Image.Image) else files.enter_context(_open(source, name, formats))
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name)
            yield image
        except FileNotFoundError as error:
            raise ImageError(f"expected an image at {name}, found no such file") from error
        except UnidentifiedImageError as error:
            kinds = ", ".join(formats)
            raise ImageError(
                f"{name} is not an image of a kind that can be read ({kinds}): convert it to PNG"
            ) from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _too_large(name) from error
        except _DAMAGED as error:
            reason = " ".join(str(error).split())
            raise ImageError(f"{name} is damaged or cut short and cannot be read ({reason})") from error


def _open(source: Path | str | BytesIO, name: str, formats: Sequence[str]) -> Image.Image:
    """Let Pillow's readers of some of `FORMATS` look at a plain file, or at bytes."""
    file: Path | str | IO[bytes] = source
    if isinstance(source, Path | str):
        mode = _mode_of(source, name)
        if stat.S_ISDIR(mode):
            raise ImageError(f"expected an image at {name}, found a folder")
        if not stat.S_ISREG(mode):
            raise ImageError(
                f"expected an image's file at {name}, found a pipe, a socket or a device, which may never end: save "
                "what it gives as a file"
            )
    Image.init()
    return Image.open(file, formats=[kind for kind in formats if kind in Image.OPEN])


def _mode_of(source: Path | str, name: str) -> int:
    try:
        return os.stat(source).st_mode
    except ValueError as error:  # NUL
        raise ImageError(f"expected an image at {name[:200]!r}, found no name that a file can have") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise ImageError(
            f"expected an image at {name[:200]}…, which is longer than the name of a file can be"
        ) from error


def _too_large(name: str) -> OversizeError:
    return OversizeError(f"{name} has more than {MAX_PIXELS:,} pixels, which is not read: make it smaller")


def _orientation_of(image: Image.Image) -> int:
    """The number of the turn, 1 where the file says none or one that is not known."""
    if image.format == "TIFF":
        found = image.tag_v2.get(_ORIENTATION, 1)  # type: ignore[attr-defined]
        return found if found in _TURNS else 1
    if image.format == "PNG" and "exif" not in image.info:
        image.load()  # it may come after the pixels
    exif = image.info.get("exif")
    profile = image.info.get("Raw profile type exif")
    if exif is None and isinstance(profile, str):
        digits = "".join(profile.split("\n")[3:])
        exif = bytes.fromhex(digits) if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", digits) else None
    number = _orientation_in(exif) if isinstance(exif, bytes) else None
    if number is None:
        xmp = image.info.get("XML:com.adobe.xmp", image.info.get("xmp", b""))
        match = _XMP.search(xmp.encode(errors="replace") if isinstance(xmp, str) else xmp)
        number = int(match[1]) if match else 1
    return number if number in _TURNS else 1


def _orientation_in(exif: bytes) -> int | None:
    """The orientation among the tags of a block of EXIF data; None where there is none that can be read."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    if start + 2 > len(block):
        return None
    (count,) = struct.unpack_from(f"{order}H", block, start)
    for place in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", block, place)
        if tag == _ORIENTATION:
            if kind not in _WHOLE_NUMBERS or values != 1:
                return None
            (number,) = struct.unpack_from(order + _WHOLE_NUMBERS[kind], block, place + 8)
            return int(number)
    return None
