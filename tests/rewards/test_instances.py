"""The reward of several objects' masks, and that of points by their place on a mask."""

import itertools

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import SegR1, SegR1Points, VisionReasoner
from thinkseg.errors import ImageError
from thinkseg.metrics.overlap import count_overlap
from thinkseg.rewards import Rubric, Truth
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Segmentation, Size

FRAME = Size(40, 30)
IMAGE = Image.new("RGB", (40, 30))


def rectangle(x_min, y_min, x_max, y_max):
    mask = np.zeros((30, 40), bool)
    mask[y_min : y_max + 1, x_min : x_max + 1] = True
    return mask


LEFT, RIGHT, TOP = (2, 10, 11, 19), (20, 10, 29, 19), (10, 0, 29, 4)
THREE = np.stack([rectangle(*box) for box in (LEFT, RIGHT, TOP)])


def said(*boxes, frame=FRAME):
    prompts = (ObjectPrompt(Box(*map(float, box)), (Point(float(box[0]), float(box[1])),)) for box in boxes)
    return VisionReasoner().render(Answer(frame, tuple(prompts), "a"))


@pytest.fixture
def score(segmenter):
    def scored(text, instances=THREE, ignore=None, mask=None, frame=FRAME):
        truth = Truth(mask=mask, instances=instances, ignore=ignore, image=IMAGE)
        (reward,) = Rubric(VisionReasoner(), {"matched_masks": 1.0}, segmenter).score([text], [truth], [frame])
        return reward.parts["matched_masks"]

    return scored


def test_right_masks_earn_all_whatever_their_order(score):
    for order in itertools.permutations((LEFT, RIGHT, TOP)):
        assert score(said(*order)) == 1


def test_missing_invented_and_doubled_objects_all_cost(score):
    assert score(said(LEFT)) == pytest.approx(1 / 3)
    assert score(said(LEFT, RIGHT)) == pytest.approx(2 / 3)
    assert score(said(LEFT, RIGHT, TOP, (0, 25, 5, 29))) == pytest.approx(3 / 4)
    assert score(said(LEFT, LEFT, RIGHT, RIGHT, TOP)) == pytest.approx(3 / 5)


def test_one_mask_over_all_objects_earns_less_than_their_union_would(score, segmenter):
    everything = said((2, 0, 29, 19))
    whole = Rubric(VisionReasoner(), {"segment": 1.0}, segmenter)
    (union,) = whole.score([everything], [Truth(mask=THREE.any(axis=0), image=IMAGE)], [FRAME])
    assert score(everything) < 0.12
    assert union.parts["segment"] > 0.5


def test_the_matching_is_the_best_of_all(score):
    shifted = [(4, 10, 13, 19), (9, 10, 18, 19), (18, 10, 27, 19)]
    table = np.array([[count_overlap(rectangle(*box), true).iou for true in THREE] for box in shifted])
    best = max(table[list(rows), range(3)].sum() for rows in itertools.permutations(range(3)))
    assert score(said(*shifted)) == pytest.approx(best / 3)
    assert best > table.trace()


def test_masks_in_another_frame_are_brought_to_the_image_by_the_segmenter(segmenter):
    truth = Truth(instances=THREE, image=IMAGE)
    rubric = Rubric(VisionReasoner(), {"matched_masks": 1.0}, segmenter)
    rubric.score([said(LEFT)], [truth], [Size(80, 60)])
    assert segmenter.calls[0][0].frame == Size(80, 60)


def test_ignored_pixels_count_for_no_mask_and_masks_among_them_for_no_object(score):
    ignore = rectangle(0, 20, 39, 29)
    spilled = (2, 10, 11, 29)
    assert score(said(spilled, RIGHT, TOP)) < 0.9
    assert score(said(spilled, RIGHT, TOP), ignore=ignore) == 1
    assert score(said(LEFT, RIGHT, TOP, (0, 22, 9, 29)), ignore=ignore) == 1
    hidden = np.concatenate([THREE, rectangle(5, 25, 9, 29)[None]])
    assert score(said(LEFT, RIGHT, TOP), hidden, ignore=ignore) == 1
    assert score(said(LEFT), rectangle(5, 25, 9, 29)[None], ignore=ignore) == 0
    assert score(said((0, 22, 9, 29)), rectangle(5, 25, 9, 29)[None], ignore=ignore) is None


def test_an_object_whose_mask_came_out_empty_still_counts():
    class Blind:
        def segment(self, image, answers):
            masks = [np.stack([rectangle(*LEFT), np.zeros((30, 40), bool)])[: len(a.objects)] for a in answers]
            return [Segmentation(own) for own in masks]

    rubric = Rubric(VisionReasoner(), {"matched_masks": 1.0}, Blind())
    truth = Truth(instances=rectangle(*LEFT)[None], image=IMAGE)
    one, two = rubric.score([said(LEFT), said(LEFT, RIGHT)], [truth] * 2, [FRAME] * 2)
    assert (one.parts["matched_masks"], two.parts["matched_masks"]) == (1, 0.5)


