"""Images as the bytes of a file, for rows that hold them."""

import io
from pathlib import Path

from PIL import Image

from thinkseg.imaging import read_header
from thinkseg.types import Sample, Size

_KEPT_MODES = ("RGB", "L")


def encoded_image(sample: Sample, image: Image.Image, original: Size) -> bytes:
    """The file's own bytes where every reader takes them for this image; otherwise a JPEG or PNG as the file is one.

    Args:
        sample: whose image it is.
        image: as the row is to have it.
        original: the size of the image as it is.
    """
    header = None if isinstance(sample.image, Image.Image) else read_header(sample.image)
    kept = Size(*image.size) == original
    if header and kept and original == header.size and header.mode in _KEPT_MODES and not header.turned:
        return Path(str(sample.image)).read_bytes()
    stream = io.BytesIO()
    if header and header.format == "JPEG":
        image.save(stream, format="JPEG", quality=95)
    else:
        image.save(stream, format="PNG")
    return stream.getvalue()
