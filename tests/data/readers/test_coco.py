"""A file of COCO instances becomes samples that ask for all objects of a category."""

import json

import numpy as np
import PIL.Image
import pytest

from thinkseg.data.discovery.load import find_datasets, load_dataset
from thinkseg.data.listing import BrokenFile, FaultKind
from thinkseg.data.readers.coco import list_coco
from thinkseg.data.validation.inspection import inspect_sample
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
        ("[]", "should be a JSON object"),
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


@pytest.fixture
def cups(tmp_path):
    """Makes a file of one cup in each of two images of 40×30 pixels."""

    def make(change=lambda content: None):
        images = tmp_path / "images"
        images.mkdir(exist_ok=True)
        for name in ("a.png", "b.png"):
            PIL.Image.new("RGB", (40, 30)).save(images / name)
        content = {
            "images": [{"id": i, "file_name": f"{n}.png", "width": 40, "height": 30} for i, n in ((1, "a"), (2, "b"))],
            "categories": [{"id": 1, "name": "cup"}],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1, "bbox": [2, 2, 10, 10], "iscrowd": 0, "area": 100,
                 "segmentation": [[2, 2, 12, 2, 12, 12, 2, 12]]}
                for i in (1, 2)
            ],
        }  # fmt: skip
        change(content)
        (tmp_path / "a.json").write_text(json.dumps(content))
        return tmp_path / "a.json", images

    return make


def first(**values):
    return lambda content: content["annotations"][0].update(values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (first(id=2), r"the id 2 of annotations\[1\] in '.*a.json' is taken by annotations\[0\]"),
        (first(id=1.25), r"'id' of annotations\[0\] in '.*a.json' should be a whole number, found 1.25"),
        (first(image_id=True), "'image_id' of .* should be a whole number, found True"),
        (first(category_id=None), "'category_id' of .* should be a whole number, found nothing"),
        (first(iscrowd="no"), "'iscrowd' of .* should be 0 or 1, true or false, found 'no'"),
        (first(iscrowd=2), "'iscrowd' of .* should be 0 or 1"),
        (first(bbox=[1, 2, 3]), "'bbox' of .* should be a list of 4 numbers"),
        (first(bbox=["1", 2, 3, 4]), "'bbox' of .* should be a finite number"),
        (first(bbox=[5, 5, -3, 4]), "'bbox' of .* not negative"),
        (first(area=float("nan")), "'area' of .* should be a finite number"),
        (first(area=10**400), "'area' of .* should be a finite number"),
        (first(area=-1), "'area' of .* not negative, found -1"),
        (first(id="9" * 5000), "'id' of .* should be a whole number"),
        (first(bbox=[5, 5, 3, 10**400]), "'bbox' of .* should be a finite number"),
        (first(bbox=[1e308, 5, 1e308, 3]), "'bbox' of .* at most 100,000 pixels"),
        (lambda content: content["images"][1].update(id=1), r"the id 1 of images\[1\]"),
        (lambda content: content["images"][1].update(width=40.5), r"'width' of images\[1\]"),
        (lambda content: content["images"][1].update(height=0), r"'height' of images\[1\] .* at least 1"),
        (lambda content: content["images"][1].update(file_name=None), r"'file_name' of images\[1\] .* found nothing"),
        (lambda content: content["categories"].append({"id": 1, "name": "dog"}), r"the id 1 of categories\[1\]"),
        (lambda content: content["categories"][0].update(name=["cup"]), "'name' of .* should be text"),
        (lambda content: content["annotations"].append(3), r"annotations\[2\] in .* should be a JSON object, found 3"),
        (lambda content: content.update(images={}), "'images' of .* should be a list"),
    ],
)
def test_a_value_that_would_lose_a_sample_or_a_meaning_is_named_with_its_row(cups, change, said):
    with pytest.raises(BrokenFile, match=said) as error:
        list_coco(*cups(change))
    assert error.value.kind is FaultKind.BAD_RECORD


@pytest.mark.parametrize("value", [None, "0", False, 0, 0.0])
def test_an_object_that_says_in_any_way_that_it_is_no_crowd_is_asked_about(cups, value):
    listing = list_coco(*cups(first(iscrowd=value)))
    assert [sample.target.sum() for sample in listing] == [100, 100]


