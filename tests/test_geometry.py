"""Boxes, points and overlaps, against masks whose answer is known and against slow definitions."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thinkseg.geometry import (
    background_points,
    box_from_mask,
    box_iou,
    box_iou_inclusive,
    centre_of_largest_circle,
    pairwise_box_iou,
    published_points,
    reference_answer,
    second_point,
)
from thinkseg.types import Answer, Box, Point, Size

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def rectangle(x_min, y_min, x_max, y_max):
    """A mask of 40×30 that is True on the pixels of a box, its last row and column included."""
    mask = np.zeros((30, 40), bool)
    mask[y_min : y_max + 1, x_min : x_max + 1] = True
    return mask


def test_the_box_of_a_mask_has_the_edges_of_its_outermost_pixels():
    box = box_from_mask(rectangle(3, 5, 20, 11))
    assert box == Box(3.0, 5.0, 21.0, 12.0)
    assert (box.x_max - box.x_min) * (box.y_max - box.y_min) == rectangle(3, 5, 20, 11).sum()


def test_the_box_of_a_mask_ends_on_its_outermost_pixels_where_the_published_data_ask_for_it():
    assert box_from_mask(rectangle(3, 5, 20, 11), inclusive=True) == Box(3.0, 5.0, 20.0, 11.0)
    (prompt,) = reference_answer(rectangle(3, 5, 20, 11), inclusive=True).objects
    assert prompt.box == Box(3.0, 5.0, 20.0, 11.0)


def test_overlapping_polygons_that_sum_to_two_are_still_the_object():
    mask = rectangle(3, 5, 20, 11).astype(np.uint8) + rectangle(15, 5, 25, 11)
    assert mask.max() == 2
    assert box_from_mask(mask) == Box(3.0, 5.0, 26.0, 12.0)


@pytest.mark.parametrize("measure", [box_from_mask, centre_of_largest_circle])
def test_an_empty_mask_has_neither_box_nor_centre(measure):
    assert measure(np.zeros((4, 5), bool)) is None


def test_an_empty_mask_has_no_second_and_no_background_point():
    empty = np.zeros((4, 5), bool)
    assert second_point(empty, Point(0.0, 0.0)) is None
    assert background_points(empty, 3) == ()


def test_the_centre_of_a_square_is_its_middle():
    assert centre_of_largest_circle(rectangle(10, 4, 20, 14)) == Point(15.0, 9.0)


def test_the_centre_of_a_mask_at_the_border_is_not_drawn_into_the_corner():
    """Defect 20: a distance transform that takes the border for more of the object puts the centre into the corner."""
    assert centre_of_largest_circle(rectangle(0, 0, 10, 10)) == Point(5.0, 5.0)
    whole_image = np.ones((9, 9), bool)
    assert centre_of_largest_circle(whole_image) == Point(4.0, 4.0)


@given(masks)
@settings(max_examples=60, deadline=None)
def test_the_centre_is_the_pixel_farthest_from_all_that_is_not_the_object(mask):
    centre = centre_of_largest_circle(mask)
    if centre is None:
        assert not mask.any()
        return
    outside = np.argwhere(~np.pad(mask, 1)) - 1

    def room(y, x):
        return np.hypot(outside[:, 0] - y, outside[:, 1] - x).min()

    assert mask[int(centre.y), int(centre.x)]
    assert room(centre.y, centre.x) == pytest.approx(max(room(y, x) for y, x in np.argwhere(mask)))


def test_the_second_point_of_a_dumbbell_lies_in_its_other_end():
    mask = rectangle(2, 2, 12, 12) | rectangle(25, 3, 33, 11) | rectangle(12, 7, 25, 7)
    first = centre_of_largest_circle(mask)
    assert first == Point(7.0, 7.0)
    assert second_point(mask, first) == Point(29.0, 7.0)


def test_the_second_point_of_one_pixel_is_that_pixel():
    mask = rectangle(7, 9, 7, 9)
    assert second_point(mask, Point(7.0, 9.0)) == Point(7.0, 9.0)


@given(masks)
@settings(max_examples=60, deadline=None)
def test_the_second_point_is_in_the_object_and_beyond_the_median_distance(mask):
    first = centre_of_largest_circle(mask)
    if first is None:
        return
    second = second_point(mask, first)
    assert mask[int(second.y), int(second.x)]
    rows, columns = np.nonzero(mask)
    distances = np.hypot(columns - first.x, rows - first.y)
    if (distances > np.median(distances)).any():
        assert np.hypot(second.x - first.x, second.y - first.y) > np.median(distances)


PUBLISHED = "5c6559bdc1097c27b01cce76d5ca1b96fb71f3f8e915bb793aca1af94f1ede6f"
"""SHA-256 of the points that Seg-Zero's tool for training rows (its commit 42a3345) finds in the 360 objects below."""


