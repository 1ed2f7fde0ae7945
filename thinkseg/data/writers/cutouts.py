"""Images of what was found: cut-outs with transparency, of a request or of each object, and masks of each object."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thinkseg.data.writers.names import Names
from thinkseg.data.writers.written import WriteOptions, Written, begin, told
from thinkseg.drawing import cut_out
from thinkseg.errors import DataError
from thinkseg.imaging import load_image, save_mask
from thinkseg.results.files import instance_ending
from thinkseg.types import Sample


def write_cutouts(samples: Sequence[Sample], out: Path, options: WriteOptions) -> Written:
    """Write ``NAME.png`` for each request: its objects, transparent around them, cut to their box or not.

    Args:
        samples: each is asked for once, in order.
        out: a new or an empty folder.
        options: how.

    Raises:
        InputError: the folder cannot be written into, or a sample cannot be read, or its mask does not fit its image.
    """
    written, names, images = begin(out, "cutouts"), Names(), set[str]()
    for sample, _ in told(samples, written, ignores=True):
        assert sample.target is not None
        image = load_image(sample.image)
        if sample.target.shape != (image.height, image.width):
            raise DataError(f"the mask of sample '{sample.id}' does not fit its image '{sample.image}'")
        cut_out(image, sample.target, crop=options.crop).save(out / f"{names.of(sample.id)}.png")
        images.add(str(sample.image))
    written.images = len(images)
    return written


def write_objects(samples: Sequence[Sample], out: Path, options: WriteOptions) -> Written:
    """Write ``NAME.object-1.png`` and so on: the mask of each object, 255 on it, at the image's size.

    Args:
        samples: each is asked for once, in order.
        out: a new or an empty folder.
        options: how; none of them matters here.

    Raises:
        InputError: the folder cannot be written into, or a sample cannot be read.
    """
    del options
    written, names, images = begin(out, "objects"), Names(), set[str]()
    for sample, objects in told(samples, written, ignores=True):
        stem = names.of(sample.id)
        for number, mask in enumerate(objects, start=1):
            save_mask(mask, out / f"{stem}{instance_ending(number)}")
        images.add(str(sample.image))
    written.images = len(images)
    return written
