"""Small copies of the known data sets, as they lie on disk, made of pocket scenes.

They have the folders and the file formats of the real ones, and a handful of images of a few dozen pixels. Names hold
what real ones hold: blanks, dots, signs and letters that are not English.
"""

import json
import pickle
import shutil
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from thinkseg.data.prepared.builder import BuilderOptions
from thinkseg.data.prepared.schemas import PublishedSchema
from thinkseg.data.prepared.writer import prepare
from thinkseg.data.readers.folders import list_folders
from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.imaging import load_image, rle_from_mask, save_mask
from thinkseg.types import Mask, Sample

SIZE = 64
"""Side of an image in pixels."""

FOLDERS: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "cod10k": {
        "train": ("COD10K-v3/Train/Image", "COD10K-v3/Train/GT_Object", "COD10K-CAM-1-Aquatic-1-BatFish-{}"),
        "test": ("COD10K-v3/Test/Image", "COD10K-v3/Test/GT_Object", "COD10K-CAM-3-Flying-53-Bird-{}"),
    },
    "camo": {
        "train": ("CAMO-V.1.0-CVIU2019/Images/Train", "CAMO-V.1.0-CVIU2019/GT", "camourflage_0000{}"),
        "test": ("CAMO-V.1.0-CVIU2019/Images/Test", "CAMO-V.1.0-CVIU2019/GT", "camourflage_0100{}"),
    },
    "chameleon": {"test": ("CHAMELEON_TestingDataset/Image", "CHAMELEON_TestingDataset/GT", "animal-{}")},
    "nc4k": {"test": ("NC4K/Imgs", "NC4K/GT", "{}12")},
    "dis5k": {
        split: (f"DIS5K/DIS-{split.upper()}/im", f"DIS5K/DIS-{split.upper()}/gt", "{}#Sports#3#Rope Ladder#98_o")
        for split in ("tr", "vd", "te1", "te2", "te3", "te4")
    },
    "duts": {
        "train": ("DUTS/DUTS-TR/DUTS-TR-Image", "DUTS/DUTS-TR/DUTS-TR-Mask", "ILSVRC2012_test_0000000{}"),
        "test": ("DUTS/DUTS-TE/DUTS-TE-Image", "DUTS/DUTS-TE/DUTS-TE-Mask", "sun_aaalbz.v{}"),
    },
    "dut-omron": {"test": ("DUT-OMRON-image", "pixelwiseGT-new-PNG", "im{}05")},
    "hku-is": {"test": ("HKU-IS/imgs", "HKU-IS/gt", "000{}")},
    "ecssd": {"test": ("ECSSD/images", "ECSSD/ground_truth_mask", "000{}")},
}
"""Images, masks and names of each split, as the authors of the data sets arrange them."""


@lru_cache(maxsize=8)
def scene_samples(count: int = 6, size: int = SIZE) -> tuple[Sample, ...]:
    """Different scenes that all show their object."""
    return tuple(load_scenes("test", count, seed=7, tasks={"salient": 1}, size=size))


def write_pair(image: Path, mask: Path, index: int = 0) -> Sample:
    """Write one scene as an image and a mask, of the kinds that their suffixes say; folders are made."""
    sample = scene_samples()[index % 6]
    assert sample.target is not None
    image.parent.mkdir(parents=True, exist_ok=True)
    load_image(sample.image).save(image, quality=95)
    save_mask(sample.target, mask)
    return sample


def write_folders(name: str, root: Path, count: int = 2) -> None:
    """Write every split of a data set of `FOLDERS`, so many pairs each, no scene twice."""
    scene = 0
    for images, masks, pattern in FOLDERS[name].values():
        for number in range(count):
            stem = pattern.format(number)
            write_pair(root / images / f"{stem}.jpg", root / masks / f"{stem}.png", scene)
            scene += 1


def write_coco(annotations: Path, images: Path, count: int = 3) -> None:
    """Write images and a file of instances: polygons, compressed and plain run lengths in turn, and a crowd."""
    images.mkdir(parents=True, exist_ok=True)
    annotations.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    entries = []
    for number, sample in enumerate(scene_samples()[:count], start=1):
        assert sample.target is not None
        file = f"COCO_train2014_{number:012d}.jpg"
        load_image(sample.image).save(images / file, quality=95)
        entries.append({"id": number, "file_name": file, "width": SIZE, "height": SIZE})
        ways = (polygons_of, rle_from_mask, _plain_runs)
        rows.append(_annotation(number * 10, number, ways[number % 3](sample.target), sample.target, crowd=False))
    corner = np.zeros((SIZE, SIZE), dtype=bool)
    corner[:8, :8] = True
    rows.append(_annotation(999, 1, _plain_runs(corner), corner, crowd=True))
    content = {"images": entries, "annotations": rows, "categories": [{"id": 3, "name": "thing"}]}
    annotations.write_text(json.dumps(content), encoding="utf-8")


def write_refcoco(folder: Path, images: Path, file: str = "refs(unc).p", splits: tuple[str, ...] = ("val",)) -> None:
    """Write references with two expressions each, one reference a split, and what `write_coco` writes beside them."""
    write_coco(folder / "instances.json", images, max(3, len(splits)))
    refs = [
        {
            "ref_id": number, "ann_id": number * 10, "image_id": number, "category_id": 3, "split": split,
            "file_name": f"COCO_train2014_{number:012d}_{number * 10}.jpg", "sent_ids": [number * 2, number * 2 + 1],
            "sentences": [
                {"sent_id": number * 2 + k, "sent": text, "raw": text.upper(), "tokens": text.split()}
                for k, text in enumerate((f"thing {number}", f"the café on image {number}"))
            ],
        }
        for number, split in enumerate(splits, start=1)
    ]  # fmt: skip
    if file.endswith(".json"):  # gRefCOCO: lists of objects, and one expression more that names nothing
        refs = [{**ref, "ann_id": [ref["ann_id"]], "no_target": False} for ref in refs]
        refs += [{**ref, "ref_id": 900 + place, "ann_id": [-1], "no_target": True} for place, ref in enumerate(refs)]
        (folder / file).write_text(json.dumps(refs), encoding="utf-8")
    else:
        (folder / file).write_bytes(pickle.dumps(refs, protocol=2))


