"""Samples as a picture to look at: what is asked, the true masks, and the box and point that go with them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from thinkseg.drawing import contact_sheet, overlay
from thinkseg.errors import ImageError
from thinkseg.geometry import reference_answer
from thinkseg.imaging import load_image, resize_mask
from thinkseg.types import Mask, Sample, Size

LARGEST = 900
"""Pictures are shrunk to this longest side before they are drawn on, in pixels."""


def sample_sheet(samples: Sequence[Sample], *, columns: int = 4, cell_width: int = 300) -> Image.Image:
    """A table of samples.

    Args:
        samples: at least one.
        columns: samples in a row.
        cell_width: of a picture on the sheet, in pixels.
    """
    return contact_sheet([sample_cell(sample) for sample in samples], columns=columns, cell_width=cell_width)


def sample_cell(sample: Sample) -> tuple[Image.Image, str]:
    """A sample's picture with masks, boxes and points, and its caption.

    What is to be ignored is grey. The sample's own reference answer is drawn if it has one, otherwise the one that its
    masks imply.

    Raises:
        ImageError: a mask of another size than the picture.
    """
    image = load_image(sample.image)
    masks = sample.instances if sample.instances is not None and len(sample.instances) else sample.target
    for mask in (sample.target, sample.ignore):
        if mask is not None and mask.shape != (image.height, image.width):
            found = "×".join(map(str, mask.shape))
            raise ImageError(
                f"a mask of sample '{sample.id}' should be {image.height}×{image.width} (height×width), found {found}"
            )
    answer = sample.reference
    if answer is None and masks is not None:
        answer = reference_answer(masks)
    size = Size(*image.size)
    if max(size.wh) > LARGEST:
        size = Size(*(max(1, round(side * LARGEST / max(size.wh))) for side in size.wh))
        image = image.resize(size.wh)
    if sample.ignore is not None:
        image = _greyed(image, resize_mask(sample.ignore, size))
    layers = (
        None if masks is None else [resize_mask(mask, size) for mask in (masks if masks.ndim == 3 else masks[None])]
    )
    drawn = overlay(image, None if layers is None else np.stack(layers), answer)
    return drawn, "\n".join(line for line in (sample.query, _remark(sample), sample.id) if line)


def _remark(sample: Sample) -> str:
    if sample.target is None:
        return "(the truth is not known)"
    return "" if sample.target.any() else "(nothing there)"


def _greyed(image: Image.Image, region: Mask) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64).copy()
    pixels[region] = 0.35 * pixels[region].mean(axis=-1, keepdims=True) + 0.65 * 128
    return Image.fromarray(pixels.round().astype(np.uint8))