def test_true_instances_without_a_pixel_are_no_objects(score):
    assert score(said(LEFT), np.stack([rectangle(*LEFT), np.zeros((30, 40), bool)])) == 1


def test_an_unknown_truth_or_no_segmenter_gives_no_score(score):
    assert score(said(LEFT), None, mask=rectangle(*LEFT)) is None
    assert score("?", None, mask=rectangle(*LEFT)) is None
    (reward,) = Rubric(VisionReasoner(), {"matched_masks": 1.0}).score([said(LEFT)], [Truth(instances=THREE)], [FRAME])
    assert reward.parts["matched_masks"] is None


def test_instances_of_another_size_than_their_image_are_a_sentence(score):
    with pytest.raises(ImageError, match="40×30; found one of 20×15"):
        score(said(LEFT), np.ones((2, 15, 20), bool))


def test_the_parts_with_masks_share_what_the_segmenter_makes(segmenter):
    rubric = Rubric(VisionReasoner(), {"segment": 1.0, "matched_masks": 1.0, "accuracy": 1.0}, segmenter)
    truths = [Truth(mask=THREE.any(axis=0), instances=THREE, image=IMAGE.copy()) for _ in range(4)]
    rubric.score([said(LEFT), said(LEFT), said(RIGHT), "?"], truths, [FRAME] * 4)
    assert [len(answers) for answers in segmenter.calls] == [2]


def test_a_rubric_without_parts_about_masks_never_asks_the_segmenter(segmenter):
    rubric = Rubric(VisionReasoner(), {"accuracy": 1.0, "points_inside": 1.0}, segmenter)
    rubric.score([said(LEFT)], [Truth(instances=THREE, image=IMAGE)], [FRAME])
    assert not rubric.needs_masks
    assert segmenter.calls == []


TARGET = rectangle(10, 5, 19, 14)


def share(*points, target=TARGET, ignore=None, frame=FRAME):
    """`points_inside` of labelled points."""
    text = SegR1Points().render(
        Answer(frame, (ObjectPrompt(None, tuple(Point(*map(float, p[:2]), p[2]) for p in points)),))
    )
    rubric = Rubric(SegR1Points(), {"points_inside": 1.0})
    (reward,) = rubric.score([text], [Truth(mask=target, ignore=ignore)], [frame])
    return reward.parts["points_inside"]


def test_a_label_agrees_where_it_says_what_the_mask_has():
    assert share((12, 8, 1)) == 1
    assert share((12, 8, 0)) == 0
    assert share((30, 8, 0)) == 1
    assert share((30, 8, 1)) == 0
    assert share((12, 8, 1), (15, 9, 1), (30, 8, 0), (31, 8, 1)) == 0.75


def test_points_are_looked_up_at_the_pixel_that_they_name():
    assert share((10, 5, 1), (19, 14, 1)) == 1
    assert share((9, 5, 1), (20, 14, 1), (10, 4, 1), (19, 15, 1)) == 0
    assert share((20, 10, 1), (38, 28, 1), frame=Size(80, 60)) == 1
    assert share((18, 10, 1), (40, 28, 1), frame=Size(80, 60)) == 0
    corner = rectangle(35, 25, 39, 29)
    assert share((40, 30, 1), target=corner) == 1


def test_a_point_in_two_boxes_counts_once():
    text = SegR1().render(
        Answer(
            FRAME,
            (
                ObjectPrompt(Box(0.0, 0.0, 30.0, 20.0), (Point(12.0, 8.0), Point(1.0, 1.0, 1))),
                ObjectPrompt(Box(10.0, 5.0, 19.0, 14.0), (Point(12.0, 8.0),)),
            ),
            "a",
        )
    )
    (reward,) = Rubric(SegR1(), {"points_inside": 1.0}).score([text], [Truth(mask=TARGET)], [FRAME])
    assert reward.parts["points_inside"] == 0.5


def test_an_answer_without_points_that_count_earns_nothing():
    text = "<think>a</think><bbox>[10,5,19,14]</bbox><points></points><labels></labels>"
    known, unknown = Rubric(SegR1(), {"points_inside": 1.0}).score(
        [text] * 2, [Truth(mask=TARGET), Truth()], [FRAME] * 2
    )
    assert (known.parts["points_inside"], unknown.parts["points_inside"]) == (0, None)
    ignore = rectangle(20, 0, 39, 29)
    assert share((30, 8, 0), ignore=ignore) == 0
    assert share((30, 8, 0), (12, 8, 1), ignore=ignore) == 1
