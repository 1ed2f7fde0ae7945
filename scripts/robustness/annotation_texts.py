"""Well-formed files of tools for annotation, about one image of 16×16 pixels; `fuzz_texts.py` makes hostile ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from hostile_texts import json_of

Change = Callable[[Any], Any]

CORNERS = [[1, 1], [9.5, 1], [9, 12]]
SHAPES = [
    {"label": "cup", "points": CORNERS, "shape_type": "polygon", "group_id": 1, "flags": {}},
    {"label": "cup", "points": [[3, 3], [5, 5]], "shape_type": "circle", "group_id": None},
    {"label": "lid", "points": [[3, 3], [5, 5]], "shape_type": "rectangle"},
]
LABELME = {"version": "5.4.1", "flags": {}, "shapes": SHAPES, "imagePath": "a.png", "imageHeight": 16, "imageWidth": 16}
_SIZE = {"original_width": 16, "original_height": 16, "image_rotation": 0}
BRUSH = [0, 0, 4, 0, 56, 0, 0, 128, 255, 0]
REGIONS = [
    {"type": "polygonlabels", **_SIZE, "value": {"points": [[1, 1], [90, 5], [50, 99]], "polygonlabels": ["cup"]}},
    {"type": "brushlabels", **_SIZE, "value": {"format": "rle", "rle": BRUSH, "brushlabels": ["lid"]}},
    {"type": "ellipselabels", **_SIZE,
     "value": {"x": 50, "y": 50, "radiusX": 9, "radiusY": 5, "rotation": 3, "ellipselabels": ["cup"]}},
]  # fmt: skip
TASKS = [
    {"id": 1, "data": {"image": "/data/upload/1/0123abcd-a.png"}, "annotations": [{"id": 2, "result": REGIONS}]},
]
YOLO = {"path": ".", "train": ".", "val": "nowhere", "names": {0: "cup", 1: "lid"}}
LABELS = "0 0.1 0.1 0.9 0.1 0.5 0.9\n1 0.5 0.5 0.2 0.2\n1 0 0 1 0 1 1 0 1\n"
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>1</id></task></meta>
<image id="0" name="a.png" width="16" height="16">
<polygon label="cup" occluded="0" points="1.0,1.0;9.5,1.0;9.0,12.0" z_order="0" group_id="1"></polygon>
<mask label="lid &amp; rim" occluded="0" rle="1, 3, 2, 2" left="3" top="4" width="4" height="2" z_order="0"></mask>
<ellipse label="cup" cx="5" cy="5" rx="3" ry="2" rotation="30"/><box label="lid" xtl="1" ytl="1" xbr="3" ybr="3"/>
</image></annotations>
"""
MAPS = (
    {"cup": "#ff0000", "lid": [0, 255, 0]},
    {"1": "cup"},
    [{"name": "cup", "color": "#ff0000"}, {"name": "lid", "id": 2}],
)
MAP_LINES = "background:0,0,0::\ncup:255,0,0::\nlid:0,255,0:top,rim:\n"
MAP_ROWS = "name,r,g,b\ncup,255,0,0\nlid,0,255,0\n"

ANNOTATIONS: Mapping[str, Callable[[random.Random, Change], str]] = {
    "labelme": lambda rng, change: json_of(change(LABELME)),
    "label studio": lambda rng, change: json_of(change(TASKS)),
    "cvat": lambda rng, change: CVAT,
    "yolo": lambda rng, change: json_of(change(YOLO)),  # JSON is YAML
    "yolo labels": lambda rng, change: LABELS,
    "class map": lambda rng, change: json_of(change(rng.choice(MAPS))),
    "class map lines": lambda rng, change: MAP_LINES,
    "class map rows": lambda rng, change: MAP_ROWS,
}
"""A text of each kind: well formed but for what `change` does to a structure."""
