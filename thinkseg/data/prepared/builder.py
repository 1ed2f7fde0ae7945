"""From a sample to a row: the boxes and points that its masks imply, the image resized, and what is not to be kept.

The box is the smallest one around an object's pixels, point 1 the centre of its largest inscribed circle with the
image's border counted as background, point 2 Seg-Zero's (`thinkseg.geometry`). They are found in the image as it is
and then measured in the frame of the row, so that a row that is resized says the same.

The published rows do not count the border as background: of an object that is cut off, their points lie at the border
or in the corner. `BuilderOptions.published_points` finds them so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
from PIL import Image

from thinkseg.data.prepared.codec import own_row, published_row
from thinkseg.data.prepared.engine_rows import EngineSchema
from thinkseg.data.prepared.schemas import POINTS, PUBLISHED, SIDE, PublishedSchema, SchemaMismatch
from thinkseg.errors import DataError
from thinkseg.geometry import reference_answer
from thinkseg.imaging import load_image
from thinkseg.metrics.overlap import count_overlap
from thinkseg.types import Answer, Box, Masks, ObjectPrompt, Point, Sample, Size

Schema = Literal["thinkseg", "seg-zero", "vision-reasoner"]

Segment = Callable[[Image.Image, Answer], Masks]
"""A segmenter: the masks of an answer's objects, in the answer's order."""

REASONS: Mapping[str, str] = {
    "unreadable": "its image or its mask cannot be read",
    "no-truth": "neither its mask nor its box is known",
    "no-mask": "there is no mask to hold the segmenter's against",
    "no-box-or-point": "an object lacks a box or a point on it",
    "no-second-point": "the schema has two points, and without a mask the second one cannot be found",
    "several-objects": "the schema has one object",
    "nothing-there": "the schema has one object",
    "below-iou": "the segmenter, prompted with the box and point 1, does not find the object",
}
"""Why a sample gives no row."""


class SampleRejected(Exception):
    """A sample gives no row; the text begins with one of `REASONS`."""


@dataclass(frozen=True, slots=True)
class BuilderOptions:
    """How rows are made."""

    rows_per_file: int = 500
    longest_side: int | None = None
    """Larger images are shrunk to it, in pixels; None keeps them, byte by byte where that is possible."""
    skip_faulty: bool = False
    """Whether a sample that cannot be read is left out in place of ending the work."""
    schema: Schema | EngineSchema = "thinkseg"
    resize: int | None = None
    """Every image is stretched to a square of this side, in pixels; None means 840 for published schemas."""
    points: int = 0
    """For ThinkSeg's own schema: points on each object of the reference answer; 0 keeps only what samples have."""
    published_points: bool = False
    """Whether points are found as in the published rows, which do not count the image's border as background."""
    keep_iou: float | None = None
    """A sample is kept if a segmenter prompted with box and point 1 reaches it, for each object; None keeps all."""
    segmenter: str = ""
    """The name of that segmenter, for the manifest."""
    asked: str = ""
    """For the rows of engines: how the model is asked, for the manifest."""

    def size_of(self, size: Size) -> Size:
        """What an image's size becomes in its row."""
        side = SIDE if self.resize is None and self.schema in PUBLISHED and self.longest_side is None else self.resize
        if side is not None:
            return Size(side, side)
        longest = max(size.wh)
        if self.longest_side is None or longest <= self.longest_side:
            return size
        return Size(*(max(1, round(length * self.longest_side / longest)) for length in size.wh))


