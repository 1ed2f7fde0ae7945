"""Polygons in YOLO's format are read as tools lay them out: Ultralytics, Roboflow, CVAT and Label Studio."""

import re

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings, load_dataset
from thinkseg.data.listing import FaultKind
from thinkseg.errors import DataError

WIDTH, HEIGHT = 40, 20
SQUARE = "0 0.25 0.25 0.75 0.25 0.75 0.5 0.25 0.5"
"""Columns 10 to 29 and rows 5 to 9 of such an image."""
CORNER = "1 0 0 0.1 0 0.1 0.1 0 0.1"
"""Columns 0 to 3 and rows 0 and 1."""
ULTRALYTICS = (
    "path: coco8-seg # dataset root dir\ntrain: images/train\nval: images/val\ntest:\n\n"
    "names:\n  0: crack\n  1: rust_spot\n"
)


def draw(file, colour="white", size=(WIDTH, HEIGHT)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)


def write(root, image, *lines):
    """An image and its labels, as the path of the image says."""
    draw(root / image)
    labels = root / image.replace("images", "labels")
    labels.parent.mkdir(parents=True, exist_ok=True)
    labels.with_suffix(".txt").write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def ultralytics(tmp_path):
    """A folder with a YAML file of splits, as its documentation shows it."""
    (tmp_path / "data.yaml").write_text(ULTRALYTICS)
    write(tmp_path, "images/train/a.jpg", SQUARE, CORNER)
    write(tmp_path, "images/train/b.jpg")
    write(tmp_path, "images/val/c.jpg", SQUARE, "0 0.9 0.9 1 0.9 1 1 0.9 1")
    return tmp_path


def own(root, name="", split="", **how):
    ((_, listings),) = find_listings(OwnData(root, dataset=name, split=split, **how))
    return listings


def test_a_class_is_asked_for_by_its_name_and_its_polygons_are_drawn(ultralytics):
    crack, rust = own(ultralytics)["train"]
    assert (crack.id, crack.query) == ("images/train/a-crack", "the crack")
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[5:10, 10:30] = True
    assert np.array_equal(crack.target, expected)
    assert rust.query == "the rust spot"
    assert rust.target.sum() == 4 * 2
    assert rust.target[:2, :4].all()


def test_several_objects_of_a_class_are_one_request_whose_target_is_their_union(ultralytics):
    (sample,) = own(ultralytics)["val"]
    assert sample.instances.shape == (2, HEIGHT, WIDTH)
    assert np.array_equal(sample.target, sample.instances.any(axis=0))
    assert sample.instances.sum(axis=(1, 2)).tolist() == [100, 8]


def test_splits_are_those_of_the_yaml_file_and_one_can_be_named(ultralytics):
    assert list(own(ultralytics)) == ["train", "val"]
    assert list(own(ultralytics, split="val")) == ["val"]
    assert list(own(ultralytics / "data.yaml")) == ["train", "val"]
    (ultralytics / "data.yaml").write_text(ULTRALYTICS.replace("0:", "'0':").replace("1:", '"1":'))
    for name in ("own", "yolo"):
        assert len(load_dataset(name, "train", ultralytics)) == 2
    with pytest.raises(DataError, match=r"the YOLO polygons in '.*' have no split 'test'; they have: train, val"):
        load_dataset("yolo", "test", ultralytics)


def test_the_words_of_the_request_can_be_said(ultralytics):
    crack, rust = own(ultralytics, query="every {} in sight")["train"]
    assert (crack.query, rust.query) == ("every crack in sight", "every rust spot in sight")
    with pytest.raises(DataError, match=r"'the damage' would ask for 2 classes .* at once \(crack, rust_spot"):
        own(ultralytics, query="the damage")
    (ultralytics / "labels/train/a.txt").write_text(SQUARE)
    assert own(ultralytics, query="the damage")["train"][0].query == "the damage"


