"""ReasonSeg is drawn by its authors' rule, and its regions to be ignored stay what they are."""

import base64
import io
import json

import numpy as np
import PIL.Image
import pytest

from thinkseg.data.listing import FaultKind
from thinkseg.data.readers.reasonseg import draw_shapes, list_reasonseg, read_annotation
from thinkseg.errors import DataError
from thinkseg.testing.data_sets import scene_samples, write_reasonseg
from thinkseg.types import Size


def square(label, low, high):
    return {"label": label, "points": [[low, low], [high, low], [high, high], [low, high]]}


@pytest.fixture
def folder(tmp_path):
    """The folder of the split "val", with two images."""
    write_reasonseg(tmp_path)
    return tmp_path / "ReasonSeg" / "val"


def test_the_benchmark_asks_one_question_an_image_and_training_may_ask_all(folder):
    """Defect 5: a "test set" that was sampled at random with replacement."""
    listing = list_reasonseg(folder)
    assert [(sample.id, sample.query) for sample in listing] == [
        ("0_a.b-0", "What stands out on image 0?"),
        ("1_a.b-0", "What stands out on image 1?"),
    ]
    every = list_reasonseg(folder, every_text=True)
    assert [sample.query for sample in every][1::2] == ["Which thing is naïve № 0?", "Which thing is naïve № 1?"]
    assert len({sample.id for sample in every}) == 4
    assert listing.image_count == every.image_count == 2


def test_target_and_ignore_are_kept_apart(folder):
    sample = list_reasonseg(folder)[0]
    truth = scene_samples()[2].target
    assert (sample.target & truth).sum() / (sample.target | truth).sum() > 0.8
    assert sample.ignore[:6, :6].all()
    assert sample.ignore.sum() == 36
    assert not (sample.target & sample.ignore).any()


def test_smaller_shapes_lie_on_larger_ones_whatever_their_order():
    for shapes in (
        [square("target", 0, 20), square("ignore", 5, 9)],
        [square("ignore", 5, 9), square("target", 0, 20)],
    ):
        target, ignore = draw_shapes(shapes, Size(32, 24), "x.json")
        assert ignore.sum() == 25
        assert target.sum() == 21 * 21 - 25
    target, ignore = draw_shapes([square("target", 5, 9), square("Ignore_2", 0, 20)], Size(32, 24), "x.json")
    assert target.sum() == 25
    assert ignore.sum() == 21 * 21 - 25


def test_a_flag_is_no_shape_and_an_outline_belongs_to_its_shape():
    target, ignore = draw_shapes([square("flag", 0, 20)], Size(32, 24), "x.json")
    assert not target.any()
    assert not ignore.any()
    line, _ = draw_shapes([{"label": "target", "points": [[3, 4], [8, 4]]}], Size(32, 24), "x.json")
    assert line.sum() == 6


def test_annotations_of_both_encodings_are_read(folder):
    content = {"text": "the café", "is_sentence": False, "shapes": []}
    text = json.dumps(content, ensure_ascii=False)
    (folder / "0_a.b.json").write_bytes(text.encode("cp1252"))
    (folder / "1_a.b.json").write_bytes(text.encode("utf-8-sig"))
    assert [sample.query for sample in list_reasonseg(folder)] == ["the café"] * 2


def test_what_is_not_whole_is_named(folder):
    (folder / "0_a.b.json").unlink()
    (folder / "1_a.b.json").write_text('{"text": ["  "], "shapes": []}')
    (folder / "lonely.json").write_text("{}")
    (folder / "2.JPG").write_bytes((folder / "0_a.b.jpg").read_bytes())
    (folder / "2.json").write_text("{")
    listing = list_reasonseg(folder)
    assert len(listing) == 0
    assert [(fault.kind, fault.where.rpartition("/")[2]) for fault in listing.faults] == [
        (FaultKind.MISSING_MASK, "0_a.b.jpg"),
        (FaultKind.BAD_RECORD, "1_a.b.json"),
        (FaultKind.BAD_RECORD, "2.json"),
        (FaultKind.MISSING_IMAGE, "lonely.json"),
    ]
    with pytest.raises(DataError, match="expected a folder"):
        list_reasonseg(folder / "gone")


def drawn(kind, points, **more):
    return draw_shapes([{"label": "x", "shape_type": kind, "points": points, **more}], Size(100, 80), "x.json")[0]


def distances(x, y):
    """Of the pixels of an image of 100×80 from a place."""
    rows, columns = np.mgrid[:80, :100]
    return np.hypot(columns - x, rows - y)


@pytest.mark.parametrize("points", [[[10, 20], [60, 60]], [[60, 60], [10, 20]], [[60, 20], [10, 60]]])
def test_a_rectangle_of_labelme_is_filled_from_any_two_opposite_corners(points):
    mask = drawn("rectangle", points)
    assert mask.sum() == 51 * 41
    assert mask[20:61, 10:61].all()


@pytest.mark.parametrize(("kind", "points", "radius"), [("circle", [[50, 40], [50, 60]], 20), ("point", [[50, 40]], 5)])
def test_a_circle_has_a_centre_and_a_point_on_it_and_a_point_a_radius_of_five(kind, points, radius):
    mask, away = drawn(kind, points), distances(50, 40)
    assert mask[away <= radius - 1].all()
    assert not mask[away > radius + 1].any()


def test_lines_are_as_wide_as_those_of_labelme():
    mask = drawn("line", [[20, 40], [80, 40]])
    assert (mask[:, 50].sum(), mask[:, 10].sum()) == (10, 0)
    bent = drawn("linestrip", [[20, 20], [80, 20], [80, 70]])
    assert bent[:, 50].sum() == 10
    assert bent[50].sum() == 10


