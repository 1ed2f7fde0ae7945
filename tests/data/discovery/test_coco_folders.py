"""One's own files of COCO instances are found with their images, as CVAT, Roboflow and Label Studio lay them out."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings, load_dataset
from thinkseg.errors import DataError

SQUARE = [[10, 5, 30, 5, 30, 10, 10, 10]]


def write(file, image, **more):
    """A file of one image with one crack, and the image where it is said to lie."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "info": {"description": ""},
        "licenses": [],
        "images": [{"id": 1, "file_name": image, "width": 40, "height": 20}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": SQUARE, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "crack"}],
    }
    file.write_text(json.dumps(content | more))


def photo(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 20)).save(file)


def own(root, name="", **how):
    ((_, listings),) = find_listings(OwnData(root, dataset=name, **how))
    return listings


@pytest.mark.parametrize(
    ("file", "name", "image", "split"),
    [
        ("annotations/instances_default.json", "a.jpg", "images/a.jpg", "all"),
        ("annotations/instances_default.json", "a.jpg", "images/default/a.jpg", "all"),
        ("annotations/instances_train.json", "a.jpg", "images/train/a.jpg", "train"),
        ("train/_annotations.coco.json", "a.jpg", "train/a.jpg", "train"),
        ("result.json", "images/0b1c-a.jpg", "images/0b1c-a.jpg", "all"),
        ("annotations.json", "a.jpg", "a.jpg", "all"),
        ("Annotations.JSON", "a.jpg", "a.jpg", "all"),
        ("annotations.json", "JPEGImages/a.jpg", "JPEGImages/a.jpg", "all"),
    ],
)
def test_a_file_is_found_with_its_images(tmp_path, file, name, image, split):
    write(tmp_path / file, name)
    photo(tmp_path / image)
    listings = own(tmp_path)
    assert list(listings) == [split]
    (sample,) = listings[split].require_complete()
    assert (sample.query, sample.image) == ("crack", tmp_path / image)
    assert np.argwhere(sample.target).min(axis=0).tolist() == [5, 10]
    assert sample.target.sum() == 100
    assert len(load_dataset("coco-json", split, tmp_path)) == 1


def test_several_files_are_splits(tmp_path):
    for split in ("train", "valid"):
        write(tmp_path / split / "_annotations.coco.json", "a.jpg")
        photo(tmp_path / split / "a.jpg")
    assert list(own(tmp_path)) == ["train", "valid"]
    assert list(own(tmp_path, split="valid")) == ["valid"]


def test_the_file_itself_can_be_named(tmp_path):
    write(tmp_path / "a.json", "a.jpg")
    photo(tmp_path / "shots/a.jpg")
    shutil.copy(tmp_path / "a.json", tmp_path / "b.json")
    assert list(own(tmp_path, images="shots")) == ["a", "b"]
    assert list(own(tmp_path / "a.json", images="shots")) == ["all"]
    assert list(own(tmp_path, "coco-json", annotations="a.json", images="shots")) == ["all"]


def test_other_json_files_are_not_taken_for_coco(tmp_path):
    (tmp_path / "run.json").write_text('{"benchmark": "scenes", "model": "pocket"}')
    (tmp_path / "notes.json").write_text('{"categories": [{"id": 0, "name": "crack"}], "info": {"version": "1.0"}}')
    with pytest.raises(DataError, match=r"found nothing below .* \(coco-json, yolo, labelme, label-studio, "):
        own(tmp_path)


def test_images_that_no_masks_were_found_beside_are_said_with_what_to_do(tmp_path):
    photo(tmp_path / "images/a.jpg")
    with pytest.raises(DataError, match=r"It has 1 image: put photographs into a folder 'images', and mas"):
        own(tmp_path)
    (tmp_path / "masks").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "masks/a.tif")
    with pytest.raises(DataError, match=r"It has 1 image of a kind that is not read, such as 'masks/a.tif': save"):
        own(tmp_path)
