"""Parts that compare the boxes and points of an answer with true ones, without a segmenter.

Each comes twice: as published, a threshold that is passed or not, and soft, a straight line that is 1 where both agree
and one half where the threshold is (`soft_points` and `soft_point` as long as the points lie in their box). All are
measured in the frame of 840×840 pixels (see `thinkseg.rewards.pairs`), several objects are matched (see
`thinkseg.rewards.matching`), and all inputs of a batch go through the arithmetic together.
"""

import math
from collections.abc import Callable

import numpy as np

from thinkseg.rewards import pairs
from thinkseg.rewards.batch import RewardBatch
from thinkseg.rewards.matching import matched_share
from thinkseg.rewards.pairs import Pairs, Table
from thinkseg.rewards.part import RewardPart, Scores, reward
from thinkseg.rewards.reward_input import trivial_score

MIN_IOU = 0.5
MAX_BOX_L1 = 10.0
"""Pixels: mean absolute difference of the four coordinates."""
MAX_POINTS_DISTANCE = 100.0
"""Pixels: mean distance of two points, in the better order (Seg-Zero)."""
MAX_POINT_DISTANCE = 30.0
"""Pixels: distance of one point (VisionReasoner)."""


def _matched(name: str, scores: Callable[[Pairs], Table], *, full: float = 1.0, true_points: int = 0) -> RewardPart:
    """A part from the scores of pairs.

    Args:
        name: of the part.
        scores: of every predicted object with every true one, 0…full.
        full: what the perfect pair has.
        true_points: how many points on each true object the scores need; with fewer, the truth is not known.
    """

    @reward(needs=["objects"], batch=True, name=name, points=true_points)
    def part(batch: RewardBatch) -> Scores:
        known = [points >= true_points for points in batch.known_points]
        values: Scores = [None] * len(batch)
        for index, (item, points_of_each) in enumerate(zip(batch, batch.known_points, strict=True)):
            share = trivial_score(item, nothing_there=math.isinf(points_of_each)) if known[index] else None
            values[index] = None if share is None else share * full
        for chunk in batch.chunks:
            table = scores(chunk.pairs)
            for row, (index, predicted, true) in enumerate(chunk.rows):
                if known[index]:
                    values[index] = matched_share(table[row, :predicted, :true])
        return values

    return part


def _iou_hit(found: Pairs) -> Table:
    return np.asarray(pairs.iou(found) > MIN_IOU, dtype=np.float64)


def _l1_hit(found: Pairs) -> Table:
    return np.asarray(pairs.box_l1(found) < MAX_BOX_L1, dtype=np.float64)


def _point_hit(found: Pairs) -> Table:
    near = pairs.point_distance(found) < MAX_POINT_DISTANCE
    return np.asarray(near & (pairs.overhang(found)[:, :, :1] == 0), dtype=np.float64)


def _two_point_hit(found: Pairs) -> Table:
    near = pairs.two_point_distance(found) < MAX_POINTS_DISTANCE
    in_box = pairs.overhang(found) == 0
    return np.asarray(near & in_box.all(axis=-1, keepdims=True), dtype=np.float64)


def _iou_line(found: Pairs) -> Table:
    return np.asarray(np.nan_to_num(pairs.iou(found)))


def _l1_line(found: Pairs) -> Table:
    return _line(pairs.box_l1(found), MAX_BOX_L1)


def _point_line(found: Pairs) -> Table:
    return _line(pairs.point_distance(found) + pairs.overhang(found)[:, :, :1], MAX_POINT_DISTANCE)


def _two_point_line(found: Pairs) -> Table:
    outside = pairs.overhang(found).mean(axis=-1, keepdims=True)
    return _line(pairs.two_point_distance(found) + outside, MAX_POINTS_DISTANCE)


def _line(distance: Table, threshold: float) -> Table:
    """1 at no distance, one half at the threshold, 0 from twice the threshold on and where there is nothing."""
    return np.asarray(np.nan_to_num(np.maximum(1 - distance / (2 * threshold), 0)))


box_iou = _matched("box_iou", _iou_hit)
"""1 when the IoU of the boxes, counted in pixels, is above 0.5."""
box_l1 = _matched("box_l1", _l1_hit)
"""1 when the four coordinates differ by less than 10 pixels on average."""
points = _matched("points", _two_point_hit, true_points=2)
"""Seg-Zero: 1 when two points lie in the predicted box and less than 100 pixels from the true two on average."""
point = _matched("point", _point_hit, true_points=1)
"""VisionReasoner: 1 when the point lies in its own box and less than 30 pixels from the true one."""
accuracy = _matched(
    "accuracy",
    lambda found: _iou_hit(found) + _l1_hit(found) + _point_hit(found),
    full=3.0,
    true_points=1,
)
"""VisionReasoner, 0…3: per pair 1 each for the IoU, for the coordinates, and for the point."""

soft_box_iou = _matched("soft_box_iou", _iou_line)
"""The IoU of the boxes itself, counted in pixels."""
soft_box_l1 = _matched("soft_box_l1", _l1_line)
"""max(0, 1 - d/20), d the mean difference of the four coordinates in pixels."""
soft_points = _matched("soft_points", _two_point_line, true_points=2)
"""max(0, 1 - (d + o)/200), d the mean distance to the true two points in the better order, o how far the points lie
outside the predicted box on average, in pixels."""
soft_point = _matched("soft_point", _point_line, true_points=1)
"""max(0, 1 - (d + o)/60), d the distance to the true point, o how far the point lies outside its own box."""
soft_accuracy = _matched(
    "soft_accuracy",
    lambda found: _iou_line(found) + _l1_line(found) + _point_line(found),
    full=3.0,
    true_points=1,
)
"""VisionReasoner's accuracy of soft parts, 0…3: per pair `soft_box_iou` + `soft_box_l1` + `soft_point`."""
