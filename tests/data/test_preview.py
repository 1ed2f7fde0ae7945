"""A sheet shows every sample with its masks, its request, and the box and point that its masks imply."""

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.preview import sample_cell, sample_sheet
from thinkseg.drawing import overlay
from thinkseg.errors import ImageError
from thinkseg.geometry import reference_answer
from thinkseg.testing.data_sets import scene_samples
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Sample, Size

GREY = Image.new("RGB", (64, 48), (120, 120, 120))
MASK = np.zeros((48, 64), dtype=bool)
MASK[10:30, 20:50] = True


def pixels(sample):
    return np.asarray(sample_cell(sample)[0]).astype(int)


def test_the_mask_and_its_box_and_point_are_drawn():
    drawn = pixels(Sample("a", GREY, "x", MASK))
    changed = (drawn != 120).any(axis=-1)
    assert changed[MASK].all()
    assert not changed[40:, :15].any()
    red = (drawn[..., 0] > 230) & (drawn[..., 1] < 110)
    assert red[9:12, 30:40].any()
    assert red[17:22, 27:32].any()


def test_a_reference_answer_is_drawn_in_place_of_the_implied_one():
    answer = Answer(Size(128, 96), (ObjectPrompt(Box(4, 4, 20, 20)),))
    drawn = pixels(Sample("a", GREY, "x", MASK, reference=answer))
    assert (drawn[2:10, 2:10] != 120).any()


def test_what_is_ignored_is_grey():
    red = Image.new("RGB", (64, 48), (200, 0, 0))
    ignore = np.zeros_like(MASK)
    ignore[40:, :10] = True
    drawn = pixels(Sample("a", red, "x", MASK, ignore))
    assert np.ptp(drawn[45, 4]) == 0
    assert drawn[45, 60].tolist() == [200, 0, 0]


def test_the_caption_has_the_request_and_says_what_is_not_there():
    assert sample_cell(Sample("id 7", GREY, "the cow", MASK))[1] == "the cow\nid 7"
    assert "(nothing there)" in sample_cell(Sample("a", GREY, "x", np.zeros_like(MASK)))[1]
    assert "(the truth is not known)" in sample_cell(Sample("a", GREY, "x"))[1]


def test_several_objects_are_drawn_one_by_one():
    other = np.zeros_like(MASK)
    other[35:45, 2:12] = True
    drawn = pixels(Sample("a", GREY, "x", MASK | other, instances=np.stack([MASK, other])))
    blue = (drawn[..., 2] > 180) & (drawn[..., 0] < 120)
    assert blue[34:46, 1:13].any()


def test_a_sheet_has_a_cell_for_every_sample_and_stays_small():
    sheet = sample_sheet(scene_samples(), columns=3, cell_width=100)
    assert sheet.width == 3 * 100 + 4 * 12
    large = Sample("a", Image.new("RGB", (2000, 1000)), "x", np.ones((1000, 2000), dtype=bool))
    assert max(sample_cell(large)[0].size) == 900


def test_a_mask_of_another_size_is_told():
    with pytest.raises(ImageError, match=r"sample 'a' should be 48×64 \(height×width\), found 64×48"):
        sample_cell(Sample("a", GREY, "x", MASK.T.copy()))


DISC = np.hypot(*np.mgrid[-24:24, -32:32]) <= 12


def test_a_circle_reaches_from_its_point_to_the_rim_of_the_object():
    drawn = pixels(Sample("a", GREY, "x", DISC))
    bare = np.asarray(overlay(GREY, DISC, reference_answer(DISC))).astype(int)
    changed = (drawn != bare).any(axis=-1)
    distances = np.hypot(*np.mgrid[-24:24, -32:32])[changed]
    assert changed.any()
    assert distances.min() > 8
    assert distances.max() < 15


def test_an_answer_in_the_wrong_frame_is_seen_at_once():
    """Coordinates of 128×96 pixels that are called coordinates of 64×48 lie somewhere else, and off the object."""
    right = reference_answer(DISC, points=2)
    wrong = Answer(right.frame, tuple(
        ObjectPrompt(
            Box(*(min(value / 2, 47) for value in prompt.box.xyxy)),
            tuple(Point(point.x / 2, point.y / 2) for point in prompt.points),
        )
        for prompt in right.objects
    ))  # fmt: skip
    _, caption = sample_cell(Sample("a", GREY, "x", DISC, reference=right))
    assert "box IoU with the mask 1.00, 2 of 2 points on it" in caption
    drawn, caption = sample_cell(Sample("a", GREY, "x", DISC, reference=wrong))
    assert "box IoU with the mask 0.03, 0 of 2 points on it" in caption
    assert (np.asarray(drawn).max(axis=-1) < 40).any()  # a black cross in place of the circle


def test_an_answer_in_a_frame_of_its_own_is_drawn_where_it_belongs_and_the_frames_are_told():
    larger = reference_answer(DISC).rescaled(Size(640, 96))
    drawn, caption = sample_cell(Sample("a", GREY, "x", DISC, reference=larger), Size(320, 240))
    assert caption == (
        "x\nbox IoU with the mask 1.00, 1 of 1 points on it\nimage 64x48, answer in 640x96, was 320x240\na"
    )
    assert np.array_equal(np.asarray(drawn), pixels(Sample("a", GREY, "x", DISC)))
