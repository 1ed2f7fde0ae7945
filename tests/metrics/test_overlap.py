"""How much two masks overlap."""

import numpy as np
import pytest

from thinkseg.metrics.overlap import Overlap, count_overlap, pairwise_mask_iou

EMPTY = np.zeros((10, 10), bool)


def square(start, stop):
    mask = EMPTY.copy()
    mask[start:stop, start:stop] = True
    return mask


def test_overlap_counts_shared_and_covered_pixels():
    overlap = count_overlap(square(0, 6), square(4, 10))
    assert overlap == Overlap(intersection=4, union=68)
    assert overlap.iou == pytest.approx(4 / 68)


def test_a_perfect_mask_has_an_iou_of_one_and_an_empty_one_of_zero():
    assert count_overlap(square(2, 8), square(2, 8)).iou == 1
    assert count_overlap(EMPTY, square(2, 8)).iou == 0
    assert count_overlap(square(2, 8), EMPTY).iou == 0


def test_two_empty_masks_agree():
    assert count_overlap(EMPTY, EMPTY).iou == 1


def test_the_overlaps_of_all_pairs_are_those_of_each():
    rng = np.random.default_rng(0)
    first, second = rng.random((3, 7, 9)) < 0.5, rng.random((2, 7, 9)) < 0.3
    first[2] = second[1] = False
    table = pairwise_mask_iou(first, second)
    assert table.tolist() == [[count_overlap(one, other).iou for other in second] for one in first]
    assert pairwise_mask_iou(first[:0], second).shape == (0, 2)


def test_ignored_pixels_count_neither_way():
    ignore = np.zeros((10, 10), bool)
    ignore[:, 5:] = True
    assert count_overlap(square(0, 10), square(0, 5), ignore) == Overlap(25, 50)
    assert count_overlap(square(5, 10), EMPTY, ignore).iou == 1
