"""labelme's files are read as it writes them: a JSON file beside each image, with shapes, labels and groups."""

import base64
import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings, load_dataset
from thinkseg.data.listing import FaultKind
from thinkseg.errors import DataError

SIZE = (40, 20)
SQUARE = [[10, 5], [29, 5], [29, 9], [10, 9]]
"""With its outline, as labelme draws it: columns 10 to 29, rows 5 to 9."""


def shape(label, points=SQUARE, kind="polygon", **more):
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **more,
    }


def write(root, name, shapes, image_path=None, **more):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    if not (root / f"{name}.jpg").exists() and image_path is None:
        Image.new("RGB", SIZE).save(root / f"{name}.jpg")
    content = {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path or f"{name.rpartition('/')[2]}.jpg",
        "imageData": None,
        "imageHeight": SIZE[1],
        "imageWidth": SIZE[0],
    }
    (root / f"{name}.json").write_text(json.dumps(content | more))


def own(root, name="", **how):
    ((_, listings),) = find_listings(OwnData(root, dataset=name, **how))
    return listings["all"]


def test_labels_are_classes_and_polygons_are_drawn_as_labelme_draws_them(tmp_path):
    write(tmp_path, "a", [shape("crack"), shape("rust", [[0, 0], [3, 0], [3, 1], [0, 1]])])
    crack, rust = own(tmp_path)
    assert (crack.id, crack.query, rust.query) == ("a-crack", "the crack", "the rust")
    expected = np.zeros((20, 40), bool)
    expected[5:10, 10:30] = True
    assert np.array_equal(crack.target, expected)
    assert rust.target.sum() == 4 * 2


def test_corners_between_pixels_are_drawn_by_pil_with_the_outline(tmp_path):
    points = [[3.4, 2.6], [30.2, 8.8], [12.7, 17.1]]
    write(tmp_path, "a", [shape("crack", points)])
    drawn = Image.new("1", SIZE)
    ImageDraw.Draw(drawn).polygon([tuple(point) for point in points], outline=1, fill=1)
    assert np.array_equal(own(tmp_path)[0].target, np.asarray(drawn))


def test_files_whose_ending_is_in_capitals_are_read(tmp_path):
    write(tmp_path, "a", [shape("crack")], image_path="gone.jpg")
    Image.new("RGB", SIZE).save(tmp_path / "a.JPG", "jpeg")
    (tmp_path / "a.json").rename(tmp_path / "a.JSON")
    for root in (tmp_path, tmp_path / "a.JSON"):
        (sample,) = own(root)
        assert (sample.id, sample.image.name, sample.target.sum()) == ("a-crack", "a.JPG", 100)


def test_labels_that_differ_in_capitals_are_asked_for_alone_and_named(tmp_path, caplog):
    write(tmp_path, "a", [shape("crack"), shape("Crack"), shape("rust")])
    assert [sample.query for sample in own(tmp_path)] == ["the crack", "the Crack", "the rust"]
    (said,) = caplog.messages
    assert "alone: 'crack' and 'Crack'; each is asked for alone" in said


def test_shapes_of_one_label_and_group_are_one_object(tmp_path):
    other = [[0, 0], [1, 0], [1, 1], [0, 1]]
    write(tmp_path, "a", [shape("crack", group_id=4), shape("crack", other, group_id=4), shape("crack", other)])
    (sample,) = own(tmp_path)
    assert sample.instances.sum(axis=(1, 2)).tolist() == [104, 4]
    assert sample.target.sum() == 104


def test_a_circle_and_a_mask_have_masks_too(tmp_path):
    patch = np.zeros((4, 6), np.uint8)
    patch[1:3, 1:5] = 1
    file = BytesIO()
    Image.fromarray(patch).save(file, "PNG")
    drawn = base64.b64encode(file.getvalue()).decode()
    write(tmp_path, "a", [shape("hole", [[20, 10], [20, 15]], "circle")])
    write(tmp_path, "b", [shape("hole", [[8, 2], [13, 5]], "mask", mask=drawn)])
    circle, mask = own(tmp_path)
    rows, columns = np.mgrid[:20, :40]
    assert np.abs(circle.target.sum() - np.pi * 5.5**2) < 12
    assert not (circle.target & (np.hypot(columns - 20, rows - 10) > 6)).any()
    assert np.argwhere(mask.target).min(axis=0).tolist() == [3, 9]
    assert mask.target.sum() == 8


def test_a_rectangle_a_line_and_a_point_have_none_and_are_said(tmp_path):
    write(tmp_path, "a", [shape("crack"), shape("crack", [[0, 0], [5, 5]], "rectangle"), shape("rust")])
    write(tmp_path, "b", [shape("rust", [[0, 0], [5, 5]], "line"), shape("rust", [[3, 3]], "point")])
    listing = own(tmp_path)
    assert [sample.id for sample in listing] == ["a-rust"]
    assert [fault.where.rpartition("/")[2] for fault in listing.faults] == ["a.json: crack", "b.json: rust"]
    write(tmp_path, "a", [shape("crack", [[0, 0], [5, 5]], "rectangle")])
    with pytest.raises(DataError, match="with boxes, points or lines alone"):
        own(tmp_path)


