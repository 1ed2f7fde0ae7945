"""Parts that compare boxes and points, with thresholds that belong to the frame of 840×840."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from thinkseg.answers import AnswerFormat, SegZero, VisionReasoner
from thinkseg.geometry import box_iou_inclusive
from thinkseg.rewards import Rubric, Truth
from thinkseg.rewards.batch import CHUNK
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

FRAME = Size(840, 840)
BOX = Box(100.0, 100.0, 300.0, 300.0)


def one(box=BOX, *points):
    return ObjectPrompt(box, tuple(Point(*point) for point in points or ((200.0, 200.0), (150.0, 150.0))))


def moved(prompt, by):
    box = Box(*(value + by for value in prompt.box.xyxy))
    return ObjectPrompt(box, tuple(Point(point.x + by, point.y + by) for point in prompt.points))


def score(part, predicted, true, format=None, frame=FRAME):
    """One part for predicted and true objects in one frame."""
    format = format or (SegZero() if part == "points" else VisionReasoner())
    text = format.render(Answer(frame, tuple(predicted), "a"))
    (reward,) = Rubric(format, {part: 1.0}).score([text], [Truth(objects=Answer(frame, tuple(true)))], [frame])
    return reward.parts[part]


@pytest.mark.parametrize(("by", "value"), [(0.0, 1), (35.0, 1), (38.0, 0), (400.0, 0)])
def test_box_iou_asks_for_more_than_one_half(by, value):
    prompt = one()
    assert (box_iou_inclusive(moved(prompt, by).box, BOX) > 0.5) == bool(value)
    assert score("box_iou", [moved(prompt, by)], [prompt]) == value


@pytest.mark.parametrize(("by", "value"), [(0.0, 1), (9.0, 1), (10.0, 0)])
def test_box_l1_asks_for_less_than_ten_pixels(by, value):
    assert score("box_l1", [moved(one(), by)], [one()]) == value


@pytest.mark.parametrize(
    ("points", "value"),
    [
        (((200.0, 200.0), (150.0, 150.0)), 1),
        (((150.0, 150.0), (200.0, 200.0)), 1),
        (((110.0, 110.0), (290.0, 290.0)), 1),
        (((299.0, 299.0), (299.0, 300.0)), 0),
        (((200.0, 200.0), (301.0, 150.0)), 0),
    ],
)
def test_two_points_lie_in_the_predicted_box_and_near_in_the_better_order(points, value):
    assert score("points", [one(BOX, *points)], [one()]) == value


def test_one_point_lies_in_its_own_box_and_near_the_true_one():
    assert score("accuracy", [one()], [one()]) == 3
    assert score("accuracy", [one(BOX, (229.0, 200.0))], [one()]) == 3
    assert score("accuracy", [one(BOX, (230.0, 200.0))], [one()]) == 2
    at_the_edge = one(BOX, (299.0, 200.0))
    assert score("accuracy", [one(BOX, (301.0, 200.0))], [at_the_edge]) == 2


def test_the_point_is_a_part_of_its_own():
    assert score("point", [one(BOX, (229.0, 200.0))], [one()]) == 1
    assert score("point", [one(BOX, (230.0, 200.0))], [one()]) == 0
    assert score("point", [one(BOX, (301.0, 200.0))], [one(BOX, (299.0, 200.0))]) == 0


@pytest.mark.parametrize("part", ["box_iou", "box_l1", "points", "point", "accuracy"])
def test_thresholds_scale_with_the_frame(part):
    """Defect 14: ten pixels of 840 are not ten pixels of 112."""
    for by in (1.0, 8.0, 9.0, 11.0, 25.0, 31.0, 40.0, 60.0):
        in_reference = score(part, [moved(one(), by)], [one()])
        halved = [Answer(FRAME, (prompt,)).rescaled(Size(420, 420)).objects[0] for prompt in (moved(one(), by), one())]
        assert score_exact(part, halved[0], halved[1], Size(420, 420)) == in_reference
    wide = Size(1680, 420)
    stretched = [Answer(FRAME, (prompt,)).rescaled(wide).objects[0] for prompt in (moved(one(), 8.0), one())]
    assert score_exact(part, *stretched, wide) == score(part, [moved(one(), 8.0)], [one()])


@dataclass(frozen=True)
class Verbatim(AnswerFormat):
    """A format that reads one prepared answer, decimals included."""

    answer: Answer | None = None
    name = "verbatim"

    def canonical(self, answer):
        raise NotImplementedError

    render = canonical

    def parse(self, text, frame):
        return self.answer


def score_exact(part, predicted, true, frame):
    rubric = Rubric(Verbatim(answer=Answer(frame, (predicted,))), {part: 1.0})
    (reward,) = rubric.score([""], [Truth(objects=Answer(frame, (true,)))], [frame])
    return reward.parts[part]


def test_the_truth_may_be_in_another_frame_than_the_completion():
    text = VisionReasoner().render(Answer(FRAME, (one(),), "a"))
    truth = Truth(objects=Answer(FRAME, (one(),)).rescaled(Size(1920, 1080)))
    (reward,) = Rubric(VisionReasoner(), {"accuracy": 1.0}).score([text], [truth], [FRAME])
    assert reward.parts["accuracy"] == 3


def test_objects_are_matched_whatever_their_order():
    objects = [
        one(),
        one(Box(500.0, 100.0, 600.0, 400.0), (550.0, 200.0)),
        one(Box(10.0, 600.0, 90.0, 700.0), (50.0, 650.0)),
    ]
    for order in itertools.permutations(objects):
        assert score("accuracy", order, objects) == 3


def test_missing_and_invented_objects_both_cost():
    other = one(Box(500.0, 500.0, 700.0, 700.0), (600.0, 600.0))
    assert score("accuracy", [one()], [one(), other]) == 1.5
    assert score("accuracy", [one(), other], [one()]) == 1.5
    assert score("box_iou", [one(), other], [one()]) == 0.5


def test_the_matching_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(20):
        centres = rng.integers(100, 140, (4, 2))
        objects = [
            one(Box(float(x - 60), float(y - 60), float(x + 60), float(y + 60)), (float(x), float(y)))
            for x, y in centres
        ]
        true, predicted = objects[:2], objects[1:]
        table = np.array([[score("accuracy", [mine], [other]) for other in true] for mine in predicted])
        best = max(table[list(rows), range(2)].sum() for rows in itertools.permutations(range(3), 2))
        assert score("accuracy", predicted, true) == pytest.approx(best / 3)


@pytest.mark.parametrize(("part", "full"), [("box_iou", 1), ("box_l1", 1), ("points", 1), ("accuracy", 3)])
def test_nothing_there_earns_all_when_nothing_is_there_and_nothing_otherwise(part, full):
    """Defect 17: a right abstention could not be rewarded."""
    assert score(part, [], []) == full
    assert score(part, [], [one()]) == 0
    assert score(part, [one()], []) == 0


@pytest.mark.parametrize("part", ["box_iou", "box_l1", "points", "accuracy"])
def test_a_malformed_answer_earns_nothing_and_an_unknown_truth_gives_no_score(part):
    rubric = Rubric(VisionReasoner(), {part: 1.0})
    text = VisionReasoner().render(Answer(FRAME, (one(),), "a"))
    known, unknown = rubric.score(["?", text], [Truth(objects=Answer(FRAME, (one(),))), Truth()], [FRAME] * 2)
    assert known.parts[part] == 0
    assert unknown.parts[part] is None
    (empty,) = rubric.score(["?"], [Truth(objects=Answer(FRAME))], [FRAME])
    assert empty.parts[part] == 0


def test_a_large_batch_of_unequal_answers_scores_as_each_answer_alone():
    rng = np.random.default_rng(1)
    format, texts, truths = VisionReasoner(), [], []
    for _ in range(CHUNK + 20):
        prompts = [moved(one(), float(shift)) for shift in rng.integers(0, 60, rng.integers(0, 7))]
        texts.append(format.render(Answer(FRAME, tuple(prompts), "a")))
        truths.append(Truth(objects=Answer(FRAME, tuple(one() for _ in range(rng.integers(0, 4))))))
    rubric = Rubric(format, {"accuracy": 1.0, "box_l1": 1.0})
    together = rubric.score(texts, truths, [FRAME] * len(texts))
    alone = [rubric.score([text], [truth], [FRAME])[0] for text, truth in zip(texts, truths, strict=True)]
    assert [reward.parts for reward in together] == [reward.parts for reward in alone]


def test_objects_without_boxes_or_points_score_what_they_have():
    true, bare = one(), ObjectPrompt(BOX)
    assert score_exact("accuracy", bare, true, FRAME) == 2
    assert score_exact("points", ObjectPrompt(BOX, true.points[:1]), true, FRAME) == 0
    assert score_exact("accuracy", ObjectPrompt(None, true.points), true, FRAME) == 0


def test_a_truth_without_the_points_or_boxes_that_a_part_needs_gives_no_score():
    bare, single = ObjectPrompt(BOX), ObjectPrompt(BOX, (Point(200.0, 200.0), Point(1.0, 1.0, 0)))
    assert score_exact("box_iou", one(), bare, FRAME) == 1
    assert score_exact("point", one(), bare, FRAME) is None
    assert score_exact("accuracy", one(), single, FRAME) == 3
    assert score_exact("points", one(), single, FRAME) is None
    assert score_exact("box_iou", one(), ObjectPrompt(None, one().points), FRAME) is None
    rubric = Rubric(SegZero(), {"points": 1.0})
    texts = ["?", SegZero().render(Answer(FRAME)), SegZero().render(Answer(FRAME, (one(),)))]
    rewards = rubric.score(texts, [Truth(objects=Answer(FRAME, (single,)))] * 3, [FRAME] * 3)
    assert [reward.parts["points"] for reward in rewards] == [None] * 3