def row_from_sample(
    sample: Sample,
    settings: BuilderOptions | None = None,
    original: Size | None = None,
    segment: Segment | None = None,
    make: Callable[[Sample, Image.Image], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A sample as a row, its image and masks encoded.

    Args:
        sample: with masks, or with a reference answer, or both.
        settings: how.
        original: the image's size before it was resized in an earlier row; its own size when None.
        segment: the segmenter for `BuilderOptions.keep_iou`.
        make: makes the row of a sample that is kept, for the schemas of engines (`engine_rows.engine_row`).

    Raises:
        SampleRejected: it is not to be kept, or the schema has no words for it.
        DataError: a mask of another size than the image.
        ImageError: an image that cannot be read.
    """
    settings = settings or BuilderOptions()
    image = load_image(sample.image)
    size = Size(*image.size)
    for mask in (sample.target, sample.ignore, *(sample.instances if sample.instances is not None else ())):
        if mask is not None and mask.shape != size.hw:
            found = "×".join(map(str, mask.shape))
            raise DataError(f"a mask of sample '{sample.id}' is {found} (height×width), its image {size.hw}")
    published = settings.published_points
    if settings.keep_iou is not None and segment is not None:
        iou = reached_iou(sample, image, segment, published=published)
        if iou < settings.keep_iou:
            raise SampleRejected(f"below-iou: {iou:.3f}")
    if make is not None:
        return make(sample, image)
    new_size = settings.size_of(size)
    schema = cast("PublishedSchema", settings.schema)  # those of engines have gone their way
    points = settings.points if settings.schema == "thinkseg" else POINTS[schema]
    reference = build_reference(sample, points, inclusive=settings.schema != "thinkseg", published=published)
    if settings.schema == "thinkseg":
        return own_row(sample, image, new_size, original or size, reference)
    if reference is None:
        raise SampleRejected("no-truth")
    try:
        return published_row(sample, image, new_size, original or size, reference, schema)
    except SchemaMismatch as error:
        raise SampleRejected(str(error)) from error


def build_reference(sample: Sample, points: int, *, inclusive: bool = False, published: bool = False) -> Answer | None:
    """The boxes and points that are true of a sample, so many points on each object.

    Args:
        sample: its masks are preferred to its reference answer where the latter has too few points, or is not asked
            to be more than kept (`points` 0).
        points: on each object, 0 to 2.
        inclusive: whether boxes end at the index of the last pixel, as the published schemas have them.
        published: see `BuilderOptions.published_points`.

    Returns:
        The answer in the frame of the image or of the sample's reference; None when nothing is known, or nothing is
        asked for and the sample has none.
    """
    masks = sample.instances if sample.instances is not None else sample.target
    given = sample.reference
    if masks is None:
        return given
    if given is not None and all(_positives(prompt) >= points for prompt in given.objects):
        edges = reference_answer(masks, points=0).rescaled(given.frame)
        if not inclusive or _boxes(given) != _boxes(edges):
            return given
    if not points:
        return given
    return reference_answer(masks, points=points, inclusive=inclusive, published=published)


def reached_iou(sample: Sample, image: Image.Image, segment: Segment, *, published: bool = False) -> float:
    """How well a segmenter finds a sample's objects when it is prompted with the box and point 1 of each.

    Args:
        sample: with masks.
        image: its image.
        segment: the segmenter.
        published: see `BuilderOptions.published_points`.

    Returns:
        The smallest IoU of its objects, pixels to be ignored left out; of their union where the reference answer has
        another number of objects than there are masks. 1 when nothing is there.

    Raises:
        SampleRejected: the sample has no mask.
    """
    if sample.target is None:
        raise SampleRejected("no-mask")
    reference = build_reference(sample, 1, inclusive=True, published=published)
    if reference is None or not sample.target.any():
        return 1.0
    told = replace(reference, objects=tuple(replace(prompt, points=_first(prompt)) for prompt in reference.objects))
    found = segment(image, told)
    truths = [mask for mask in (sample.target[None] if sample.instances is None else sample.instances) if mask.any()]
    if len(truths) != len(found):
        truths, found = [sample.target], np.logical_or.reduce(found, axis=0)[None]
    return min(count_overlap(pred, truth, sample.ignore).iou for pred, truth in zip(found, truths, strict=True))


def _boxes(answer: Answer) -> list[Box | None]:
    return [prompt.box for prompt in answer.objects]


def _positives(prompt: ObjectPrompt) -> int:
    return sum(point.label for point in prompt.points)


def _first(prompt: ObjectPrompt) -> tuple[Point, ...]:
    """The first point on the object."""
    return tuple(point for point in prompt.points if point.label == 1)[:1]