def draw_object(rng):
    """A box, an ellipse, a box with holes or what two of them do not share, often cut off by the border; 56 × 40."""
    rows, columns = np.mgrid[:40, :56]
    y, x = rng.randint(-4, 44), rng.randint(-4, 60)
    height, width = rng.randint(1, 26, 2)
    box = (abs(rows - y) <= height / 2) & (abs(columns - x) <= width / 2)
    ellipse = ((rows - y) / (height / 2 + 0.5)) ** 2 + ((columns - x) / (width / 2 + 0.5)) ** 2 <= 1
    return (box, ellipse, box & (rng.rand(40, 56) < 0.6), box ^ ellipse)[rng.randint(4)]


def test_published_points_are_those_of_seg_zeros_tool_in_objects_at_the_border_too():
    rng = np.random.RandomState(7)  # whose numbers are the same in every version of NumPy
    objects = [mask for mask in (draw_object(rng) for _ in range(500)) if mask.any()][:360]
    found = [[int(place) for point in published_points(mask) for place in (point.x, point.y)] for mask in objects]
    assert len(found) == 360
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest() == PUBLISHED
    ours = [prompt.points for mask in objects for prompt in reference_answer(mask, points=2).objects]
    others = [published_points(mask) for mask in objects]
    assert [sum(a[i] != b[i] for a, b in zip(ours, others, strict=True)) for i in (0, 1)] == [106, 109]


def test_published_points_differ_from_ours_only_where_the_border_cuts_an_object_off():
    corner, middle = rectangle(0, 0, 13, 9), rectangle(12, 8, 25, 17)
    assert published_points(corner)[0] == Point(0, 0)
    assert centre_of_largest_circle(corner) == Point(4, 4)
    first = centre_of_largest_circle(middle)
    assert published_points(middle) == (first, second_point(middle, first))
    assert published_points(np.zeros((4, 5), bool)) == ()


def test_a_reference_answer_may_have_the_published_points():
    masks = np.stack([rectangle(0, 0, 13, 9), rectangle(12, 8, 25, 17)])
    first, second = reference_answer(masks, points=2, published=True).objects
    assert (first.points, second.points) == tuple(map(published_points, masks))
    assert [len(one.points) for one in reference_answer(masks, points=1, published=True).objects] == [1, 1]


def test_background_points_lie_in_the_box_off_the_object_and_apart():
    ring = rectangle(5, 5, 25, 25) & ~rectangle(9, 9, 21, 21)
    corners = rectangle(0, 0, 10, 10) & ~(rectangle(6, 0, 10, 4) | rectangle(0, 6, 4, 10))
    assert background_points(ring, 1) == (Point(15.0, 15.0, label=0),)
    two = background_points(corners, 2)
    assert len(set(two)) == 2
    assert all(not corners[int(point.y), int(point.x)] and point.label == 0 for point in two)
    assert all(box_from_mask(corners).contains(point) for point in two)
    assert np.hypot(two[0].x - two[1].x, two[0].y - two[1].y) > 5