def test_background_is_no_class_and_ignored_pixels_count_neither_way(tmp_path):
    write(
        tmp_path, "a", [shape("_background_"), shape("crack"), shape("__ignore__", [[0, 0], [14, 0], [14, 9], [0, 9]])]
    )
    (sample,) = own(tmp_path)
    assert sample.ignore.sum() == 15 * 10 - 5 * 5
    assert not (sample.ignore & sample.target).any()


def test_images_are_found_where_the_files_say_below_the_folder_or_beside_them(tmp_path):
    for place in ("shots/a.jpg", "labels/b.png", "far/c.jpg"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.new("RGB", SIZE).save(tmp_path / place)
    write(tmp_path / "labels", "a", [shape("crack")], "..\\shots\\a.jpg")
    write(tmp_path / "labels", "b", [shape("crack")], "C:\\work\\b_old.jpg")
    write(tmp_path / "labels", "c", [shape("crack")], "../../elsewhere/c.jpg")
    listing = own(tmp_path)
    assert [sample.image.relative_to(tmp_path).as_posix() for sample in listing] == ["shots/a.jpg", "labels/b.png"]
    assert [fault.kind for fault in listing.faults] == [FaultKind.MISSING_IMAGE]
    assert len(own(tmp_path, images="far")) == 3


def test_a_file_that_names_itself_as_older_ones_do_is_about_the_image_of_its_name(tmp_path):
    Image.new("RGB", SIZE).save(tmp_path / "a.jpg")
    write(tmp_path, "a", [shape("crack")], "a.json")
    assert own(tmp_path)[0].image == tmp_path / "a.jpg"


def test_an_image_whose_ending_is_in_capitals_is_the_one_of_its_name(tmp_path):
    write(tmp_path, "a", [shape("crack")], image_path="..\\images\\a.jpg")
    Image.new("RGB", SIZE).save(tmp_path / "a.JPG")
    (sample,) = own(tmp_path)
    assert sample.image.name == "a.JPG"


def test_a_name_longer_than_any_file_is_a_missing_image(tmp_path):
    write(tmp_path, "a", [shape("crack")], "a" * 5000 + ".png")
    write(tmp_path, "b", [shape("crack")])
    listing = own(tmp_path)
    assert [fault.kind for fault in listing.faults] == [FaultKind.MISSING_IMAGE]


def test_nothing_outside_the_folder_is_read(tmp_path):
    Image.new("RGB", SIZE).save(tmp_path / "secret.jpg")
    write(tmp_path / "data", "a", [shape("crack")], str(tmp_path / "secret.jpg"))
    assert len(own(tmp_path / "data")) == 0


def test_files_of_other_tools_and_of_reasonseg_are_not_taken_for_labelmes(tmp_path):
    (tmp_path / "a.json").write_text('{"text": ["what is it?"], "shapes": [], "imagePath": "a.jpg"}')
    (tmp_path / "b.json").write_text("[1]")
    with pytest.raises(DataError, match="found nothing below"):
        own(tmp_path)
    write(tmp_path, "c", [shape("crack")])
    assert len(own(tmp_path)) == 1


def test_an_image_of_another_size_than_the_file_says_is_refused(tmp_path):
    write(tmp_path, "a", [shape("crack")], imageWidth=80)
    with pytest.raises(DataError, match=r"a.json is 80×20 \(width×height\), its image 40×20"):
        own(tmp_path)[0]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (shape("crack", [[1, 1], [2, 2]]), "shape 0 in '.*a.json' cannot be drawn: a polygon has 3 corners or more"),
        (shape("crack", [[1, 1], [2, "x"], [3, 3]]), "its points should be pairs of finite numbers"),
        (shape("crack", kind="cloud"), "expected a 'shape_type' of polygon, .*, found 'cloud'"),
        (shape(None), "'label' of it should be text"),
        ("crack", "it should be a JSON object"),
    ],
)
def test_a_shape_that_cannot_be_drawn_is_told_with_its_file(tmp_path, wrong, told):
    write(tmp_path, "a", [wrong])
    write(tmp_path, "b", [shape("crack")])
    listing = own(tmp_path)
    assert [sample.id for sample in listing] == ["b-crack"]
    with pytest.raises(DataError, match=told):
        raise DataError(listing.faults[0].detail)


def test_the_format_is_named_by_hand_in_a_recipe_as_well(tmp_path):
    write(tmp_path, "a", [shape("crack")])
    assert load_dataset("labelme", "train", tmp_path)[0].query == "the crack"
    assert load_dataset("labelme", "train", tmp_path, query="a {} in the wall")[0].query == "a crack in the wall"
