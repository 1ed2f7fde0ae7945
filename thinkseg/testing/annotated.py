"""A small copy of each format that tools for annotation write: one image of 40×20 pixels with a crack and a rust spot.

The layouts are those that the tools' documentation and published exports show.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from thinkseg.types import Mask

SIZE = (40, 20)
CRACK = (10, 5, 30, 10)
"""Left, top, right and bottom edge."""
RUST = (0, 0, 4, 2)


def mask_of(edges: tuple[int, int, int, int]) -> Mask:
    """The pixels between edges."""
    left, top, right, bottom = edges
    mask = np.zeros((SIZE[1], SIZE[0]), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def _corners(edges: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    left, top, right, bottom = edges
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _photo(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, (180, 170, 160)).save(file)


def write_coco_json(root: Path) -> None:
    """COCO JSON as CVAT and others write it, with polygons."""
    _photo(root / "images/a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": SIZE[0], "height": SIZE[1]}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": number, "iscrowd": 0,
             "segmentation": [[value for corner in _corners(edges) for value in corner]]}
            for number, edges in enumerate((CRACK, RUST), start=1)
        ],
        "categories": [{"id": 1, "name": "crack"}, {"id": 2, "name": "rust spot"}],
    }  # fmt: skip
    (root / "annotations").mkdir()
    (root / "annotations/instances_default.json").write_text(json.dumps(content), encoding="utf-8")


def write_yolo(root: Path) -> None:
    """YOLO polygons as Ultralytics has them."""
    (root / "labels/train").mkdir(parents=True)
    _photo(root / "images/train/a.jpg")
    lines = [
        " ".join([str(number), *(f"{x / SIZE[0]} {y / SIZE[1]}" for x, y in _corners(edges))])
        for number, edges in enumerate((CRACK, RUST))
    ]
    (root / "labels/train/a.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = "path: walls\ntrain: images/train\nnames:\n  0: crack\n  1: rust_spot\n"
    (root / "data.yaml").write_text(names, encoding="utf-8")


def write_labelme(root: Path) -> None:
    """A file of labelme beside its image; its polygons go through the outermost pixels."""
    _photo(root / "a.jpg")
    shapes: list[dict[str, object]] = [
        {"label": label, "points": [[left, top], [right - 1, top], [right - 1, bottom - 1], [left, bottom - 1]],
         "group_id": None, "shape_type": "polygon", "flags": {}}
        for label, (left, top, right, bottom) in (("crack", CRACK), ("rust_spot", RUST))
    ]  # fmt: skip
    content: dict[str, object] = {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": "a.jpg",
        "imageData": None,
    }
    content |= {"imageWidth": SIZE[0], "imageHeight": SIZE[1]}
    (root / "a.json").write_text(json.dumps(content), encoding="utf-8")


def write_label_studio(root: Path) -> None:
    """Label Studio's JSON, whose images lie in a folder ``photos``."""
    _photo(root / "photos/a.jpg")
    size = {"original_width": SIZE[0], "original_height": SIZE[1], "image_rotation": 0}
    regions = [
        {**size, "type": "polygonlabels",
         "value": {"points": [[100 * x / SIZE[0], 100 * y / SIZE[1]] for x, y in _corners(edges)],
                   "closed": True, "polygonlabels": [label]}}
        for label, edges in (("crack", CRACK), ("rust_spot", RUST))
    ]  # fmt: skip
    task = {"id": 1, "data": {"image": "/data/upload/3/1f0c2a9e-a.jpg"}, "predictions": []}
    (root / "export.json").write_text(json.dumps([task | {"annotations": [{"result": regions}]}]), encoding="utf-8")


def write_cvat(root: Path) -> None:
    """CVAT for images 1.1: a polygon, and a mask as run lengths of its rectangle."""
    _photo(root / "images/a.jpg")
    points = ";".join(f"{x}.00,{y}.00" for x, y in _corners(CRACK))
    left, top, right, bottom = RUST
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f'  <image id="0" name="a.jpg" width="{SIZE[0]}" height="{SIZE[1]}">\n'
        f'    <polygon label="crack" source="manual" occluded="0" points="{points}" z_order="0"></polygon>\n'
        f'    <mask label="rust_spot" source="manual" occluded="0" rle="0, {(right - left) * (bottom - top)}" '
        f'left="{left}" top="{top}" width="{right - left}" height="{bottom - top}" z_order="0"></mask>\n'
        "  </image>\n</annotations>\n"
    )
    (root / "annotations.xml").write_text(text, encoding="utf-8")


def write_voc(root: Path) -> None:
    """Pascal VOC's folders as CVAT writes them, with a label map and a list of the split ``val``."""
    _photo(root / "JPEGImages/a.jpg")
    _coloured(root / "SegmentationClass/a.png", (255, 0, 0), (0, 255, 128))
    _coloured(root / "SegmentationObject/a.png", (128, 0, 0), (0, 128, 0))
    names = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:255,0,0::\nrust_spot:0,255,128::\n"
    (root / "labelmap.txt").write_text(names, encoding="utf-8")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/val.txt").write_text("a\n", encoding="utf-8")


def write_colours(root: Path) -> None:
    """Folders of images and masks by colour, with a class map beside them."""
    _photo(root / "images/a.jpg")
    _coloured(root / "masks/a.png", (255, 0, 0), (0, 255, 128))
    names = json.dumps({"crack": "#ff0000", "rust_spot": [0, 255, 128]})
    (root / "classes.json").write_text(names, encoding="utf-8")


def _coloured(file: Path, crack: tuple[int, int, int], rust: tuple[int, int, int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
    pixels[mask_of(CRACK)] = crack
    pixels[mask_of(RUST)] = rust
    Image.fromarray(pixels).save(file)


ANNOTATED: Mapping[str, Callable[[Path], None]] = {
    "coco-json": write_coco_json,
    "yolo": write_yolo,
    "labelme": write_labelme,
    "label-studio": write_label_studio,
    "cvat": write_cvat,
    "voc": write_voc,
    "colours": write_colours,
}
"""What writes a copy into a folder that is there, by the names of the formats."""
