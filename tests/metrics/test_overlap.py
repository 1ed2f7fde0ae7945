"""Counts first, ratios last: overlaps and their sums."""

import math

import numpy as np
import pytest

from thinkseg.metrics.overlap import THRESHOLDS, Overlap, OverlapSums, count_overlap, pairwise_mask_iou

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


def test_giou_is_the_mean_of_ious_and_ciou_the_ratio_of_sums():
    sums = OverlapSums.of(Overlap(1, 10)) + OverlapSums.of(Overlap(90, 100))
    assert sums.count == 2
    assert sums.giou == pytest.approx((0.1 + 0.9) / 2)
    assert sums.ciou == pytest.approx(91 / 110)


def test_precision_counts_the_ious_above_a_threshold():
    sums = sum((OverlapSums.of(Overlap(iou, 100)) for iou in (50, 55, 95)), OverlapSums())
    assert sums.precision_at(0.5) == pytest.approx(2 / 3)
    assert sums.precision_at(0.9) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match=r"not at 0\.55"):
        sums.precision_at(0.55)


@pytest.mark.parametrize(("empty", "giou", "count"), [(1.0, 0.75, 2), (0.0, 0.25, 2), (None, 0.5, 1)])
def test_what_two_empty_masks_are_worth_is_a_rule_of_the_protocol(empty, giou, count):
    sums = OverlapSums.of(Overlap(0, 0), empty=empty) + OverlapSums.of(Overlap(5, 10), empty=empty)
    assert (sums.giou, sums.count, sums.ciou) == (giou, count, 0.5)


def test_shards_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    each = [OverlapSums.of(Overlap(int(low), int(high))) for low, high in np.sort(rng.integers(1, 1000, (40, 2)))]
    whole, odd, even = (sum(part, OverlapSums()) for part in (each, each[1::2], each[::2]))
    merged = odd + even
    assert (merged.intersection, merged.union, merged.hits, merged.count) == (
        whole.intersection,
        whole.union,
        whole.hits,
        whole.count,
    )
    assert merged.giou == pytest.approx(whole.giou)


def test_ratios_of_no_samples_are_not_numbers():
    none = OverlapSums()
    assert all(math.isnan(value) for value in (none.giou, none.ciou, none.precision_at(THRESHOLDS[0])))
