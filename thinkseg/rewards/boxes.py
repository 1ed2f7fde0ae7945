"""Parts that compare the boxes and points of an answer with true ones, without a segmenter.

Everything is measured in the frame of 840×840 pixels that the published thresholds belong to: an answer in another
frame is rescaled to it, so the thresholds scale with the frame, on each axis by itself.

Several objects are matched one to one so that the sum of scores is largest, and the sum is divided by the larger of the
two numbers of objects: missing and invented objects both cost. With one object on each side this is the score of the
pair. Nothing predicted where nothing is there is all right, either one alone is all wrong. All cases of a batch go
through the arithmetic together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment

from thinkseg.geometry import pairwise_box_iou
from thinkseg.rewards.case import Case, Scores
from thinkseg.types import Answer, Size

REFERENCE_FRAME = Size(840, 840)
"""The frame of the thresholds below."""

MIN_IOU = 0.5
MAX_BOX_L1 = 10.0
"""Pixels: mean absolute difference of the four coordinates."""
MAX_POINTS_DISTANCE = 100.0
"""Pixels: mean distance of two points, in the better order (Seg-Zero)."""
MAX_POINT_DISTANCE = 30.0
"""Pixels: distance of one point (VisionReasoner)."""

CHUNK = 64
"""Cases that go through the arithmetic together; it bounds the memory that answers with many objects take."""

Hits = Float[np.ndarray, "batch pred true"]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Predicted and true objects of a batch in the reference frame; not a number where there is no object or point."""

    boxes: Float[np.ndarray, "batch pred 4"]
    points: Float[np.ndarray, "batch pred 2 2"]
    """The first two points on each object."""
    true_boxes: Float[np.ndarray, "batch true 4"]
    true_points: Float[np.ndarray, "batch true 2 2"]


def box_iou(cases: Sequence[Case]) -> Scores:
    """1 when the IoU of the boxes, counted in pixels, is above 0.5."""
    return _matched(cases, _iou_hits)


def box_l1(cases: Sequence[Case]) -> Scores:
    """1 when the four coordinates differ by less than 10 pixels on average."""
    return _matched(cases, _l1_hits)


def points(cases: Sequence[Case]) -> Scores:
    """Seg-Zero: 1 when two points lie in the predicted box and less than 100 pixels from the true two on average."""
    return _matched(cases, _two_point_hits)


def accuracy(cases: Sequence[Case]) -> Scores:
    """VisionReasoner, 0…3: per pair 1 each for the IoU, for the coordinates, and for a point near the true one."""
    return _matched(cases, lambda pairs: _iou_hits(pairs) + _l1_hits(pairs) + _one_point_hits(pairs), full=3.0)


def _matched(cases: Sequence[Case], hits: Callable[[Pairs], Hits], full: float = 1.0) -> Scores:
    """The scores of all cases: a matching per case, `full` where rightly nothing is there."""
    scores: Scores = [None] * len(cases)
    to_match: list[tuple[int, Answer, Answer]] = []
    for index, case in enumerate(cases):
        answer, truth = case.answer, case.truth.objects
        if truth is None:
            continue
        if answer is not None and answer.objects and truth.objects:
            to_match.append((index, answer, truth))
        else:
            scores[index] = full if answer is not None and not answer.objects and not truth.objects else 0.0
    for start in range(0, len(to_match), CHUNK):
        indices, answers, truths = zip(*to_match[start : start + CHUNK], strict=True)
        table = hits(_pairs(answers, truths))
        for row, index in enumerate(indices):
            predicted, true = len(answers[row].objects), len(truths[row].objects)
            values = table[row, :predicted, :true]
            best = values[linear_sum_assignment(values, maximize=True)].sum() if values.size > 1 else values[0, 0]
            scores[index] = float(best) / max(predicted, true)
    return scores


def _pairs(answers: Sequence[Answer], truths: Sequence[Answer]) -> Pairs:
    return Pairs(*_arrays(answers), *_arrays(truths))


def _arrays(
    answers: Sequence[Answer],
) -> tuple[Float[np.ndarray, "batch objects 4"], Float[np.ndarray, "batch objects 2 2"]]:
    """Boxes and the first two points of each object, side by side."""
    most = max(len(answer.objects) for answer in answers)
    boxes = np.full((len(answers), most, 4), np.nan)
    places = np.full((len(answers), most, 2, 2), np.nan)
    for row, answer in enumerate(answers):
        for column, prompt in enumerate(answer.rescaled(REFERENCE_FRAME).objects):
            if prompt.box is not None:
                boxes[row, column] = prompt.box.xyxy
            on_object = [(point.x, point.y) for point in prompt.points if point.label == 1][:2]
            if on_object:
                places[row, column, : len(on_object)] = on_object
    return boxes, places


def _iou_hits(pairs: Pairs) -> Hits:
    with np.errstate(invalid="ignore"):
        overlaps = pairwise_box_iou(pairs.boxes, pairs.true_boxes, inclusive=True)
    return np.asarray(overlaps > MIN_IOU, dtype=np.float64)


def _l1_hits(pairs: Pairs) -> Hits:
    differences = np.abs(pairs.boxes[:, :, None] - pairs.true_boxes[:, None]).mean(axis=-1)
    return np.asarray(differences < MAX_BOX_L1, dtype=np.float64)


def _one_point_hits(pairs: Pairs) -> Hits:
    near = _distances(pairs)[..., 0, 0] < MAX_POINT_DISTANCE
    return np.asarray(near & _points_in_box(pairs)[:, :, :1], dtype=np.float64)


def _two_point_hits(pairs: Pairs) -> Hits:
    distances = _distances(pairs)
    straight = (distances[..., 0, 0] + distances[..., 1, 1]) / 2
    crossed = (distances[..., 0, 1] + distances[..., 1, 0]) / 2
    near = np.minimum(straight, crossed) < MAX_POINTS_DISTANCE
    return np.asarray(near & _points_in_box(pairs).all(axis=-1, keepdims=True), dtype=np.float64)


def _distances(pairs: Pairs) -> Float[np.ndarray, "batch pred true 2 2"]:
    """From each of an object's two points to each of the other's."""
    offsets = pairs.points[:, :, None, :, None] - pairs.true_points[:, None, :, None, :]
    return np.asarray(np.hypot(offsets[..., 0], offsets[..., 1]))


def _points_in_box(pairs: Pairs) -> Bool[np.ndarray, "batch pred 2"]:
    """Whether an object's points lie in its own predicted box, border included."""
    low, high = pairs.boxes[:, :, None, :2], pairs.boxes[:, :, None, 2:]
    return np.asarray(((pairs.points >= low) & (pairs.points <= high)).all(axis=-1))
