"""F and E from four counts, against the same from images."""

import numpy as np
import pytest
from py_sod_metrics import Emeasure, FmeasureHandler, FmeasureV2

from thinkseg.metrics.counts import PixelCounts, e_measure, f_measure, mean_over_thresholds


def count(pred, target):
    return PixelCounts(int((pred & target).sum()), int(pred.sum()), int(target.sum()), target.size)


def published(pred, target):
    f, e = FmeasureV2({"f": FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=0.3)}), Emeasure()
    for measure in (f, e):
        measure.step(pred.astype(np.float64), target, normalize=False)
    return f.get_results()["f"], e.get_results()["em"]


def test_both_values_of_a_curve_their_mean_and_the_adaptive_one_are_those_of_pysodmetrics(create_pairs):
    for pred, target in create_pairs(160):
        f, e = published(pred, target)
        counts = count(pred, target)
        for measure, curve, adaptive in ((f_measure, f["dynamic"], f["adaptive"]), (e_measure, e["curve"], e["adp"])):
            at_mask, everywhere = float(measure(counts)), float(measure(counts.everywhere()))
            assert curve == pytest.approx(np.array([at_mask] * 255 + [everywhere]), abs=1e-9)
            assert curve.mean() == pytest.approx(float(mean_over_thresholds(at_mask, everywhere)), abs=1e-9)
            assert float(measure(counts.adaptive())) == pytest.approx(float(adaptive), abs=1e-9)


def test_arrays_of_counts_give_what_single_counts_give(create_pairs):
    each = [count(*pair) for pair in create_pairs(16)]
    together = PixelCounts(*(np.array([getattr(one, name) for one in each]) for name in PixelCounts.__slots__))
    for measure in (f_measure, e_measure):
        assert measure(together).tolist() == [float(measure(one)) for one in each]
        assert measure(together.adaptive()).tolist() == [float(measure(one.adaptive())) for one in each]


def test_a_perfect_mask_scores_one_and_a_wrong_one_nothing():
    assert float(f_measure(PixelCounts(30, 30, 30, 100))) == pytest.approx(1)
    assert float(e_measure(PixelCounts(30, 30, 30, 100))) == pytest.approx(1, abs=0.02)
    assert float(f_measure(PixelCounts(0, 30, 30, 100))) == 0
