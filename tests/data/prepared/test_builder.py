"""A row says of an object what its mask says: box, middle of the circle, Seg-Zero's second point, in its own frame."""

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.prepared.builder import BuilderOptions, SampleRejected, build_reference, reached_iou, row_from_sample
from thinkseg.data.prepared.codec import original_size, sample_from_row
from thinkseg.errors import DataError
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Sample, Size

IMAGE = Image.new("RGB", (60, 40), (90, 120, 150))


def square(x_min, y_min, x_max, y_max):
    mask = np.zeros((40, 60), dtype=bool)
    mask[y_min : y_max + 1, x_min : x_max + 1] = True
    return mask


LEFT, RIGHT = square(0, 10, 10, 30), square(30, 5, 54, 29)
BOTH = Sample("two", IMAGE, "the boxes", LEFT | RIGHT, instances=np.stack([LEFT, RIGHT]))
ONE = Sample("one", IMAGE, "the left box", LEFT)
NONE = Sample("none", IMAGE, "the cow", np.zeros((40, 60), dtype=bool))
UNKNOWN = Sample("unknown", IMAGE, "the cow")


def perfect(image, answer):
    """Fills the boxes."""
    return np.stack([square(*map(int, prompt.box.xyxy)) for prompt in answer.rescaled(Size(*image.size)).objects])


def row(sample, schema="vision-reasoner", **settings):
    return row_from_sample(sample, BuilderOptions(schema=schema, **settings))


def test_an_object_that_the_border_cuts_off_has_its_point_in_its_own_middle():
    """Defect 20: the distance transform without a border puts the centre into the corner."""
    prompt = build_reference(ONE, 2, inclusive=True).objects[0]
    assert prompt.box.xyxy == (0, 10, 10, 30)
    assert prompt.points[0] == Point(5, 15)
    assert prompt.points[1].y > 20  # in the other part of it
    assert build_reference(ONE, 2, inclusive=True).frame == Size(60, 40)


def test_an_object_that_the_border_cuts_off_has_its_published_points_at_the_border():
    ours, published = row(ONE, "seg-zero", resize=120), row(ONE, "seg-zero", resize=120, published_points=True)
    first = published["solution"].split("<points>")[1].split(",(")[0]
    assert first.startswith("(0,")
    assert not ours["solution"].split("<points>")[1].startswith("(0,")
    assert ours["solution"].split("<points>")[0] == published["solution"].split("<points>")[0]


def test_a_published_row_is_measured_in_its_stretched_image_and_keeps_the_other_size():
    made = row(ONE, "seg-zero", resize=120)
    assert list(made) == ["id", "problem", "solution", "image", "img_height", "img_width"]
    assert made["solution"].startswith("<box>(0,30),(20,90)</box><points>(10,45),")
    assert (made["img_width"], made["img_height"]) == (60, 40)
    sample = sample_from_row(made)
    assert sample.image.size == (120, 120)
    assert sample.reference.frame == Size(120, 120)
    assert original_size(made) == Size(60, 40)


def test_published_rows_are_840_pixels_square_if_nothing_else_is_said():
    assert sample_from_row(row(ONE)).image.size == (840, 840)
    assert sample_from_row(row_from_sample(ONE)).image.size == (60, 40)


def test_every_object_has_its_own_box_and_point():
    assert row(BOTH, resize=120)["solution"] == (
        '[{"bbox_2d": [0, 30, 20, 90], "point_2d": [10, 45]}, {"bbox_2d": [60, 15, 108, 87], "point_2d": [84, 51]}]'
    )


def test_nothing_there_is_an_empty_list():
    assert row(NONE)["solution"] == "[]"


@pytest.mark.parametrize(("sample", "schema", "why"), [
    (BOTH, "seg-zero", "several-objects"), (NONE, "seg-zero", "nothing-there"),
    (UNKNOWN, "seg-zero", "no-truth"), (UNKNOWN, "vision-reasoner", "no-truth"),
])  # fmt: skip
def test_a_sample_that_a_schema_cannot_hold_is_left_out(sample, schema, why):
    with pytest.raises(SampleRejected, match=why):
        row(sample, schema)


