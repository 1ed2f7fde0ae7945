"""The reward through the segmenter."""

import math

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import SegR1, SegR1Points
from thinkseg.errors import ImageError
from thinkseg.metrics.saliency import s_measure
from thinkseg.rewards import Rubric, Truth
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Segmentation, Size

FRAME = Size(40, 30)
IMAGE = Image.new("RGB", (40, 30))
NOTHING = "<think>a</think><bbox></bbox><points></points><labels></labels>"


def rectangle(x_min, y_min, x_max, y_max):
    mask = np.zeros((30, 40), bool)
    mask[y_min : y_max + 1, x_min : x_max + 1] = True
    return mask


TARGET = rectangle(10, 5, 19, 14)


def said(*boxes):
    return SegR1().render(Answer(FRAME, tuple(ObjectPrompt(Box(*map(float, box))) for box in boxes), "a"))


def segment_score(segmenter, text, target=TARGET, ignore=None, format=None, frame=FRAME):
    truth = Truth(mask=target, ignore=ignore, image=IMAGE)
    (reward,) = Rubric(format or SegR1(), {"segment": 1.0}, segmenter).score([text], [truth], [frame])
    return reward.parts["segment"]


def test_a_perfect_mask_scores_one_and_a_shifted_one_what_the_formula_says(segmenter):
    assert segment_score(segmenter, said((10, 5, 19, 14))) == pytest.approx(1)
    shifted = rectangle(12, 5, 21, 14)
    assert segment_score(segmenter, said((12, 5, 21, 14))) == pytest.approx(
        0.7 * 80 / 120 + 0.3 * s_measure(shifted, TARGET)
    )


def test_an_answer_that_misses_everything_scores_less_than_a_perfect_one(segmenter):
    """Defect 1: an empty mask earned more than a perfect one."""
    missed = segment_score(segmenter, said((30, 20, 39, 29)))
    assert 0 <= missed < 0.3 < segment_score(segmenter, said((10, 5, 19, 14)))


def test_the_masks_of_all_boxes_count_together(segmenter):
    assert segment_score(segmenter, said((10, 5, 14, 14), (15, 5, 19, 14))) == pytest.approx(1)


def test_boxes_without_points_are_segmented(segmenter):
    """Defect 16: boxes without points gave an empty mask."""
    assert segment_score(segmenter, said((10, 5, 19, 14))) > 0.9
    assert segmenter.calls[0][0].objects[0].points == ()


def test_points_without_boxes_are_segmented(segmenter):
    text = "<points>[[5,5]]</points><labels>[1]</labels>"
    score = segment_score(segmenter, text, target=rectangle(4, 4, 6, 6), format=SegR1Points())
    assert score == pytest.approx(1)


def test_a_malformed_answer_earns_nothing_and_spoils_no_other():
    """Defects 4 and 16: the previous mask was scored instead, and one exception emptied a whole batch."""

    class Filler:
        def segment(self, image, answers):
            return [Segmentation(np.stack([TARGET] * len(answer.objects))) for answer in answers]

    rubric = Rubric(SegR1(), {"segment": 1.0}, Filler())
    truth = Truth(mask=TARGET, image=IMAGE)
    rewards = rubric.score([said((10, 5, 19, 14)), "?", said((10, 5, 19, 14))], [truth] * 3, [FRAME] * 3)
    assert [reward.parts["segment"] for reward in rewards] == [pytest.approx(1), 0.0, pytest.approx(1)]


def test_nothing_there_earns_all_when_nothing_is_there_and_nothing_otherwise(segmenter):
    """Defect 17: a right abstention could not be rewarded."""
    empty = np.zeros((30, 40), bool)
    assert segment_score(segmenter, NOTHING, target=empty) == 1
    assert segment_score(segmenter, NOTHING) == 0
    assert segment_score(segmenter, said((0, 0, 1, 1)), target=empty) == 0
    assert segment_score(segmenter, "?", target=empty) == 0


def test_an_ignore_region_counts_neither_way(segmenter):
    ignore = rectangle(20, 0, 39, 29)
    spilled = said((10, 5, 29, 14))
    assert segment_score(segmenter, spilled) < 0.8
    assert segment_score(segmenter, spilled, ignore=ignore) == pytest.approx(1)


@pytest.mark.parametrize("truth", [Truth(mask=TARGET), Truth(image=IMAGE), Truth()])
def test_what_cannot_be_segmented_or_compared_gives_no_score(segmenter, truth):
    rubric = Rubric(SegR1(), {"segment": 1.0}, segmenter)
    rewards = rubric.score([said((10, 5, 19, 14)), "?"], [truth] * 2, [FRAME] * 2)
    assert [reward.parts["segment"] for reward in rewards] == [None, None]


def test_without_a_segmenter_nothing_is_scored():
    rubric = Rubric(SegR1(), {"segment": 1.0})
    rewards = rubric.score([said((1, 1, 2, 2)), "?"], [Truth(mask=TARGET, image=IMAGE)] * 2, [FRAME] * 2)
    assert [reward.parts["segment"] for reward in rewards] == [None, None]


def test_a_mask_of_another_size_than_its_image_is_a_sentence(segmenter):
    with pytest.raises(ImageError, match="40×30; found one of 20×15"):
        segment_score(segmenter, said((1, 1, 2, 2)), target=np.ones((15, 20), bool))


@pytest.mark.parametrize(("count", "score"), [(8, 1.0), (6, math.exp(-0.5)), (10, math.exp(-0.5)), (0, math.exp(-8))])
def test_eight_points_are_best(count, score):
    points = tuple(Point(float(x), 10.0) for x in range(10, 10 + count))
    prompts = (ObjectPrompt(Box(10.0, 5.0, 30.0, 20.0), points), ObjectPrompt(Box(5.0, 5.0, 35.0, 25.0)))
    text = SegR1().render(Answer(FRAME, prompts, "a"))
    (reward,) = Rubric(SegR1(), {"point_count": 1.0}).score([text], [Truth()], [FRAME])
    assert reward.parts["point_count"] == pytest.approx(score)


def test_an_abstention_has_no_points_to_count():
    rewards = Rubric(SegR1(), {"point_count": 1.0}).score([NOTHING, "?"], [Truth()] * 2, [FRAME] * 2)
    assert [reward.parts["point_count"] for reward in rewards] == [None, 0.0]
