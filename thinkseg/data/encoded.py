"""A sample as one row of plain values, with its picture and its masks encoded, and back."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.errors import DataError
from thinkseg.imaging import load_image, read_header, resize_mask
from thinkseg.types import Mask, Sample, Size

_KEPT_MODES = ("RGB", "L")


def sample_from_row(row: dict[str, Any]) -> Sample:
    """The sample that a row holds, masks and picture decoded."""
    instances = row["instances"]
    size = Size(row["width"], row["height"])
    masks = [_decoded_mask(mask) for mask in instances or ()]
    return Sample(
        id=row["id"],
        image=load_image(Image.open(io.BytesIO(row["image"]["bytes"]))),
        query=row["query"],
        target=_decoded_mask(row["target"]) if row["target"] else None,
        ignore=_decoded_mask(row["ignore"]) if row["ignore"] else None,
        instances=None if instances is None else np.stack(masks) if masks else np.zeros((0, *size.hw), dtype=bool),
        task=row["task"],
    )


def row_from_sample(sample: Sample, longest_side: int | None = None) -> dict[str, Any]:
    """A sample as a row, its picture and masks encoded.

    Raises:
        DataError: a mask of another size than the picture.
        ImageError: a picture that cannot be read.
    """
    image = load_image(sample.image)
    size = Size(*image.size)
    for mask in (sample.target, sample.ignore):
        if mask is not None and mask.shape != size.hw:
            found = "×".join(map(str, mask.shape))
            raise DataError(f"a mask of sample '{sample.id}' is {found} (height×width), its picture {size.hw}")
    new_size = _shrunk(size, longest_side)
    return {
        "id": sample.id,
        "image": {"bytes": _encoded_image(sample, image, new_size), "path": None},
        "query": sample.query,
        "task": sample.task,
        "target": _encoded_mask(sample.target, new_size),
        "ignore": _encoded_mask(sample.ignore, new_size),
        "instances": None if sample.instances is None else [_encoded_mask(mask, new_size) for mask in sample.instances],
        "width": new_size.width,
        "height": new_size.height,
    }


def _encoded_image(sample: Sample, image: Image.Image, size: Size) -> bytes:
    """The file's own bytes where every reader takes them for what `load_image` gives; otherwise encoded anew."""
    header = None if isinstance(sample.image, Image.Image) else read_header(sample.image)
    if header and size == header.size and header.mode in _KEPT_MODES and not header.turned:
        return Path(str(sample.image)).read_bytes()
    stream = io.BytesIO()
    resized = image if size.wh == image.size else image.resize(size.wh, Image.Resampling.LANCZOS)
    if header and header.format == "JPEG":
        resized.save(stream, format="JPEG", quality=95)
    else:
        resized.save(stream, format="PNG")
    return stream.getvalue()


def _encoded_mask(mask: Mask | None, size: Size) -> dict[str, Any] | None:
    if mask is None:
        return None
    stream = io.BytesIO()
    Image.fromarray(resize_mask(mask, size, "area").astype(np.uint8) * 255).save(stream, format="PNG")
    return {"bytes": stream.getvalue(), "path": None}


def _decoded_mask(encoded: dict[str, Any]) -> Mask:
    mask: Mask = np.asarray(Image.open(io.BytesIO(encoded["bytes"]))) > 0
    return mask


def _shrunk(size: Size, longest_side: int | None) -> Size:
    longest = max(size.wh)
    if longest_side is None or longest <= longest_side:
        return size
    return Size(*(max(1, round(side * longest_side / longest)) for side in size.wh))
