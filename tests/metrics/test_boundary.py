"""The outline measures against their definitions, pixel by pixel, and against the procedures that were published."""

import cv2
import numpy as np
import pytest
from py_sod_metrics import HumanCorrectionEffortMeasure

from thinkseg.metrics.boundary import boundary_accuracy, boundary_iou, correction_effort


def square(shape=(60, 80), rows=slice(20, 40), columns=slice(20, 50)):
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_a_perfect_outline_scores_one_and_an_empty_mask_about_a_half():
    target = square()
    assert boundary_accuracy(target, target) == boundary_iou(target, target) == 1
    empty = np.zeros_like(target)
    assert 0.4 < boundary_accuracy(empty, target) < 0.6
    assert boundary_iou(empty, target) == 0
    assert boundary_accuracy(~target, target) == 0


def test_boundary_accuracy_is_the_share_of_right_pixels_that_see_both_sides_within_the_radius(create_blobs):
    """At (width + height) up to 600 all five radii are 1, whose disk is a pixel and its four neighbours."""
    rng = np.random.default_rng(1)
    for shape in ((7, 9), (31, 20), (40, 64)):
        target, pred = create_blobs(rng, shape), create_blobs(rng, shape)
        padded = np.pad(target, 1, mode="edge")
        around = [
            padded[1 + dy : 1 + dy + shape[0], 1 + dx : 1 + dx + shape[1]]
            for dy, dx in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
        ]
        rim = np.logical_or.reduce(around) & ~np.logical_and.reduce(around)
        assert boundary_accuracy(pred, target) == pytest.approx((pred == target)[rim].mean())


def test_on_large_images_boundary_accuracy_looks_at_wider_rims_too():
    target = square((900, 1200), slice(200, 600), slice(200, 800))
    shifted = np.roll(target, 2, axis=1)
    radii = [1 + int((7 - 1) / 5 * step) for step in range(5)]
    assert radii == [1, 2, 3, 4, 5]
    expected = []
    for radius in radii:
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        grey = target.astype(np.uint8)
        rim = cv2.dilate(grey, disk) != cv2.erode(grey, disk)
        expected.append((shifted == target)[rim].mean())
    assert boundary_accuracy(shifted, target) == pytest.approx(np.mean(expected))
    assert expected[0] < expected[-1]


def test_boundary_iou_is_that_of_the_published_procedure(create_pairs):
    """Erosion by 3 × 3, once for every pixel of the rim's width, in an image with a border of zeros."""

    def rim(mask, width):
        core = cv2.erode(np.pad(mask, 1).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width)
        return mask & (core[1:-1, 1:-1] == 0)

    for pred, target in create_pairs(80):
        width = max(1, round(0.02 * float(np.hypot(*target.shape))))
        rims = rim(pred, width), rim(target, width)
        union = (rims[0] | rims[1]).sum()
        expected = (rims[0] & rims[1]).sum() / union if union else 1.0
        assert boundary_iou(pred, target) == pytest.approx(expected)


def test_an_empty_or_full_target_is_met_by_the_equal_prediction_only():
    nothing, everything = np.zeros((8, 8), bool), np.ones((8, 8), bool)
    assert boundary_accuracy(nothing, nothing) == boundary_accuracy(everything, everything) == 1
    assert boundary_accuracy(everything, nothing) == boundary_accuracy(nothing, everything) == 0
    assert boundary_iou(nothing, nothing) == 1
    assert boundary_iou(everything, nothing) == 0


def test_the_effort_of_correction_is_that_of_pysodmetrics(create_pairs):
    for pred, target in create_pairs(24, seed=2):
        measure = HumanCorrectionEffortMeasure()
        measure.step(pred.astype(np.float64), target, normalize=False)
        assert correction_effort(pred, target) == pytest.approx(float(measure.get_results()["hce"]))
    assert correction_effort(square(), square()) == 0
