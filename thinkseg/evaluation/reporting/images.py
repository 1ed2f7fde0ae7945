"""The image of a sample, or a grey one in its place where it cannot be read: a report shows what was evaluated."""

from PIL import Image

from thinkseg.errors import ImageError
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.imaging import load_image
from thinkseg.types import Sample

BLANK = (150, 150, 150)


def image_or_blank(sample: Sample, record: PredictionRecord) -> Image.Image:
    """The image; of one that could not be read when it was evaluated, and cannot be now, a blank of its record's size.

    Raises:
        ImageError: it could be read then, and cannot be now.
    """
    try:
        return load_image(sample.image)
    except ImageError:
        if record.failure is None or not record.failure.of_image:
            raise
        height, width = record.rle["size"]
        return Image.new("RGB", (width, height), BLANK)
