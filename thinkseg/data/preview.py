"""Samples as a contact sheet: query, true masks, boxes, points, and the circle around each point.

A circle reaches from a point to the rim of its object; around the centre of the largest inscribed circle it touches
the rim on all sides. So coordinates that were written in another frame than the image's are seen at once: the box
does not hold the mask, and a point off its object has a cross in place of a circle. The caption has the numbers.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

from thinkseg.data.listing import Listing
from thinkseg.drawing import COLOURS, PAPER, contact_sheet, overlay
from thinkseg.errors import ImageError
from thinkseg.geometry import box_from_mask, box_iou, box_iou_inclusive, reference_answer
from thinkseg.imaging import load_image, resize_mask
from thinkseg.types import Answer, Box, Mask, Masks, Point, Sample, Size

LARGEST = 900
"""Images are shrunk to this longest side before they are drawn on, in pixels."""

_FINER = 2
"""How many times larger circles are drawn before they are shrunk."""


def listing_sheet(listing: Listing, indices: Sequence[int], *, columns: int = 4, cell_width: int = 300) -> Image.Image:
    """A table of some samples of a listing, with the sizes that their images had before they were resized.

    Args:
        listing: the samples.
        indices: which of them, at least one.
        columns: samples in a row.
        cell_width: of an image on the sheet, in pixels.
    """
    cells = [sample_cell(listing[index], listing.original_size(index)) for index in indices]
    return contact_sheet(cells, columns=columns, cell_width=cell_width)


def sample_sheet(samples: Sequence[Sample], *, columns: int = 4, cell_width: int = 300) -> Image.Image:
    """A table of samples.

    Args:
        samples: at least one.
        columns: samples in a row.
        cell_width: of an image on the sheet, in pixels.
    """
    return contact_sheet([sample_cell(sample) for sample in samples], columns=columns, cell_width=cell_width)


def sample_cell(sample: Sample, original: Size | None = None) -> tuple[Image.Image, str]:
    """A sample's image with masks, boxes, points and circles, and its caption.

    What is to be ignored is grey. The sample's own reference answer is drawn if it has one, otherwise the one that its
    masks imply.

    Args:
        sample: what to draw.
        original: the image's size before it was resized, for the caption.

    Raises:
        ImageError: a mask of another size than the image.
    """
    image = load_image(sample.image)
    size = Size(*image.size)
    masks = _masks(sample, size)
    answer = sample.reference
    if answer is None and masks is not None:
        answer = reference_answer(masks)
    lines = [sample.query, _remark(sample), _fit(sample, masks, size), _sizes(sample, size, original), sample.id]
    if max(size.wh) > LARGEST:
        size = Size(*(max(1, round(side * LARGEST / max(size.wh))) for side in size.wh))
        image = image.resize(size.wh)
    if sample.ignore is not None:
        image = _greyed(image, resize_mask(sample.ignore, size))
    layers = None if masks is None else np.stack([resize_mask(mask, size) for mask in masks])
    drawn = overlay(image, layers, answer)
    if layers is not None and answer is not None:
        drawn = _with_circles(drawn, layers, answer.rescaled(size))
    return drawn, "\n".join(filter(None, lines))


def _masks(sample: Sample, size: Size) -> Masks | None:
    """The objects one by one, or their union as a single one, or None."""
    masks = sample.instances if sample.instances is not None and len(sample.instances) else sample.target
    for mask in (sample.target, sample.ignore, masks):
        if mask is not None and mask.shape[-2:] != size.hw:
            found = "×".join(map(str, mask.shape[-2:]))
            raise ImageError(
                f"a mask of sample '{sample.id}' should be {size.height}×{size.width} (height×width), found {found}"
            )
    return masks[None] if masks is not None and masks.ndim == 2 else masks


def _remark(sample: Sample) -> str:
    if sample.target is None:
        if sample.reference is None:
            return "(the truth is not known)"
        return "(no mask)" if sample.reference.objects else "(no mask; nothing there)"
    return "" if sample.target.any() else "(nothing there)"


def _fit(sample: Sample, masks: Masks | None, size: Size) -> str:
    """How well a sample's own boxes and points fit its masks, in numbers; empty without both."""
    if sample.reference is None or masks is None or not masks.any():
        return ""
    prompts = sample.reference.rescaled(size).objects
    union: Mask = np.logical_or.reduce(masks, axis=0)
    points = [point for prompt in prompts for point in prompt.points if point.label == 1]
    on_it = sum(_radius(union, point) > 0 for point in points)
    apart = [mask for mask in masks if mask.any()] if len(prompts) > 1 else [union]
    pairs = zip(prompts, apart, strict=False)
    ious = [_box_fit(prompt.box, mask) for prompt, mask in pairs if prompt.box is not None and mask.any()]
    worst = f"box IoU with the mask {min(ious):.2f}" if ious else ""
    return ", ".join(filter(None, [worst, f"{on_it} of {len(points)} points on it" if points else ""]))


