"""The S-measure against `pysodmetrics` and its definition, the others against the package's own scaling."""

import warnings

import numpy as np
import py_sod_metrics
import pytest

from thinkseg.api.measure import measure
from thinkseg.metrics.saliency import s_measure


def saliency_scores(pred, target):
    """The numbers of one pair that papers on foreground segmentation have."""
    scores = measure(pred, target)
    return {name: score for name, score in scores.items() if name not in ("giou", "ciou")}


def square(size=768, side=300):
    mask = np.zeros((size, size), bool)
    start = (size - side) // 2
    mask[start : start + side, start : start + side] = True
    return mask


def blobs(rng, shape):
    """A random mask with structure: some noise, coarsely enlarged."""
    coarse = rng.random((1 + shape[0] // 6, 1 + shape[1] // 6)) > rng.uniform(0.2, 0.8)
    return coarse.repeat(6, axis=0).repeat(6, axis=1)[: shape[0], : shape[1]]


def published(pred, target):
    with warnings.catch_warnings():  # its empty quadrants divide by zero
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(py_sod_metrics.Smeasure().cal_sm(pred.astype(np.float64), target))


def test_a_perfect_mask_scores_one_and_an_empty_one_less():
    """Defect 1: against a target of 0 and 1 thresholded at 128, an empty mask scored 1 and a perfect one .847."""
    target = square()
    assert s_measure(target, target) == pytest.approx(1)
    assert s_measure(np.zeros_like(target), target) < 0.5
    scores = saliency_scores(target, target)
    for name in ("s_measure", "weighted_f", "max_f", "adaptive_f", "max_e", "adaptive_e"):
        assert scores[name] == pytest.approx(1, abs=1e-4)
    assert scores["mae"] == 0
    assert saliency_scores(np.zeros_like(target), target)["max_f"] < 0.5


@pytest.mark.parametrize("shape", [(31, 17), (64, 64), (50, 97)])
@pytest.mark.parametrize("kind", ["mask", "noise", "soft", "wrong"])
def test_s_measure_equals_pysodmetrics(shape, kind):
    rng = np.random.default_rng(shape)
    for _ in range(8):
        target = blobs(rng, shape)
        pred = {
            "mask": blobs(rng, shape),
            "noise": rng.random(shape) > 0.5,
            "soft": (0.7 * target + 0.3 * rng.random(shape)),
            "wrong": ~target,
        }[kind]
        assert s_measure(pred, target) == pytest.approx(published(pred, target), abs=1e-6)
        assert s_measure(pred.astype(np.float64), target) == pytest.approx(published(pred, target), abs=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_s_measure_weighs_object_and_region_by_alpha(alpha):
    rng = np.random.default_rng(1)
    target, pred = blobs(rng, (40, 40)), blobs(rng, (40, 40))
    assert s_measure(pred, target, alpha) == pytest.approx(
        py_sod_metrics.Smeasure(alpha).cal_sm(pred.astype(np.float64), target), abs=1e-6
    )


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_s_measure_of_an_empty_or_full_target_is_the_share_that_is_right(share):
    pred = np.zeros((8, 8), bool)
    pred[: int(8 * share)] = True
    nothing, everything = np.zeros((8, 8), bool), np.ones((8, 8), bool)
    assert s_measure(pred, nothing) == s_measure(pred.astype(np.float64), nothing) == 1 - share
    assert s_measure(pred, everything) == share


def test_a_target_in_the_last_corner_has_a_score_where_the_published_one_is_not_a_number():
    target = np.zeros((9, 9), bool)
    target[-1, -1] = True
    assert np.isnan(published(target, target))
    assert s_measure(target, target) == pytest.approx(1)
    assert 0 <= s_measure(np.zeros_like(target), target) < 1


def test_tiny_images_have_a_score():
    for shape in ((1, 1), (1, 2), (2, 1), (2, 2)):
        target = np.zeros(shape, bool)
        target[0, 0] = True
        assert s_measure(target, target) == pytest.approx(1)


@pytest.mark.filterwarnings("ignore:This class will be removed")
@pytest.mark.parametrize("kind", ["mask", "soft", "empty target", "empty prediction", "full prediction"])
def test_the_other_measures_are_those_of_pysodmetrics_on_eight_bit_images(kind):
    rng = np.random.default_rng(3)
    target = np.zeros((48, 60), bool) if kind == "empty target" else blobs(rng, (48, 60))
    grey = (200 * target + rng.integers(0, 55, target.shape)).astype(np.uint8)
    if kind == "mask":
        grey = blobs(rng, target.shape).astype(np.uint8) * 255
    elif kind != "soft":
        grey = np.full(target.shape, 255 if kind == "full prediction" else 0, np.uint8)
    measures = {
        "fm": py_sod_metrics.Fmeasure(),
        "em": py_sod_metrics.Emeasure(),
        "wfm": py_sod_metrics.WeightedFmeasure(),
        "mae": py_sod_metrics.MAE(),
        "sm": py_sod_metrics.Smeasure(),
    }
    for one in measures.values():
        one.step(grey, target.astype(np.uint8) * 255)
    found = {name: one.get_results()[name] for name, one in measures.items()}
    scores = saliency_scores(grey / 255, target)
    assert {name: score for name, score in scores.items() if name not in ("mba", "biou")} == pytest.approx(
        {
            "s_measure": found["sm"],
            "weighted_f": found["wfm"],
            "max_f": found["fm"]["curve"].max(),
            "mean_f": found["fm"]["curve"].mean(),
            "adaptive_f": found["fm"]["adp"],
            "max_e": found["em"]["curve"].max(),
            "mean_e": found["em"]["curve"].mean(),
            "adaptive_e": found["em"]["adp"],
            "mae": found["mae"],
        },
        abs=1e-6,
    )
    if kind == "mask":
        assert saliency_scores(grey > 0, target) == pytest.approx(scores, abs=1e-6)


def test_a_mask_is_measured_from_counts_as_the_package_measures_it_as_a_map(create_pairs):
    """The quick way and the package's agree to 1e-6 on every measure."""
    for pred, target in create_pairs(120, seed=6):
        quick, slow = saliency_scores(pred, target), saliency_scores(pred.astype(np.float64), target)
        assert quick == pytest.approx(slow, abs=1e-6)


def test_a_grey_map_is_cut_at_one_half_for_its_outline():
    target = square(64, 30)
    scores = saliency_scores(np.where(target, 0.8, 0.3), target)
    assert scores["mba"] == scores["biou"] == 1
