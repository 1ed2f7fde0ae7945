"""Predicted beside true objects of a batch, as arrays, and how far each pair of them is apart.

Everything is measured in the frame of 840×840 pixels that the published thresholds belong to: an answer in another
frame is rescaled to it, so the thresholds scale with the frame, on each axis by itself. Where an object has no box or
no point, its measures are not a number (NaN), which is neither above nor below any threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thinkseg.geometry import pairwise_box_iou
from thinkseg.types import Answer, Size

REFERENCE_FRAME = Size(840, 840)
"""The frame of all measures."""

Table = Float[np.ndarray, "batch pred true"]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Predicted and true objects of a batch in the reference frame."""

    boxes: Float[np.ndarray, "batch pred 4"]
    points: Float[np.ndarray, "batch pred 2 2"]
    """The first two points on each object."""
    true_boxes: Float[np.ndarray, "batch true 4"]
    true_points: Float[np.ndarray, "batch true 2 2"]


def pairs_of(answers: Sequence[Answer], truths: Sequence[Answer]) -> Pairs:
    """The objects of a batch side by side; rows with fewer objects than others end in objects without anything."""
    return Pairs(*_arrays(answers), *_arrays(truths))


def iou(pairs: Pairs) -> Table:
    """Intersection over union of the boxes as pixel indices, 0…1."""
    with np.errstate(invalid="ignore"):
        return pairwise_box_iou(pairs.boxes, pairs.true_boxes, inclusive=True)


def box_l1(pairs: Pairs) -> Table:
    """Mean absolute difference of the four coordinates, in pixels."""
    return np.asarray(np.abs(pairs.boxes[:, :, None] - pairs.true_boxes[:, None]).mean(axis=-1))


def point_distance(pairs: Pairs) -> Table:
    """From the first point to the first true one, in pixels."""
    return np.asarray(_distances(pairs)[..., 0, 0])


def two_point_distance(pairs: Pairs) -> Table:
    """From two points to the true two in the better order, the mean of both, in pixels."""
    distances = _distances(pairs)
    straight = (distances[..., 0, 0] + distances[..., 1, 1]) / 2
    crossed = (distances[..., 0, 1] + distances[..., 1, 0]) / 2
    return np.asarray(np.minimum(straight, crossed))


def overhang(pairs: Pairs) -> Float[np.ndarray, "batch pred 2"]:
    """How far each of a predicted object's points lies outside its own box, in pixels; 0 in it and on its border."""
    low, high = pairs.boxes[:, :, None, :2], pairs.boxes[:, :, None, 2:]
    beyond = np.maximum(np.maximum(low - pairs.points, pairs.points - high), 0)
    return np.asarray(np.hypot(beyond[..., 0], beyond[..., 1]))


def _distances(pairs: Pairs) -> Float[np.ndarray, "batch pred true 2 2"]:
    """From each of an object's two points to each of the other's."""
    offsets = pairs.points[:, :, None, :, None] - pairs.true_points[:, None, :, None, :]
    return np.asarray(np.hypot(offsets[..., 0], offsets[..., 1]))


def _arrays(
    answers: Sequence[Answer],
) -> tuple[Float[np.ndarray, "batch objects 4"], Float[np.ndarray, "batch objects 2 2"]]:
    """Boxes and the first two points on each object, side by side."""
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
