"""Polygons around masks give back every pixel when they are drawn, holes and touching corners included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from thinkseg.data.readers.segmentations import mask_from_segmentation
from thinkseg.outlines import joined, polygons_from_mask
from thinkseg.types import Size

MASKS = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=16).flatmap(lambda shape: arrays(bool, shape))


def drawn(rings, mask):
    """Polygons as COCO's tools fill them."""
    height, width = mask.shape
    return mask_from_segmentation([ring.ravel().tolist() for ring in rings], Size(width, height))


@given(MASKS)
def test_polygons_give_back_every_pixel_of_their_mask(mask):
    assert np.array_equal(drawn(polygons_from_mask(mask), mask), mask)


@given(MASKS.filter(np.any))
def test_one_polygon_of_all_parts_gives_back_every_pixel_too(mask):
    assert np.array_equal(drawn([joined(polygons_from_mask(mask))], mask), mask)


def test_a_square_is_its_four_corners_and_a_pixel_is_one():
    mask = np.zeros((10, 12), bool)
    mask[3:7, 2:6] = True
    mask[9, 11] = True
    square, pixel = polygons_from_mask(mask)
    assert sorted(map(tuple, square)) == [(2, 3), (2, 7), (6, 3), (6, 7)]
    assert sorted(map(tuple, pixel)) == [(11, 9), (11, 10), (12, 9), (12, 10)]


def test_parts_that_touch_at_a_corner_are_two_polygons():
    assert [len(ring) for ring in polygons_from_mask(np.eye(2, dtype=bool))] == [4, 4]


def test_a_hole_stays_a_hole_by_a_line_that_is_walked_there_and_back():
    mask = np.ones((9, 9), bool)
    mask[3:6, 3:6] = False
    (ring,) = polygons_from_mask(mask)
    assert len(ring) == 5 + 5 + 1  # each ring and its first corner again, and the way back
    assert np.array_equal(drawn([ring], mask), mask)


@given(st.floats(0.5, 3), st.integers(0, 5))
def test_a_simpler_outline_has_fewer_corners_and_moves_by_no_more_than_the_tolerance(tolerance, seed):
    rows, columns = np.mgrid[:60, :60]
    centre = np.random.default_rng(seed).uniform(25, 35, 2)
    mask = np.hypot(rows - centre[0], columns - centre[1]) < 20
    (exact,), (simple,) = polygons_from_mask(mask), polygons_from_mask(mask, tolerance)
    assert len(simple) < len(exact)
    far = np.abs(np.hypot(rows - centre[0], columns - centre[1]) - 20) > tolerance + 1.5
    assert not (drawn([simple], mask) ^ mask)[far].any()


@pytest.mark.parametrize("tolerance", [0, 1, 50])
def test_nothing_has_no_polygon_and_no_part_is_lost_to_the_tolerance(tolerance):
    assert polygons_from_mask(np.zeros((5, 5), bool), tolerance) == []
    mask = np.zeros((20, 20), bool)
    mask[2, 2] = mask[10:14, 10:14] = True
    assert len(polygons_from_mask(mask, tolerance)) == 2
