"""A file of COCO instances becomes samples that ask for all objects of a category."""

import json

import numpy as np
import pytest

from thinkseg.data.discovery.load import find_datasets, load_dataset
from thinkseg.data.listing import FaultKind
from thinkseg.data.readers.coco import list_coco
from thinkseg.errors import DataError
from thinkseg.testing.data_sets import scene_samples, write_coco, write_lvis


@pytest.fixture
def copy(tmp_path):
    """A file of annotations and a folder of three images."""
    write_coco(tmp_path / "instances.json", tmp_path / "train2014")
    return tmp_path / "instances.json", tmp_path / "train2014"


def changed(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_polygons_and_run_lengths_of_both_kinds_give_the_masks(copy):
    listing = list_coco(*copy)
    assert len(listing) == listing.image_count == 3
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


def test_an_image_of_nothing_but_a_crowd_is_not_asked_about(copy):
    file, images = copy
    changed(file, lambda content: content["annotations"].pop(0))
    assert [list_coco(file, images).entry(i).id for i in range(2)] == ["2-3", "3-3"]


def test_images_that_are_missing_and_annotations_that_hang_in_the_air_are_named(copy):
    file, images = copy
    (images / "COCO_train2014_000000000002.jpg").unlink()
    changed(file, lambda content: content["annotations"][0].update(image_id=77))
    faults = list_coco(file, images).faults
    assert [(fault.kind, fault.where.rpartition("/")[2]) for fault in faults] == [
        (FaultKind.BAD_RECORD, "instances.json: annotation 10"),
        (FaultKind.MISSING_IMAGE, "COCO_train2014_000000000002.jpg"),
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
    with pytest.raises(DataError, match="expected a folder of images"):
        list_coco(copy[0], tmp_path / "gone")


def test_the_images_of_lvis_are_named_by_their_addresses(tmp_path):
    write_lvis(tmp_path / "lvis_v1_train.json", tmp_path)
    listing = load_dataset("lvis", "train", tmp_path)
    assert listing.faults == []
    assert [listing.entry(index).image.parent.name for index in range(len(listing))] == ["train2017", "val2017"]
    assert [sample.query for sample in listing] == ["bow (weapon)"] * 2
    assert listing[0].target.any()
    assert listing.image_count == 3


def test_categories_of_lvis_that_are_not_marked_to_the_end_are_not_asked_about(tmp_path):
    write_lvis(tmp_path / "lvis_v1_train.json", tmp_path)
    ids = [sample.id for sample in load_dataset("lvis", "train", tmp_path)]
    assert ids == ["1-3", "2-3"]  # the third image may show bows that have no mask


def test_what_lvis_has_looked_for_in_vain_can_be_asked_about(tmp_path):
    write_lvis(tmp_path / "lvis_v1_train.json", tmp_path)
    listing = load_dataset("lvis-absent", "train", tmp_path)
    assert [sample.id for sample in listing] == ["1-4", "3-4"]
    assert [sample.query for sample in listing] == ["baseball bat"] * 2
    assert not listing[0].target.any()
    assert listing[0].instances.shape == (0, 64, 64)
    assert listing.entry(0).may_be_empty
    assert [record.name for record, _ in find_datasets(tmp_path)] == ["lvis"]


def test_lvis_without_cocos_images_says_what_to_do(tmp_path):
    write_lvis(tmp_path / "a/lvis_v1_train.json", tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "a/lvis_v1_train.json").rename(tmp_path / "b/lvis_v1_train.json")
    with pytest.raises(DataError, match="no folder 'train2017' or 'val2017'"):
        load_dataset("lvis", "train", tmp_path / "b")
    assert len(load_dataset("lvis", "train", tmp_path / "b", images=tmp_path / "a")) == 2