def write_lvis(annotations: Path, images: Path) -> None:
    """Write LVIS's file of three images in two folders: no names of files, categories absent or not whole."""
    write_coco(annotations, images / "train2017")
    content = json.loads(annotations.read_text(encoding="utf-8"))
    content["annotations"] = [row for row in content["annotations"] if not row.pop("iscrowd")]
    content["categories"] = [
        {"id": 3, "name": "bow_(weapon)", "synset": "bow.n.04", "synonyms": ["bow_(weapon)"], "frequency": "r"},
        {"id": 4, "name": "baseball_bat", "synset": "baseball_bat.n.01", "frequency": "f"},
    ]
    (images / "val2017").mkdir(exist_ok=True)
    for number, row in enumerate(content["images"]):
        name = row.pop("file_name")
        folder = ("train2017", "val2017", "train2017")[number]
        (images / "train2017" / name).replace(images / folder / name)
        row["coco_url"] = f"http://images.cocodataset.org/{folder}/{name}"
        row["neg_category_ids"] = [[4], [], [4, 77]][number]
        row["not_exhaustive_category_ids"] = [[], [], [3]][number]
    annotations.write_text(json.dumps(content), encoding="utf-8")


def write_rows(folder: Path, schema: PublishedSchema = "seg-zero", count: int = 3) -> None:
    """Write published rows, of scenes stretched to 112 pixels; the folder is made."""
    masks = folder.with_name(f"{folder.name} source")
    for number in range(count):
        write_pair(masks / f"images/{number}.jpg", masks / f"masks/{number}.png", number)
    listing = list_folders(masks / "images", masks / "masks", "the object", "salient")
    prepare(listing, folder, settings=BuilderOptions(schema=schema, resize=112))
    shutil.rmtree(masks)


def write_grefcoco(folder: Path, images: Path, splits: tuple[str, ...] = ("val",)) -> None:
    """Write for each split an image, an expression that names two objects of it, and one that names none."""
    instances = folder / "instances.json"
    write_coco(instances, images, len(splits))
    content = json.loads(instances.read_text(encoding="utf-8"))
    corner = np.zeros((SIZE, SIZE), dtype=bool)
    corner[-8:, -8:] = True
    refs = []
    for number, split in enumerate(splits, start=1):
        content["annotations"].append(_annotation(number * 10 + 1, number, _plain_runs(corner), corner, crowd=False))
        for k, (names, text) in enumerate((([number * 10, number * 10 + 1], "both things"), ([-1], "a dinosaur"))):
            refs.append({
                "ref_id": number * 2 + k, "ann_id": names, "image_id": number, "split": split, "no_target": k == 1,
                "sentences": [{"sent_id": number * 2 + k, "sent": text, "raw": text, "tokens": text.split()}],
            })  # fmt: skip
    instances.write_text(json.dumps(content), encoding="utf-8")
    (folder / "grefs(unc).json").write_text(json.dumps(refs), encoding="utf-8")


def write_reasonseg(root: Path, count: int = 2) -> None:
    """Write the three splits, each image with two wordings, a target, a region to be ignored and a flag."""
    scene = 0
    for split in ("train", "val", "test"):
        folder = root / "ReasonSeg" / split
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            sample = scene_samples()[scene % 6]
            scene += 1
            assert sample.target is not None
            load_image(sample.image).save(folder / f"{number}_a.b.jpg", quality=95)
            shapes = [
                {"label": "target", "points": np.reshape(polygon, (-1, 2)).tolist()}
                for polygon in polygons_of(sample.target)
            ]
            shapes.append({"label": "ignore1", "points": [[0, 0], [5, 0], [5, 5], [0, 5]]})
            shapes.append({"label": "flag", "points": [[0, 0], [63, 63], [0, 63]]})
            text = [f"What stands out on image {number}?", f"Which thing is naïve № {number}?"]
            content = {"text": text, "is_sentence": True, "shapes": shapes}
            (folder / f"{number}_a.b.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def polygons_of(mask: Mask) -> list[list[float]]:
    """The outlines of a mask's parts as COCO writes them: x, y, x, y, … through the middles of the border's pixels."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [(contour[:, 0] + 0.5).ravel().tolist() for contour in contours if len(contour) > 2]


def damaged_by_jpeg(mask: Mask, file: Path) -> None:
    """Write a mask with the bytes of a JPEG, whatever the file is called."""
    with file.open("wb") as stream:
        Image.fromarray(mask.astype(np.uint8) * 255).save(stream, format="JPEG", quality=75)


def _annotation(number: int, image: int, segmentation: object, mask: Mask, *, crowd: bool) -> dict[str, Any]:
    rows, columns = np.nonzero(mask)
    left, top = int(columns.min()), int(rows.min())
    box = [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top]
    return {
        "id": number, "image_id": image, "category_id": 3, "segmentation": segmentation, "iscrowd": int(crowd),
        "bbox": box, "area": int(mask.sum()),
    }  # fmt: skip


def _plain_runs(mask: Mask) -> dict[str, Any]:
    pixels = mask.ravel(order="F")
    ends = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs = np.diff(np.concatenate([[0], ends, [pixels.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if pixels[0] else runs}