def test_a_mask_that_fills_its_box_leaves_no_room_for_background_points():
    assert background_points(rectangle(3, 3, 8, 8), 4) == ()


def test_background_points_keep_off_the_blurred_rim_of_the_object():
    notched = rectangle(3, 3, 20, 20) & ~rectangle(10, 3, 10, 20)
    assert background_points(notched, 4) == ()


def test_a_reference_answer_has_a_box_and_a_point_per_object_in_the_frame_of_the_image():
    instances = np.stack([rectangle(3, 5, 13, 15), rectangle(30, 2, 34, 6)])
    answer = reference_answer(instances, think="two blocks")
    assert answer.frame == Size(40, 30)
    assert answer.think == "two blocks"
    assert [prompt.box for prompt in answer.objects] == [Box(3.0, 5.0, 14.0, 16.0), Box(30.0, 2.0, 35.0, 7.0)]
    assert [prompt.points for prompt in answer.objects] == [(Point(8.0, 10.0),), (Point(32.0, 4.0),)]


def test_a_reference_answer_may_have_two_points_background_points_or_none():
    ring = rectangle(5, 5, 25, 25) & ~rectangle(9, 9, 21, 21)
    (prompt,) = reference_answer(ring, points=2, negatives=1).objects
    assert [point.label for point in prompt.points] == [1, 1, 0]
    assert len({(point.x, point.y) for point in prompt.points}) == 3
    (bare,) = reference_answer(ring, points=0).objects
    assert bare.points == ()


def test_a_reference_answer_of_empty_masks_says_nothing_there():
    nothing = Answer(Size(40, 30))
    assert reference_answer(np.zeros((30, 40), bool)) == nothing
    assert reference_answer(np.zeros((0, 30, 40), bool)) == nothing
    assert reference_answer([np.zeros((30, 40), bool)]) == nothing
    with pytest.raises(ValueError, match="frame"):
        reference_answer([])


def test_iou_counts_areas_and_inclusive_iou_counts_pixels():
    first, second = Box(0.0, 0.0, 9.0, 9.0), Box(5.0, 0.0, 14.0, 9.0)
    assert box_iou(first, second) == pytest.approx(36 / (81 + 81 - 36))
    assert box_iou_inclusive(first, second) == pytest.approx(50 / 150)
    assert box_iou_inclusive(first, second) == pytest.approx(
        (rectangle(0, 0, 9, 9) & rectangle(5, 0, 14, 9)).sum() / (rectangle(0, 0, 9, 9) | rectangle(5, 0, 14, 9)).sum()
    )


def test_boxes_without_area_overlap_by_pixels_only():
    line = Box(2.0, 3.0, 8.0, 3.0)
    assert box_iou(line, line) == 0
    assert box_iou_inclusive(line, line) == 1


def test_boxes_apart_do_not_overlap_even_where_both_sides_are_negative():
    assert box_iou(Box(0.0, 0.0, 2.0, 2.0), Box(8.0, 8.0, 9.0, 9.0)) == 0


boxes = st.builds(
    lambda x, y, w, h: [float(x), float(y), float(x + w), float(y + h)], *[st.integers(0, 50) for _ in range(4)]
)


@given(st.lists(boxes, min_size=1, max_size=4), st.lists(boxes, min_size=1, max_size=4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_pairwise_iou_is_the_iou_of_each_pair(first, second, inclusive):
    single = box_iou_inclusive if inclusive else box_iou
    found = pairwise_box_iou(np.array(first), np.array(second), inclusive=inclusive)
    assert found.shape == (len(first), len(second))
    assert found == pytest.approx(np.array([[single(Box(*a), Box(*b)) for b in second] for a in first]))
    assert ((found >= 0) & (found <= 1)).all()
    batched = pairwise_box_iou(np.array([first, first]), np.array([second, second]), inclusive=inclusive)
    assert (batched == found).all()
