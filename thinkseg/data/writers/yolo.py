"""YOLO polygons: ``data.yaml``, ``images/SPLIT`` and ``labels/SPLIT``, a line for each object.

An object of several parts, or with a hole, is one polygon: lines that are walked there and back join its outlines, as
Ultralytics joins them. Classes are queries without their "the".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from thinkseg.data.readers.class_queries import class_of
from thinkseg.data.readers.segmentations import mask_from_segmentation
from thinkseg.data.writers.images import ImageFolder
from thinkseg.data.writers.written import WriteOptions, Written, begin, told
from thinkseg.errors import InputError
from thinkseg.outlines import joined, polygons_from_mask
from thinkseg.types import Mask, Sample, Size
from thinkseg.writing import write_at_once

FILE = "data.yaml"
_DIGITS = 7
"""Behind the point of a share: a hundredth of a pixel in an image of 100,000."""


def write_yolo(samples: Sequence[Sample], out: Path, options: WriteOptions) -> Written:
    """Write samples as YOLO polygons.

    Args:
        samples: each is asked for once, in order.
        out: a new or an empty folder.
        options: how.

    Raises:
        InputError: the folder cannot be written into, or a sample cannot be read.
    """
    if not options.split.isidentifier():
        raise InputError(f"a split of YOLO's should be called train, val or test, found '{options.split}'")
    written = begin(out, "yolo", FILE)
    folder = ImageFolder(out / "images" / options.split, copy=options.copy_images)
    classes: dict[str, int] = {}
    lines: dict[str, list[str]] = {}
    for sample, objects in told(samples, written):
        placed = folder.place(sample)
        number = classes.setdefault(class_of(sample.query), len(classes))
        lines.setdefault(placed.stem, []).extend(
            _line(number, mask, placed.size, options.tolerance, written) for mask in objects
        )
    for stem, drawn in lines.items():
        path = out / "labels" / options.split / f"{stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_at_once(path, "".join(f"{line}\n" for line in drawn))
    content = {"path": ".", options.split: f"images/{options.split}", "names": dict(enumerate(classes))}
    write_at_once(out / FILE, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    written.images = len(folder)
    return written


def _line(number: int, mask: Mask, size: Size, tolerance: float, written: Written) -> str:
    ring = joined(polygons_from_mask(mask, tolerance))
    written.count_change(mask, mask_from_segmentation([ring.ravel().tolist()], size))
    shares = (ring / size.wh).ravel().tolist()
    return " ".join([str(number), *(f"{share:.{_DIGITS}f}".rstrip("0").rstrip(".") for share in shares)])
