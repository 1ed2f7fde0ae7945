"""An animal of the image zoo, what it is drawn and written with, and what stands in for a file."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

SIZE = (48, 36)
"""Width and height of the scene."""
TOO_WIDE = 50_000
"""A square of this side has 28 times as many pixels as are read."""

Expected = Literal["read", "refused", "either"]


@dataclass(frozen=True)
class Special:
    """Something in a folder that is no plain file."""

    kind: Literal["folder", "pipe", "link"]
    target: str = ""
    """Of a link."""


Content = bytes | Special | None
"""What stands under a name; None for nothing."""


@dataclass(frozen=True)
class Animal:
    """An image and its mask, one of which is out of the ordinary."""

    name: str
    """Of the image's file; bytes that are not UTF-8 stand in it as `os.fsdecode` has them."""
    image: Content
    mask: Content = None
    expected: Expected = "read"
    """What has to become of its image, or where it is sound, of its mask."""
    same_as: str = ""
    """The name of an animal whose image has the same pixels, if it can be read."""

    @property
    def mask_name(self) -> str:
        """Of the mask's file."""
        return f"{os.path.splitext(self.name)[0]}.png"

    @property
    def about_mask(self) -> bool:
        """Whether it is the mask that is out of the ordinary."""
        return self.name.startswith("mask-")


def scene(width: int = SIZE[0], height: int = SIZE[1]) -> Image.Image:
    """A bright object on a dark slope of colours, the same for the same size."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns * 255 // width, rows * 255 // height, (columns + rows) % 64], axis=-1) // 2
    pixels[_object(width, height)] = (230, 200, 40)
    return Image.fromarray(pixels.astype(np.uint8))


def true_mask(width: int = SIZE[0], height: int = SIZE[1]) -> Image.Image:
    """White on the scene's object."""
    return Image.fromarray(_object(width, height).astype(np.uint8) * 255)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as a file's content."""
    content = BytesIO()
    image.save(content, format=kind, **options)
    return content.getvalue()


def png(size: tuple[int, int], depth: int, colours: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG from its parts, whether they fit each other or not.

    Args:
        size: width and height that its header tells.
        depth: bits of a channel.
        colours: kind of pixels, as the format numbers it.
        rows: of pixels, each behind a 0.
        extra: chunks between header and pixels.
    """
    header = struct.pack(">IIBBBBB", *size, depth, colours, 0, 0, 0)
    return b"".join([
        b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b"")
    ])  # fmt: skip


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _object(width: int, height: int) -> np.ndarray:
    found = np.zeros((height, width), dtype=bool)
    found[height // 4 : max(1, height * 3 // 4), width // 4 : max(1, width * 3 // 4)] = True
    return found


def with_nan(image: Image.Image) -> Image.Image:
    values = np.array(image)
    values[3, 3] = np.nan
    return Image.fromarray(values)


def place(content: Content, path: Path) -> None:
    """Put something under a name."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        if content.kind == "folder":
            path.mkdir()
        elif content.kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(content.target)
