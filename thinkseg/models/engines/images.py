"""Images as text, for requests in JSON."""

from __future__ import annotations

import base64
import io

from PIL import Image


def png_text(image: Image.Image) -> str:
    """The pixels of an image as PNG in base64: nothing is lost, and a fast compression costs little size."""
    stored = io.BytesIO()
    image.save(stored, format="PNG", compress_level=1)
    return base64.b64encode(stored.getvalue()).decode("ascii")


def data_url(image: Image.Image) -> str:
    """An image as a ``data:`` address, as OpenAI-style servers take it."""
    return f"data:image/png;base64,{png_text(image)}"
