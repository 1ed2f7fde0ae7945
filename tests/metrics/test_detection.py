"""Average precision of boxes, by hand: one image with few boxes has a curve that can be drawn on paper."""

import numpy as np
import pytest

from thinkseg.metrics.detection import Detections, detection_scores

LEFT, RIGHT, NOWHERE = [0, 0, 10, 10], [20, 0, 30, 10], [40, 40, 50, 50]


def image(true, boxes, scores=None, crowd=None, category="cat"):
    true, boxes = np.array(true, dtype=float).reshape(-1, 4), np.array(boxes, dtype=float).reshape(-1, 4)
    return Detections(
        category,
        true,
        np.full(len(true), 100.0),
        np.zeros(len(true), dtype=bool) if crowd is None else np.array(crowd),
        boxes,
        None if scores is None else np.array(scores, dtype=float),
    )


def test_all_objects_and_nothing_else_is_one():
    scores = detection_scores([image([LEFT, RIGHT], [RIGHT, LEFT])])
    assert (scores.ap, scores.ap50, scores.ap75) == (1, 1, 1)
    assert (scores.precision50, scores.recall50) == (1, 1)


def test_without_scores_the_precision_counts_up_to_the_recall_that_was_reached():
    """One of two objects found by one of two boxes: precision 1/2 at the 51 of 101 recalls from 0.00 to 0.50."""
    scores = detection_scores([image([LEFT, RIGHT], [NOWHERE, LEFT])])
    assert scores.ap == pytest.approx(0.5 * 51 / 101)
    assert (scores.precision50, scores.recall50) == (0.5, 0.5)


def test_with_scores_it_is_the_curve_that_they_draw():
    """The right box first: precision 1 up to recall 0.5; the wrong one first: 1/2."""
    true = [LEFT, RIGHT]
    assert detection_scores([image(true, [NOWHERE, LEFT], [0.1, 0.9])]).ap == pytest.approx(51 / 101)
    assert detection_scores([image(true, [NOWHERE, LEFT], [0.9, 0.1])]).ap == pytest.approx(0.5 * 51 / 101)


def test_without_scores_the_order_of_images_changes_nothing_and_with_equal_scores_it_does():
    """The reason why boxes without a confidence are not given the same one: COCO's tools break the tie by order."""
    good, bad = [LEFT], [NOWHERE]

    def both(scores):
        return [image([LEFT], good, scores), image([LEFT], bad, scores)]

    assert detection_scores(both(None)).ap == detection_scores(both(None)[::-1]).ap == pytest.approx(0.5 * 51 / 101)
    assert detection_scores(both([1.0])).ap == pytest.approx(51 / 101)
    assert detection_scores(both([1.0])[::-1]).ap == pytest.approx(0.5 * 51 / 101)


def test_a_box_of_iou_0_6_counts_at_three_of_ten_thresholds():
    """10 × 6 of 10 × 10 pixels: right at 0.50, 0.55 and 0.60."""
    scores = detection_scores([image([LEFT], [[0, 0, 10, 6]])])
    assert scores.ap == pytest.approx(0.3)
    assert (scores.ap50, scores.ap75) == (1, 0)


def test_categories_weigh_the_same_however_many_objects_they_have():
    cats = [image([LEFT], [LEFT]) for _ in range(3)]
    assert detection_scores([*cats, image([LEFT], [NOWHERE], category="dog")]).ap == pytest.approx(0.5)


def test_boxes_on_a_crowd_count_neither_way():
    scores = detection_scores([image([LEFT, [40, 0, 80, 40]], [LEFT, [42, 2, 60, 20]], crowd=[False, True])])
    assert (scores.ap, scores.precision50, scores.recall50) == (1, 1, 1)


def test_no_box_is_zero_and_no_object_is_no_number():
    missed = detection_scores([image([LEFT], [])])
    assert (missed.ap, missed.precision50, missed.recall50) == (0, None, 0)
    nothing = detection_scores([image([], [])])
    assert (nothing.ap, nothing.ap50, nothing.recall50) == (None, None, None)


def test_cocos_tools_say_nothing(capsys):
    detection_scores([image([LEFT], [LEFT])])
    assert capsys.readouterr().out == ""