@pytest.mark.parametrize("value", ["1", True, 1])
def test_an_object_that_says_in_any_way_that_it_is_a_crowd_is_not_asked_about(cups, value):
    assert [sample.id for sample in list_coco(*cups(first(iscrowd=value)))] == ["2-1"]


def test_numbers_that_a_tool_wrote_as_text_or_with_a_point_and_rows_that_come_twice_lose_nothing(cups):
    def change(content):
        content["annotations"][0].update(id="1", image_id="1", category_id=1.0)
        content["images"].append(dict(content["images"][0]))

    assert [sample.id for sample in list_coco(*cups(change))] == ["1-1", "2-1"]


@pytest.mark.parametrize("pattern", ["images/{}", "images\\{}", "./{}", "more/../{}", ".\\images\\{}"])
def test_a_name_with_the_folder_itself_or_with_backslashes_is_found(cups, pattern):
    def change(content):
        for image in content["images"]:
            image["file_name"] = pattern.format(image["file_name"])

    file, images = cups(change)
    listing = list_coco(file, images)
    assert not listing.faults
    assert [sample.image for sample in listing] == [images / "a.png", images / "b.png"]
    assert list_coco(file, images.parent).faults == [] or "images" not in pattern


@pytest.mark.parametrize(
    "name",
    ["../../secret.png", "/etc/secret.png", "..\\secret.png", "C:\\secret.png", "x/../../secret.png", "..", "\\\\a\\b"],
)
def test_a_name_that_leads_out_of_the_folder_of_images_is_refused(cups, name):
    with pytest.raises(BrokenFile, match=r"'file_name' of images\[0\] in .* below the folder of images"):
        list_coco(*cups(lambda content: content["images"][0].update(file_name=name)))


def test_other_braces_of_a_query_than_those_of_the_category_stay(cups):
    assert list_coco(*cups(), "the {color} {}, {0}")[0].query == "the {color} cup, {0}"


def test_a_file_in_another_encoding_is_read_when_it_is_named(cups):
    file, images = cups(lambda content: content["categories"][0].update(name="杯子"))
    content = file.read_text()
    file.write_bytes(json.dumps(json.loads(content), ensure_ascii=False).encode("gbk"))
    with pytest.raises(BrokenFile, match=r"a.json' should be text in UTF-8 and is not .*--encoding"):
        list_coco(file, images)
    assert list_coco(file, images, encoding="gbk")[0].query == "杯子"
    file.write_bytes(content.encode("utf-16"))
    assert list_coco(file, images)[0].query == "杯子"


@pytest.mark.parametrize("segmentation", [None, [], [[]], {}, "missing"])
def test_an_object_that_is_marked_by_its_box_alone_has_no_known_mask_and_is_no_empty_one(cups, segmentation):
    def change(content):
        if segmentation == "missing":
            del content["annotations"][0]["segmentation"]
        else:
            content["annotations"][0]["segmentation"] = segmentation

    bare, drawn = list_coco(*cups(change))
    assert (bare.target, bare.instances, bare.ignore) == (None, None, None)
    assert [true.box.xyxy for true in bare.boxes] == [(2, 2, 12, 12)]
    assert drawn.target.sum() == 100


def test_one_object_without_a_mask_leaves_the_mask_of_all_unknown(cups):
    def change(content):
        content["annotations"].append(content["annotations"][0] | {"id": 3, "segmentation": []})

    sample = list_coco(*cups(change))[0]
    assert sample.target is None
    assert len(sample.boxes) == 2


def test_a_name_longer_than_any_files_is_an_image_that_is_missing(cups):
    for name in (f"{'x' * 300}.png", f"{'x' * 300}/a.png"):
        listing = list_coco(*cups(lambda content, name=name: content["images"][0].update(file_name=name)))
        assert [fault.kind for fault in listing.faults] == [FaultKind.MISSING_IMAGE]
        assert FaultKind.MISSING_IMAGE in {fault.kind for fault in inspect_sample(listing, 0).faults}


def test_two_categories_of_one_name_are_refused_where_both_have_objects(cups):
    def second(content):
        content["categories"].append({"id": 2, "name": "cup"})

    assert len(list_coco(*cups(second))) == 2

    def both(content):
        second(content)
        content["annotations"][1].update(category_id=2, image_id=1)

    with pytest.raises(BrokenFile, match=r"categories 1 and 2 in .*a\.json' are both called 'cup'"):
        list_coco(*cups(both))
