"""The quick weighted F of masks against the package's."""

import numpy as np
import pytest
from py_sod_metrics import WeightedFmeasure

from thinkseg.metrics.weighted import weighted_f


def published(pred, target):
    measure = WeightedFmeasure()
    measure.step(pred.astype(np.float64), target, normalize=False)
    return float(measure.get_results()["wfm"])


def test_it_is_that_of_pysodmetrics_on_masks_of_every_kind(create_pairs):
    for pred, target in create_pairs(240):
        assert weighted_f(pred, target) == pytest.approx(published(pred, target), abs=1e-6)


def test_of_several_nearest_pixels_the_reference_takes_the_leftmost_and_then_the_uppermost():
    """Two true pixels, one missed, and a window that reaches the pixels between them: the choice shows."""
    for transposed in (False, True):
        for missed in (0, 1):
            target = np.zeros((9, 9), bool)
            target[2, 4] = target[6, 4] = True
            pred = target.copy()
            pred[(2, 6)[missed], 4] = False
            if transposed:
                pred, target = pred.T.copy(), target.T.copy()
            assert weighted_f(pred, target) == pytest.approx(published(pred, target), abs=1e-9)


def test_a_false_alarm_far_off_weighs_more_than_one_at_the_object():
    target = np.zeros((40, 40), bool)
    target[10:20, 10:20] = True
    near, far = target.copy(), target.copy()
    near[10:20, 20] = True
    far[10:20, 39] = True
    assert 1 > weighted_f(near, target) > weighted_f(far, target) > 0.5


def test_a_large_image_far_from_its_object_agrees_too():
    target = np.zeros((1200, 1600), bool)
    target[20:60, 30:80] = True
    pred = np.roll(target, 3, axis=1)
    pred[1100:1190, 1500:1590] = True
    assert weighted_f(pred, target) == pytest.approx(published(pred, target), abs=1e-6)
