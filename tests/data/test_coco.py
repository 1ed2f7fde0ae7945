"""A file of COCO instances becomes samples that ask for all objects of a category."""

import json

import numpy as np
import pytest

from thinkseg.data.coco import list_coco
from thinkseg.data.listing import FaultKind
from thinkseg.errors import DataError
from thinkseg.testing.data_sets import scene_samples, write_coco


@pytest.fixture
def copy(tmp_path):
    """A file of annotations and a folder of three pictures."""
    write_coco(tmp_path / "instances.json", tmp_path / "train2014")
    return tmp_path / "instances.json", tmp_path / "train2014"


def changed(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_polygons_and_run_lengths_of_both_kinds_give_the_masks(copy):
    listing = list_coco(*copy)
    assert len(listing) == listing.pictures == 3
    for sample, scene in zip(listing, scene_samples(), strict=False):
        assert (sample.query, sample.task) == ("thing", "instances")
        overlap = (sample.target & scene.target).sum() / (sample.target | scene.target).sum()
        assert overlap == 1 if sample.id != "3-3" else overlap > 0.75  # the outline goes through pixels' middles
        assert sample.instances.shape == (1, 64, 64)


def test_crowds_are_regions_to_be_ignored(copy):
    first, second, _ = list_coco(*copy)
    assert first.ignore[:8, :8].any()
    assert not (first.ignore & first.target).any()
    assert second.ignore is None


def test_objects_of_one_category_are_asked_for_together_and_kept_apart(copy):
    file, images = copy
    square = {"id": 5, "image_id": 2, "category_id": 3, "segmentation": [[50, 50, 60, 50, 60, 60, 50, 60]]}
    other = {"id": 6, "image_id": 2, "category_id": 9, "segmentation": [[0, 0, 9, 0, 9, 9]]}
    changed(file, lambda content: content["annotations"].extend([square, other]))
    changed(file, lambda content: content["categories"].append({"id": 9, "name": "corner"}))
    listing = list_coco(file, images, "every {} in sight")
    assert [listing.entry(i).id for i in range(4)] == ["1-3", "2-3", "2-9", "3-3"]
    assert listing[1].instances.shape[0] == 2
    assert np.array_equal(listing[1].target, listing[1].instances.any(axis=0))
    assert listing[2].query == "every corner in sight"


def test_a_picture_of_nothing_but_a_crowd_is_not_asked_about(copy):
    file, images = copy
    changed(file, lambda content: content["annotations"].pop(0))
    assert [list_coco(file, images).entry(i).id for i in range(2)] == ["2-3", "3-3"]


def test_pictures_that_are_missing_and_annotations_that_hang_in_the_air_are_named(copy):
    file, images = copy
    (images / "COCO_train2014_000000000002.jpg").unlink()
    changed(file, lambda content: content["annotations"][0].update(image_id=77))
    faults = list_coco(file, images).faults
    assert [(fault.kind, fault.where.rpartition("/")[2]) for fault in faults] == [
        (FaultKind.BAD_RECORD, "instances.json: annotation 10"),
        (FaultKind.MISSING_PICTURE, "COCO_train2014_000000000002.jpg"),
    ]


def test_an_annotation_that_cannot_be_drawn_is_named(copy):
    file, images = copy
    changed(file, lambda content: content["annotations"][1].update(segmentation=[[1, 2]]))
    with pytest.raises(DataError, match=r"annotation 20 in '.*' cannot be drawn"):
        list_coco(file, images)[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[", "cannot be read"),
        ("{}", "lacks 'images'"),
        ('{"images": [{"id": 1}]}', "lacks 'file_name'"),
        ("[]", "cannot"),
    ],
)
def test_a_file_of_another_kind_is_told(tmp_path, content, said):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=said):
        list_coco(tmp_path / "a.json", tmp_path)


def test_a_missing_file_or_folder_is_told(copy, tmp_path):
    with pytest.raises(DataError, match="expected a file of COCO instances at"):
        list_coco(tmp_path / "gone.json", copy[1])
    with pytest.raises(DataError, match="expected a folder of pictures"):
        list_coco(copy[0], tmp_path / "gone")
