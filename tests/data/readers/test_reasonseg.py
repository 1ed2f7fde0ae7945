"""ReasonSeg is drawn by its authors' rule, and its regions to be ignored stay what they are."""

import json

import pytest

from thinkseg.data.listing import FaultKind
from thinkseg.data.readers.reasonseg import draw_shapes, list_reasonseg
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


@pytest.mark.parametrize(
    "shape", [{"label": "a"}, {"label": "a", "points": []}, {"label": "a", "points": [[1], [2, 3]]}]
)
def test_a_shape_that_cannot_be_drawn_is_named(shape):
    with pytest.raises(DataError, match=r"shape 0 in 'x\.json' cannot be drawn"):
        draw_shapes([shape], Size(8, 8), "x.json")


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
