"""Images and masks inside rows, as ``datasets`` keeps them: bytes, or the name of a file beside the rows."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from thinkseg.data.fields import shown
from thinkseg.data.names import name_below
from thinkseg.errors import DataError


def image_source(value: object, folder: Path | None, where: str) -> Path | BytesIO:
    """What an image of a row is to be read from.

    Args:
        value: ``{"bytes": …, "path": …}``, bytes, or a name.
        folder: of the rows, below which a file that is only named has to lie; None where that is not known.
        where: the row, for messages.

    Raises:
        DataError: it is a list or something else, has neither bytes nor a name, or the name leads out of the folder.
    """
    if isinstance(value, list):
        raise DataError(
            f"{where} should have one image, found a list of {len(value)}: take the rows of one image apart"
        )
    content = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(content, bytes | bytearray) and content:
        return BytesIO(content)
    name = value.get("path") if isinstance(value, dict) else value
    if not isinstance(name, str) or not name:
        found = "neither" if isinstance(value, dict | None) else shown(value)
        raise DataError(f"{where} should have an image, as bytes or as the name of a file, found {found}")
    below = name_below(name)
    if folder is None or below is None:
        raise DataError(
            f"the image of {where} is not inside the row, which only names '{name}': put the file below the folder of "
            "the rows and name it from there, or save the rows with their images in them"
        )
    return folder / below
