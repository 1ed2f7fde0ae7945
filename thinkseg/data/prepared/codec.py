"""A sample as one row of plain values, with its image and its masks encoded, and back.

ThinkSeg's own schema keeps all that a sample has; the two published ones are in `thinkseg.data.prepared.schemas`.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.answers.codec import answer_from_json, answer_to_json
from thinkseg.data.embedded import image_source
from thinkseg.data.fields import Fields
from thinkseg.data.prepared.encoding import encoded_image
from thinkseg.data.prepared.schemas import PublishedSchema, read_solution, render_solution
from thinkseg.data.text import plain_query
from thinkseg.errors import DataError
from thinkseg.imaging import load_image, load_mask, resize_mask
from thinkseg.types import Answer, Mask, Sample, Size


def sample_from_row(row: Mapping[str, Any], where: str = "this row", folder: Path | None = None) -> Sample:
    """The sample that a row of any schema holds, masks and image decoded.

    Args:
        row: its columns.
        where: what an error calls it.
        folder: of the file that it is in, below which an image that is only named may lie.

    Raises:
        DataError: the row lacks what its schema has, or its solution does not lie in its image.
        ImageError: an image that cannot be read.
    """
    try:
        return _from_published(row, where, folder) if "solution" in row else _from_own(row, where, folder)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where} does not hold what a prepared row holds ({error})") from error


def original_size(row: Mapping[str, Any]) -> Size | None:
    """The size of a row's image before it was resized; None where the row does not say."""
    names = ("img_width", "img_height") if "solution" in row else ("original_width", "original_height")
    width, height = (row.get(name) for name in names)
    return Size(int(width), int(height)) if width and height else None


def own_row(sample: Sample, image: Image.Image, size: Size, original: Size, reference: Answer | None) -> dict[str, Any]:
    """A sample as a row of ThinkSeg's own schema.

    Args:
        sample: its masks have the size of its image.
        image: its image, decoded.
        size: of image and masks in the row.
        original: of the image before any resizing.
        reference: the worked answer to keep, in any frame.
    """
    return {
        "id": sample.id,
        "image": {"bytes": _image_bytes(sample, image, size), "path": None},
        "query": sample.query,
        "task": sample.task,
        "target": _encoded_mask(sample.target, size),
        "ignore": _encoded_mask(sample.ignore, size),
        "instances": None if sample.instances is None else [_encoded_mask(mask, size) for mask in sample.instances],
        "reference": None
        if reference is None
        else json.dumps(answer_to_json(reference.rescaled(size), 2), ensure_ascii=False),
        "width": size.width,
        "height": size.height,
        "original_width": original.width,
        "original_height": original.height,
    }


def published_row(
    sample: Sample, image: Image.Image, size: Size, original: Size, reference: Answer, schema: PublishedSchema
) -> dict[str, Any]:
    """A sample as a published row; its masks are left behind.

    Raises:
        SchemaMismatch: the schema has no words for the answer.
    """
    return {
        "id": sample.id,
        "problem": sample.query,
        "solution": render_solution(reference.rescaled(size), schema),
        "image": {"bytes": _image_bytes(sample, image, size), "path": None},
        "img_height": original.height,
        "img_width": original.width,
    }


def _from_own(row: Mapping[str, Any], where: str, folder: Path | None) -> Sample:
    fields = Fields(dict(row), where)
    instances = fields.raw("instances")
    if not isinstance(instances, list | None):
        raise fields.wrong("instances", "a list of masks")
    size = Size(fields.whole("width"), fields.whole("height"))
    masks = [_decoded_mask(mask, where) for mask in instances or ()]
    return Sample(
        id=fields.name("id"),
        image=_image(row, where, folder),
        query=fields.text("query"),
        target=_decoded_mask(row["target"], where) if row["target"] else None,
        ignore=_decoded_mask(row["ignore"], where) if row["ignore"] else None,
        instances=None if instances is None else np.stack(masks) if masks else np.zeros((0, *size.hw), dtype=bool),
        reference=_reference(fields) if row.get("reference") else None,
        task=fields.text("task") if fields.says("task") else "",
    )


def _reference(fields: Fields) -> Answer:
    told = json.loads(fields.text("reference"))
    if not isinstance(told, dict):
        raise fields.wrong("reference", "an answer as a JSON object")
    return answer_from_json(told)


def _image(row: Mapping[str, Any], where: str, folder: Path | None) -> Image.Image:
    """A row's image; a file that is only named is called by its name in an error."""
    source = image_source(row["image"], folder, where)
    return load_image(
        source, f"'{source}', the image of {where}" if isinstance(source, Path) else f"the image of {where}"
    )


def _from_published(row: Mapping[str, Any], where: str, folder: Path | None) -> Sample:
    fields = Fields(dict(row), where)
    image = _image(row, where, folder)
    reference = read_solution(fields.text("solution"), Size(*image.size), where)
    query = plain_query(fields.text("problem"))
    if not query:
        raise fields.wrong("problem", "a request beside the word that stands for the image")
    return Sample(id=fields.name("id"), image=image, query=query, reference=reference, task="referring")


def _image_bytes(sample: Sample, image: Image.Image, size: Size) -> bytes:
    """The image of a sample at another size, or as it is."""
    resized = image if size.wh == image.size else image.resize(size.wh, Image.Resampling.LANCZOS)
    return encoded_image(sample, resized, Size(*image.size))


def _encoded_mask(mask: Mask | None, size: Size) -> dict[str, Any] | None:
    if mask is None:
        return None
    stream = io.BytesIO()
    Image.fromarray(resize_mask(mask, size, "area").astype(np.uint8) * 255).save(stream, format="PNG")
    return {"bytes": stream.getvalue(), "path": None}


def _decoded_mask(encoded: Mapping[str, Any], where: str) -> Mask:
    return load_mask(image_source(encoded, None, where), f"a mask of {where}")