def stamp(mask):
    stream = io.BytesIO()
    PIL.Image.fromarray(mask.astype(np.uint8)).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize(("left", "top"), [(30, 20), (-2, -3), (95, 76)])
def test_a_mask_of_labelme_lies_where_its_points_say(left, top):
    mask = np.zeros((7, 9), dtype=bool)
    mask[1:6, 2:8] = True
    around = np.zeros((120, 140), dtype=bool)
    around[top + 20 : top + 27, left + 20 : left + 29] = mask
    assert np.array_equal(drawn("mask", [[left, top], [left + 8, top + 6]], mask=stamp(mask)), around[20:100, 20:120])


def test_a_shape_without_a_kind_is_a_polygon():
    corners = [[10, 20], [60, 20], [60, 60], [10, 60]]
    for kind in (None, "", "polygon"):
        assert drawn(kind, corners).sum() == 51 * 41


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (
            {"shape_type": "rotation", "points": [[1, 2], [3, 4]]},
            "'shape_type' of polygon, rectangle.*found 'rotation'",
        ),
        ({"shape_type": ["circle"], "points": [[1, 2], [3, 4]]}, "found .'circle'."),
        ({"shape_type": "rectangle", "points": [[1, 2], [3, 2], [3, 4], [1, 4]]}, "a rectangle has 2, found 4 points"),
        ({"shape_type": "linestrip", "points": [[1, 2]]}, "a linestrip has 2 points or more, found 1 points"),
        ({"shape_type": "mask", "points": [[1, 2], [3, 4]]}, "PNG in base64"),
        ({"shape_type": "mask", "points": [[1, 2], [3, 4]], "mask": "?"}, "no base64"),
        ({"shape_type": "mask", "points": [[1, 2], [3, 4]], "mask": "QUJD"}, "not an image"),
        ({"shape_type": "mask", "points": [[0, 0], [3, 4]], "mask": stamp(np.eye(2))}, r"is \(2, 2\), its points span"),
        ({"points": [[1, float("nan")]]}, "finite"),
        ({"points": "abc"}, "pairs of finite numbers, found 'abc'"),
        ({"points": [1, 2, 3, 4]}, "pairs of finite numbers"),
        ({}, "lacks 'points'"),
        ({"points": [[1], [2, 3]]}, "pairs of finite numbers"),
        ({"points": []}, "finite"),
    ],
)
def test_a_shape_that_cannot_be_drawn_is_named(shape, said):
    with pytest.raises(DataError, match=f"shape 1 in 'x.json' cannot be drawn.*{said}"):
        draw_shapes([square("a", 1, 2), {"label": "x", **shape}], Size(9, 9), "x.json")
    with pytest.raises(DataError, match=r"shape 0 in 'x\.json' cannot be drawn"):
        draw_shapes(["circle"], Size(9, 9), "x.json")


@pytest.mark.parametrize(
    ("words", "encoding"), [("哪一个是杯子", "gbk"), ("Który kubek jest żółty", "cp1250"), ("カップ", "cp932")]
)
def test_a_file_whose_encoding_is_not_plain_is_a_fault_until_it_is_named(folder, words, encoding):
    raw = json.dumps({"text": words, "shapes": []}, ensure_ascii=False).encode(encoding)
    (folder / "0_a.b.json").write_bytes(raw)
    (fault,) = list_reasonseg(folder).faults
    assert (fault.kind, fault.where) == (FaultKind.BAD_RECORD, str(folder / "0_a.b.json"))
    assert "--encoding" in fault.detail
    assert read_annotation(folder / "0_a.b.json", encoding)["text"] == [words]


@pytest.mark.parametrize("text", [[3], [["a"]], ["half \ud83d"], {"a": 1}])
def test_questions_that_are_no_text_are_told(folder, text):
    (folder / "0_a.b.json").write_text(json.dumps({"text": text, "shapes": []}))
    (fault,) = list_reasonseg(folder).faults
    assert "'text'" in fault.detail


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (None, "should be a JSON object, found nothing"),
        ([], "should be a JSON object, found \\[\\]"),
        ("cup", "should be a JSON object, found 'cup'"),
        ({"label": None, "points": [[1, 1]]}, "'label' of it should be text, found nothing"),
        ({"label": "cup"}, "it lacks 'points'"),
        ({"label": "cup", "points": [[10**400, 1], [2, 3], [4, 5]]}, "pairs of finite numbers"),
        ({"label": "cup", "points": [[True, 1], [2, 3], [4, 5]]}, "pairs of finite numbers"),
    ],
)
def test_a_shape_of_another_kind_is_told_in_words_about_the_file(shape, said):
    with pytest.raises(DataError, match=f"shape 0 in 'a.json' cannot be drawn: .*{said}"):
        draw_shapes([shape], Size(9, 9), "a.json")


def test_a_circle_as_large_as_it_may_be_is_drawn_without_a_walk_along_its_rim():
    """PIL takes minutes for a rim of a million pixels; the right half of this image lies in the circle."""
    circle = {"label": "cup", "shape_type": "circle", "points": [[500_020, 20], [20, 20]]}
    target, _ = draw_shapes([circle], Size(40, 40), "a.json")
    expected = np.hypot(np.arange(40)[None] - 500_020, np.arange(40)[:, None] - 20) <= 500_000
    assert (target == expected).all()
    assert target[20].sum() == 20


@pytest.mark.parametrize("content", [b"[]", b"5", b"null", b'"text"'])
def test_json_that_is_no_object_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json' should be a JSON object, found"):
        read_annotation(tmp_path / "a.json")
