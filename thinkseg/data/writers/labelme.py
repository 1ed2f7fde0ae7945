"""labelme's JSON files, one beside each image: what its window opens to be corrected by hand.

An object is a shape of the kind "mask", which keeps every pixel (labelme 5.3 and later), or polygons that can be
edited corner by corner; the parts of an object share a group. Labels are queries without their "the".
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from thinkseg.data.readers.class_queries import class_of
from thinkseg.data.readers.labelme import IGNORED
from thinkseg.data.readers.labelme_shapes import paint_polygon
from thinkseg.data.writers.images import ImageFolder, Placed
from thinkseg.data.writers.written import WriteOptions, Written, begin, told
from thinkseg.geometry import box_from_mask
from thinkseg.outlines import joined
from thinkseg.types import Mask, Sample
from thinkseg.writing import json_text, write_at_once

VERSION = "5.4.1"
"""Of labelme, whose files these are as."""


def write_labelme(samples: Sequence[Sample], out: Path, options: WriteOptions) -> Written:
    """Write samples as labelme's files.

    Args:
        samples: each is asked for once, in order.
        out: a new or an empty folder, which images and files go into.
        options: how.

    Raises:
        InputError: the folder cannot be written into, or a sample cannot be read.
    """
    written = begin(out, "labelme")
    folder = ImageFolder(out, copy=options.copy_images)
    files: dict[str, tuple[Placed, list[dict[str, Any]]]] = {}
    for sample, objects in told(samples, written, ignores=True):
        placed = folder.place(sample)
        _, shapes = files.setdefault(placed.name, (placed, []))
        for mask in objects:
            group = 1 + max((shape["group_id"] or 0 for shape in shapes), default=0)
            shapes += _shapes(class_of(sample.query), mask, group, options, written)
        if sample.ignore is not None and sample.ignore.any():
            shapes += _shapes(IGNORED, sample.ignore, None, WriteOptions(), written)
    for placed, shapes in files.values():
        content: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": placed.named_from(out),
            "imageData": None,
            "imageHeight": placed.size.height,
            "imageWidth": placed.size.width,
        }
        write_at_once(out / f"{placed.stem}.json", json_text(content, indent=2) + "\n")
    written.images = len(folder)
    return written


def _shapes(
    label: str, mask: Mask, group: int | None, options: WriteOptions, written: Written
) -> Iterator[dict[str, Any]]:
    """An object as one shape, or as a polygon for each of its parts."""
    plain: dict[str, Any] = {"label": label, "group_id": group, "description": "", "flags": {}}
    if not options.polygons:
        box = box_from_mask(mask)
        assert box is not None
        left, top, right, bottom = (int(value) for value in box.xyxy)
        file = BytesIO()
        Image.fromarray(mask[top:bottom, left:right]).save(file, "PNG")
        drawn = base64.b64encode(file.getvalue()).decode()
        corners = [[left, top], [right - 1, bottom - 1]]
        yield {**plain, "points": corners, "shape_type": "mask", "mask": drawn}
        return
    canvas = np.zeros(mask.shape, dtype=np.uint8)
    for ring in _rings(mask, options.tolerance):
        paint_polygon(canvas, ring, 1)
        yield {**plain, "points": ring.tolist(), "shape_type": "polygon", "mask": None}
    written.count_change(mask, canvas == 1)


def _rings(mask: Mask, tolerance: float) -> Iterator[np.ndarray]:
    """A polygon for each part, through the middles of its outermost pixels: labelme draws outlines, too."""
    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for number, contour in enumerate(contours):
        if hierarchy[0, number, 3] < 0:
            holes = [other for other in range(len(contours)) if hierarchy[0, other, 3] == number]
            rings = [_simple(one, tolerance) for one in (contour, *(contours[hole] for hole in holes))]
            yield joined([ring for place, ring in enumerate(rings) if place == 0 or len(ring) > 2])


def _simple(contour: np.ndarray, tolerance: float) -> np.ndarray:
    """A contour with fewer corners; three at least, for labelme refuses fewer."""
    ring = contour[:, 0].astype(np.float64)
    if tolerance > 0:
        simple = cv2.approxPolyDP(contour, tolerance, closed=True)[:, 0].astype(np.float64)
        ring = simple if len(simple) > 2 else ring
    return ring if len(ring) > 2 else np.concatenate([ring, np.repeat(ring[-1:], 3 - len(ring), axis=0)])