def test_roboflow_lays_a_folder_of_images_and_one_of_labels_into_each_split(tmp_path):
    (tmp_path / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\nnames: ['crack']\n\nroboflow:\n"
        "  workspace: mine\n  version: 2\n"
    )
    write(tmp_path, "train/images/a_jpg.rf.0f2a.jpg", SQUARE)
    write(tmp_path, "valid/images/b_jpg.rf.77aa.jpg", SQUARE)
    listings = own(tmp_path)
    assert [len(listings[split]) for split in ("train", "val", "test")] == [1, 1, 0]
    assert listings["train"][0].id == "train/images/a_jpg.rf.0f2a-crack"
    assert [fault.kind for fault in listings["test"].faults] == [FaultKind.MISSING_IMAGE]
    assert not listings["train"].faults


def test_cvat_lists_images_in_a_text_file_with_a_folder_in_front_that_is_not_there(tmp_path):
    (tmp_path / "data.yaml").write_text("names:\n  0: crack\npath: .\ntrain: train.txt\n")
    (tmp_path / "train.txt").write_text("data/images/train/a.png\ndata/images/train/b.png\n")
    for name in "ab":
        write(tmp_path, f"images/train/{name}.png", SQUARE)
    assert [sample.id for sample in own(tmp_path)["train"]] == ["images/train/a-crack", "images/train/b-crack"]
    (tmp_path / "train.txt").write_text("data/images/train/z.png\n")
    with pytest.raises(DataError, match=r"names the image 'data/images/train/z.png', and there is none"):
        own(tmp_path)


def test_label_studio_writes_a_file_of_classes_and_no_splits(tmp_path):
    (tmp_path / "classes.txt").write_text("crack\nrust_spot\n")
    (tmp_path / "notes.json").write_text('{"categories": [{"id": 0, "name": "crack"}], "info": {"version": "1.0"}}')
    write(tmp_path, "images/0b1c-a.png", SQUARE, CORNER)
    assert [sample.query for sample in own(tmp_path)["all"]] == ["the crack", "the rust spot"]


def test_labels_may_lie_beside_their_images(tmp_path):
    (tmp_path / "obj.names").write_text("crack\n")
    write(tmp_path, "obj_train_data/a.jpg", SQUARE)
    (sample,) = own(tmp_path)["all"]
    assert sample.target.sum() == 100


def test_folders_called_as_splits_are_splits_where_no_yaml_file_says_so(tmp_path):
    (tmp_path / "classes.txt").write_text("crack\n")
    for split in ("train", "val"):
        write(tmp_path, f"images/{split}/a.jpg", SQUARE)
    assert list(own(tmp_path)) == ["train", "val"]


def test_a_class_with_a_box_is_not_asked_for_in_that_image_and_is_said(ultralytics):
    (ultralytics / "labels/train/a.txt").write_text(f"{SQUARE}\n1 0.5 0.5 0.2 0.2\n{CORNER}\n")
    listing = own(ultralytics)["train"]
    assert [sample.query for sample in listing] == ["the crack"]
    (fault,) = listing.faults
    assert fault.where.endswith("a.txt: rust_spot")
    assert fault.detail == "objects without a mask, marked with a box, points or a line: 1"
    with pytest.raises(DataError, match=r"is not whole: 1 × bad-record"):
        load_dataset("yolo", "train", ultralytics)


def test_boxes_alone_are_refused_in_a_sentence(ultralytics):
    (ultralytics / "labels/train/a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(DataError, match=r"marks objects with boxes, points or lines alone .*: mark them with polygons"):
        own(ultralytics, split="train")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("crack 0.1 0.1 0.2 0.2 0.3 0.1", "should be a class and numbers"),
        ("0.5 0.1 0.1 0.2 0.2 0.3 0.1", "should be a class and numbers"),
        ("7 0.1 0.1 0.2 0.2 0.3 0.1", "is of class 7, and the classes are 0 to 1"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.1 0.9", "an x and a y for each, found 7 numbers"),
        ("0 10 10 30 10 30 15", "shares of width and height, from 0 to 1, found .10.0"),
        ("0 0.1 nan 0.2 0.2 0.3 0.1", "three corners or more"),
    ],
)
def test_a_line_that_is_no_polygon_is_told_with_its_file(ultralytics, line, told):
    (ultralytics / "labels/train/a.txt").write_text(f"{SQUARE}\n{line}\n")
    listing = own(ultralytics)["train"]
    assert len(listing) == 0
    (fault,) = listing.faults
    assert fault.kind is FaultKind.BAD_RECORD
    assert fault.detail.startswith("line 2 of '")
    assert re.search(told, fault.detail)


