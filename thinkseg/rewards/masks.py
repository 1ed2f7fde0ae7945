"""Parts that look at what the segmenter makes of an answer, and at how it is prompted."""

import math

import numpy as np

from thinkseg.metrics.overlap import count_overlap
from thinkseg.metrics.saliency import s_measure
from thinkseg.rewards.case import Case

IOU_SHARE = 0.7
"""Weight of the IoU in `segment`; the rest is the S-measure's (Seg-R1)."""


def segment(case: Case) -> float | None:
    """Seg-R1: 0.7·IoU + 0.3·S-measure between the union of the segmenter's masks and the true mask, 0…1.

    A malformed answer earns 0. Where nothing is there, an answer that says so earns 1 and any other 0; where something
    is there, "nothing there" earns 0.
    """
    target = case.truth.mask
    if target is None or case.masks is None:
        return None
    if case.answer is None:
        return 0.0
    if not case.answer.objects or not target.any():
        return float(not case.answer.objects and not target.any())
    pred = np.asarray(case.masks.any(axis=0))
    if case.truth.ignore is not None:
        pred = np.where(case.truth.ignore, target, pred)  # right wherever it does not count
    iou = count_overlap(pred, target, case.truth.ignore).iou
    return IOU_SHARE * iou + (1 - IOU_SHARE) * s_measure(pred, target)


def point_count(case: Case) -> float | None:
    """Seg-R1's unused term: exp(-(n - 8)² / 8) of the number of points; none to count when nothing is there."""
    if case.answer is None:
        return 0.0
    if not case.answer.objects:
        return None
    count = len({point for prompt in case.answer.objects for point in prompt.points})
    return math.exp(-((count - 8) ** 2) / 8)
