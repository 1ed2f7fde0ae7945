"""Soft parts: lines in place of thresholds, 1 where answer and truth agree, one half where the threshold is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkseg.answers import VisionReasoner
from thinkseg.geometry import box_iou_inclusive
from thinkseg.rewards import PARTS, RewardInput, Truth
from thinkseg.rewards.batch import RewardBatch
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

FRAME = Size(840, 840)
SOFT = {"soft_box_iou": 1.0, "soft_box_l1": 1.0, "soft_points": 1.0, "soft_point": 1.0, "soft_accuracy": 3.0}
BOX = Box(100.0, 100.0, 300.0, 300.0)
TRUE = ObjectPrompt(BOX, (Point(200.0, 200.0), Point(150.0, 150.0)))

place = st.floats(0, 840, allow_nan=False)
prompts = st.tuples(st.tuples(place, place, place, place), st.tuples(place, place), st.tuples(place, place))


def prompt_of(drawn):
    (x, y, other_x, other_y), one, two = drawn
    box = Box(min(x, other_x), min(y, other_y), max(x, other_x), max(y, other_y))
    return ObjectPrompt(box, (Point(*one), Point(*two)))


def inside(box, across, down):
    """A point of the box; 0…1 of its width and height from its corner."""
    x = box.x_min + across * (box.x_max - box.x_min)
    return Point(min(x, box.x_max), min(box.y_min + down * (box.y_max - box.y_min), box.y_max))


def score(part, predicted, true, frame=FRAME):
    """A part of predicted and true objects, one each or several."""
    sides = [Answer(frame, side if isinstance(side, tuple) else (side,)) for side in (predicted, true)]
    (value,) = PARTS[part]([RewardInput("", VisionReasoner(), frame, Truth(objects=sides[1]), sides[0])])
    return value


def moved(prompt, box_by=(0.0, 0.0, 0.0, 0.0), point_by=(0.0, 0.0)):
    box = Box(*(value + by for value, by in zip(prompt.box.xyxy, box_by, strict=True)))
    return ObjectPrompt(box, tuple(Point(point.x + point_by[0], point.y + point_by[1]) for point in prompt.points))


@given(st.lists(prompts, min_size=1, max_size=3), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_the_truth_itself_earns_all(drawn, across, down):
    boxes = [prompt_of(prompt).box for prompt in drawn]
    objects = tuple(ObjectPrompt(box, (inside(box, across, down), Point(box.x_min, box.y_max))) for box in boxes)
    for part, full in SOFT.items():
        assert score(part, objects, objects) == pytest.approx(full)


@pytest.mark.parametrize("part", ["soft_points", "soft_point", "soft_accuracy"])
def test_points_outside_their_box_cost_even_where_they_are_right(part):
    outside = ObjectPrompt(BOX, (Point(330.0, 340.0), Point(200.0, 200.0)))
    assert score(part, outside, outside) < SOFT[part]


@given(prompts, prompts)
@settings(max_examples=40, deadline=None)
def test_every_score_lies_between_nothing_and_all_and_passes_one_half_where_the_threshold_is(mine, true):
    predicted, target = prompt_of(mine), prompt_of(true)
    scores = {part: score(part, predicted, target) for part in SOFT}
    assert all(0 <= scores[part] <= full for part, full in SOFT.items())
    sums = [scores[part] for part in ("soft_box_iou", "soft_box_l1", "soft_point")]
    assert scores["soft_accuracy"] == pytest.approx(sum(sums))
    for part in ("box_iou", "box_l1"):
        soft = scores[f"soft_{part}"]
        assert abs(soft - 0.5) < 1e-9 or score(part, predicted, target) == float(soft > 0.5)


@given(st.floats(-100, 100), st.floats(-100, 100))
@settings(max_examples=40, deadline=None)
def test_the_lines_of_points_in_their_box_pass_one_half_where_the_thresholds_are(x, y):
    wide = ObjectPrompt(Box(0.0, 0.0, 840.0, 840.0), TRUE.points)
    predicted = moved(wide, point_by=(x, y))
    for part in ("point", "points"):
        soft = score(f"soft_{part}", predicted, wide)
        assert abs(soft - 0.5) < 1e-9 or score(part, predicted, wide) == float(soft > 0.5)


def test_the_formulas_are_those_of_the_documentation():
    wider = moved(TRUE, box_by=(0.0, 0.0, 24.0, 0.0))
    assert score("soft_box_l1", wider, TRUE) == pytest.approx(1 - 6 / 20)
    assert score("soft_box_iou", wider, TRUE) == pytest.approx(box_iou_inclusive(wider.box, BOX))
    aside = moved(TRUE, point_by=(30.0, 40.0))
    assert score("soft_points", aside, TRUE) == pytest.approx(1 - 50 / 200)
    assert score("soft_point", aside, TRUE) == pytest.approx(1 - 50 / 60)
    outside = moved(TRUE, point_by=(112.0, 0.0))
    assert score("soft_points", outside, TRUE) == pytest.approx(1 - (112 + (12 + 0) / 2) / 200)
    assert score("soft_point", moved(TRUE, box_by=(0.0, 0.0, -105.0, 0.0)), TRUE) == pytest.approx(1 - 5 / 60)
    sums = [score(part, aside, TRUE) for part in ("soft_box_iou", "soft_box_l1", "soft_point")]
    assert score("soft_accuracy", aside, TRUE) == pytest.approx(sum(sums))


BOXES, POINTS = {"soft_box_iou", "soft_box_l1", "soft_accuracy"}, {"soft_points", "soft_point", "soft_accuracy"}
WAYS = {
    "the box moves": (BOXES | POINTS, lambda t: moved(TRUE, (t, 0.0, t, 0.0))),
    "the box grows": (BOXES, lambda t: moved(TRUE, (0.0, 0.0, t, t))),
    "the points leave the box": (POINTS, lambda t: moved(TRUE, point_by=(t, 0.0))),
    "the points leave by the corner": (POINTS, lambda t: moved(TRUE, point_by=(t, t))),
}


@pytest.mark.parametrize(("falling", "way"), WAYS.values(), ids=WAYS)
def test_the_farther_off_the_less_it_earns_and_without_a_jump(falling, way):
    truth = Truth(objects=Answer(FRAME, (TRUE,)))
    answers = [Answer(FRAME, (way(2.0 * step),)) for step in range(120)]
    inputs = RewardBatch(RewardInput("", VisionReasoner(), FRAME, truth, answer) for answer in answers)
    for part, full in SOFT.items():
        drops = -np.diff(np.array(PARTS[part](inputs)))
        assert drops.min() > -1e-12
        assert drops.max() < 0.11 * full  # a threshold would drop all at once
        assert bool(drops.sum() > 0.3) == (part in falling)


@pytest.mark.parametrize("part", SOFT)
def test_several_objects_are_matched_so_that_the_sum_is_largest(part):
    others = [moved(TRUE, (by,) * 4, (by, by)) for by in (8.0, 250.0)]
    assert score(part, (others[1], others[0], TRUE), (TRUE, *others)) == pytest.approx(SOFT[part])
    assert score(part, (others[0],), (TRUE, others[1])) == pytest.approx(score(part, others[0], TRUE) / 2)


@pytest.mark.parametrize("part", SOFT)
def test_lines_scale_with_the_frame(part):
    """Defect 14: twenty pixels of 840 are not twenty pixels of 112."""
    predicted = moved(TRUE, (6.0, 3.0, 6.0, 12.0), (20.0, 9.0))
    small = [Answer(FRAME, (prompt,)).rescaled(Size(112, 448)).objects[0] for prompt in (predicted, TRUE)]
    assert score(part, *small, frame=Size(112, 448)) == pytest.approx(score(part, predicted, TRUE))


def test_an_object_without_a_box_or_a_point_earns_what_it_has():
    bare, loose = ObjectPrompt(BOX), ObjectPrompt(None, TRUE.points)
    assert score("soft_accuracy", bare, TRUE) == 2
    assert score("soft_points", bare, TRUE) == score("soft_point", bare, TRUE) == 0
    assert score("soft_accuracy", loose, TRUE) == score("soft_points", loose, TRUE) == 0