def test_rows_of_thinksegs_own_keep_masks_and_as_many_points_as_asked_for():
    assert sample_from_row(row(BOTH, "thinkseg")).reference is None
    made = row(BOTH, "thinkseg", points=2, resize=80)
    sample = sample_from_row(made)
    assert original_size(made) == Size(60, 40)
    assert sample.instances.shape == (2, 80, 80)
    assert [len(prompt.points) for prompt in sample.reference.objects] == [2, 2]
    assert sample.reference.frame == Size(80, 80)
    first = sample.reference.objects[0]
    assert sample.instances[0][int(first.points[0].y), int(first.points[0].x)]


def test_an_answer_of_the_samples_own_is_kept_if_it_has_points_enough():
    own = Answer(Size(600, 400), (ObjectPrompt(Box(0, 100, 100, 300), (Point(50, 150),)),), "It is on the left.")
    sample = Sample("own", IMAGE, "x", LEFT, reference=own)
    assert build_reference(sample, 1) is own
    assert len(build_reference(sample, 2).objects[0].points) == 2
    assert sample_from_row(row(sample, "thinkseg")).reference == own.rescaled(Size(60, 40))


def test_an_object_is_kept_if_a_segmenter_that_is_told_box_and_point_1_reaches_it():
    told = []

    def half(image, answer):
        told.extend(answer.objects)
        return perfect(image, answer) & square(0, 0, 40, 39)

    assert reached_iou(BOTH, IMAGE, perfect) == 1
    assert reached_iou(BOTH, IMAGE, half) == pytest.approx(11 / 25)  # the worse of the two
    assert [(prompt.box is not None, len(prompt.points)) for prompt in told] == [(True, 1), (True, 1)]
    with pytest.raises(SampleRejected, match=r"below-iou: 0\.440"):
        row_from_sample(BOTH, BuilderOptions(keep_iou=0.6), segment=half)
    assert row_from_sample(BOTH, BuilderOptions(keep_iou=0.44), segment=half)["id"] == "two"
    assert row_from_sample(ONE, BuilderOptions(keep_iou=0.6), segment=half)["id"] == "one"
    assert row_from_sample(NONE, BuilderOptions(keep_iou=0.6), segment=half)["id"] == "none"
    with pytest.raises(SampleRejected, match="no-mask"):
        row_from_sample(UNKNOWN, BuilderOptions(keep_iou=0.6), segment=half)


def test_a_union_is_compared_as_a_whole_where_objects_are_not_told_apart():
    answer = build_reference(BOTH, 1, inclusive=True)
    union = Sample("union", IMAGE, "x", LEFT | RIGHT, reference=answer)
    assert reached_iou(union, IMAGE, perfect) == 1


def test_a_mask_of_another_size_is_told():
    for sample in (
        Sample("bad", IMAGE, "x", LEFT.T.copy()),
        Sample("bad", IMAGE, "x", instances=LEFT.T[None]),
    ):
        with pytest.raises(DataError, match=r"a mask of sample 'bad' is 60×40 \(height×width\)"):
            row(sample)


def test_the_published_schemas_are_inclusive_and_rows_of_our_own_have_edges():
    """The box of ten columns is written 9 wide by the published schemas, also where the sample's own box has edges."""
    edges = build_reference(ONE, 1)
    assert edges.objects[0].box.xyxy == (0, 10, 11, 31)
    own = Sample("own", IMAGE, "the left box", LEFT, reference=edges)
    for sample in (ONE, own):
        assert row(sample, "seg-zero", resize=120)["solution"].startswith("<box>(0,30),(20,90)</box>")
    assert sample_from_row(row_from_sample(own)).reference == edges