def _box_fit(told: Box, mask: Mask) -> float:
    """The IoU of a box with its mask's: by edges, or by pixels where the box ends at the last one's index."""
    edges, inclusive = box_from_mask(mask), box_from_mask(mask, inclusive=True)
    if edges is None or inclusive is None:
        return 0.0
    return max(box_iou(told, edges), box_iou_inclusive(told, inclusive))


def _sizes(sample: Sample, size: Size, original: Size | None) -> str:
    """The frames that a row carries; empty where there is but the image's."""
    # The font that comes with PIL has no sign for "times".
    frames = [f"image {size.width}x{size.height}"]
    if sample.reference is not None and sample.reference.frame != size:
        frames.append(f"answer in {sample.reference.frame.width}x{sample.reference.frame.height}")
    if original is not None and original != size:
        frames.append(f"was {original.width}x{original.height}")
    return ", ".join(frames) if len(frames) > 1 else ""


def _with_circles(drawn: Image.Image, layers: Masks, answer: Answer) -> Image.Image:
    """Around each point on an object, the circle up to the object's rim; a cross where there is no object."""
    ink = Image.new("RGBA", (drawn.width * _FINER, drawn.height * _FINER), (*PAPER, 0))
    draw = ImageDraw.Draw(ink)
    line = max(1, round(max(drawn.size) / 300)) * _FINER
    union: Mask = np.logical_or.reduce(layers, axis=0)
    for number, prompt in enumerate(answer.objects):
        mask = layers[number] if len(layers) == len(answer.objects) else union
        for point in prompt.points:
            if point.label == 1:
                radius = _radius(mask, point) * _FINER
                x, y = (point.x + 0.5) * _FINER, (point.y + 0.5) * _FINER
                if radius:
                    circle = (x - radius, y - radius, x + radius, y + radius)
                    draw.ellipse(circle, outline=(*PAPER, 255), width=line * 2)
                    draw.ellipse(circle, outline=(*COLOURS[number % len(COLOURS)], 255), width=line)
                else:
                    arm = line * 8
                    for shade, width in ((255, line * 3), (0, line)):
                        for slope in (1, -1):
                            ends = (x - arm, y - slope * arm, x + arm, y + slope * arm)
                            draw.line(ends, fill=(shade, shade, shade, 255), width=width)
    layer = ink.resize(drawn.size, Image.Resampling.BOX)
    return Image.alpha_composite(drawn.convert("RGBA"), layer).convert("RGB")


def _radius(mask: Mask, point: Point) -> float:
    """The distance of a point to the nearest pixel that is not its object, the border counted as such; 0 off it."""
    y, x = min(round(point.y), mask.shape[0] - 1), min(round(point.x), mask.shape[1] - 1)
    return float(distance_transform_edt(np.pad(mask, 1))[y + 1, x + 1]) if mask[y, x] else 0.0


def _greyed(image: Image.Image, region: Mask) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64).copy()
    pixels[region] = 0.35 * pixels[region].mean(axis=-1, keepdims=True) + 0.65 * 128
    return Image.fromarray(pixels.round().astype(np.uint8))
