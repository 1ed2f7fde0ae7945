"""COCO JSON: ``annotations.json`` beside a folder ``images``, an annotation for each object, a category for each query.

Masks are run lengths, which keep every pixel, or polygons, which people can edit; what has a hole or counts neither way
(a crowd, in COCO's words) is always run lengths. Categories are called as the queries are, word by word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_fill_holes

from thinkseg.data.readers.segmentations import mask_from_segmentation
from thinkseg.data.writers.images import ImageFolder
from thinkseg.data.writers.written import WriteOptions, Written, begin, told
from thinkseg.geometry import box_from_mask
from thinkseg.imaging import rle_from_mask
from thinkseg.outlines import polygons_from_mask
from thinkseg.types import Mask, Sample, Size
from thinkseg.writing import json_text, write_at_once

FILE, IMAGES = "annotations.json", "images"


def write_coco(samples: Sequence[Sample], out: Path, options: WriteOptions) -> Written:
    """Write samples as COCO instances.

    Args:
        samples: each is asked for once, in order.
        out: a new or an empty folder.
        options: how.

    Raises:
        InputError: the folder cannot be written into, or a sample cannot be read.
    """
    written = begin(out, "coco", FILE)
    folder = ImageFolder(out / IMAGES, copy=options.copy_images)
    images: dict[str, dict[str, Any]] = {}
    categories: dict[str, int] = {}
    annotations: list[dict[str, Any]] = []
    for sample, objects in told(samples, written, ignores=True):
        placed = folder.place(sample)
        width, height = placed.size.wh
        shown = {"id": len(images) + 1, "file_name": placed.name, "width": width, "height": height}
        image = images.setdefault(placed.name, shown)
        category = categories.setdefault(sample.query, len(categories) + 1)
        marked = [(mask, 0) for mask in objects]
        if sample.ignore is not None and sample.ignore.any():
            marked.append((sample.ignore, 1))
        for mask, crowd in marked:
            annotation = _annotation(mask, options.polygons and not crowd, options.tolerance, written)
            numbers = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": category, "iscrowd": crowd}
            annotations.append(numbers | annotation)
    content = {
        "info": {"description": "written by ThinkSeg"},
        "licenses": [],
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()],
    }
    written.images = len(folder)
    write_at_once(out / FILE, json_text(content) + "\n")
    return written


def _annotation(mask: Mask, polygons: bool, tolerance: float, written: Written) -> dict[str, Any]:
    box = box_from_mask(mask)
    assert box is not None
    left, top, right, bottom = box.xyxy
    plain = {"bbox": [left, top, right - left, bottom - top], "area": int(mask.sum())}
    if not polygons or not np.array_equal(binary_fill_holes(mask), mask):
        return {**plain, "segmentation": rle_from_mask(mask)}
    rings = [ring.ravel().tolist() for ring in polygons_from_mask(mask, tolerance)]
    height, width = mask.shape
    written.count_change(mask, mask_from_segmentation(rings, Size(width, height)))
    return {**plain, "segmentation": rings}