def test_a_class_is_called_as_it_is_written_whatever_yaml_makes_of_it(ultralytics):
    (ultralytics / "data.yaml").write_text("train: images/train\nnames:\n  0: yes\n  1: 1.0\n")
    assert [sample.query for sample in own(ultralytics)["train"]] == ["the yes", "the 1.0"]
    (ultralytics / "data.yaml").write_text("train: images/train\nnames: [null, 007]\n")
    assert [sample.query for sample in own(ultralytics)["train"]] == ["the null", "the 007"]


def test_the_number_of_a_class_may_be_written_with_decimals(ultralytics):
    (ultralytics / "labels/train/a.txt").write_text(f"0.0{SQUARE[1:]}\n1.000000e+00{CORNER[1:]}\n")
    assert [int(sample.target.sum()) for sample in own(ultralytics)["train"]] == [100, 8]


def test_keypoints_are_no_polygons(ultralytics):
    (ultralytics / "data.yaml").write_text(ULTRALYTICS + "kpt_shape: [2, 2]\n")
    with pytest.raises(DataError, match=r"is of keypoints .'kpt_shape'., which no mask follows from"):
        own(ultralytics)


def test_a_list_of_images_may_have_whole_paths_of_another_machine(ultralytics):
    (ultralytics / "data.yaml").write_text("train: train.txt\nnames: [crack, rust]\n")
    for line in ("C:\\Users\\me\\images\\train\\a.jpg", "/data/me/images/train/a.jpg"):
        (ultralytics / "train.txt").write_text(line + "\r\n")
        assert [sample.image.name for sample in own(ultralytics)["train"]] == ["a.jpg", "a.jpg"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("names: {0: crack, 1: [a]}\ntrain: images/train\n", "'names' in '.*' should name the classes"),
        ("names: crack\ntrain: images/train\n", "should name the classes, as a list or by number, found 'crack'"),
        ("names: [crack]\ntrain: {a: b}\n", "a split in '.*' should be a folder or a list of images"),
    ],
)
def test_a_yaml_file_that_is_not_as_expected_is_told(ultralytics, content, told):
    (ultralytics / "data.yaml").write_text(content)
    with pytest.raises(DataError, match=told):
        own(ultralytics)


def test_nothing_outside_the_folder_is_read(tmp_path):
    draw(tmp_path / "secret/images/a.jpg")
    (tmp_path / "secret/labels").mkdir()
    (tmp_path / "secret/labels/a.txt").write_text(SQUARE)
    root = tmp_path / "data"
    root.mkdir()
    (root / "data.yaml").write_text(f"path: {tmp_path / 'secret'}\ntrain: ../secret/images\nnames: [crack]\n")
    listing = own(root)["train"]
    assert len(listing) == 0
    assert listing.faults


def test_a_folder_of_masks_or_a_table_beside_the_labels_is_never_chosen_or_left_in_silence(ultralytics):
    draw(ultralytics / "masks/a.png")
    with pytest.raises(
        DataError, match=r"found YOLO polygons in '.*' and beside them '.*masks': say which .*--dataset yolo"
    ):
        own(ultralytics)
    assert len(own(ultralytics, "yolo")["train"]) == 2


def test_a_format_that_is_named_and_not_there_is_told_with_what_it_is_known_by(tmp_path):
    with pytest.raises(DataError, match=r"found no YOLO polygons in '.*': expected a YAML file with 'names'"):
        own(tmp_path, "yolo")
