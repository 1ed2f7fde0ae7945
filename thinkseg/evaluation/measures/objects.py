"""Measures of objects rather than pixels: of boxes and of counts.

Boxes are those that the model wrote, carried over to the image; an object without a box has none. An unreadable
answer has no boxes and the count 0, and stays in the denominator.
"""

import operator
from typing import Literal

import numpy as np
from jaxtyping import Float

from thinkseg.evaluation.measures.base import OverAll, RatioOfSums, Records, Rows
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.geometry import box_iou, pairwise_box_iou
from thinkseg.metrics.detection import Detections, DetectionScores, detection_scores
from thinkseg.types import Box, Metric, Size

BOX_IOU = 0.5
"""From this IoU on a box is right."""


def first_box_is_right(record: PredictionRecord) -> bool | None:
    """Whether the first box has an IoU of at least 0.5 with the true one; None without exactly one true box."""
    if not _has_one_box(record):
        return None
    boxes = _boxes(record)
    return len(boxes) > 0 and box_iou(Box(*boxes[0]), Box(*_true_boxes(record)[0])) >= BOX_IOU


def any_box_is_right(record: PredictionRecord) -> bool | None:
    """The same as VisionReasoner counts it: one box of the answer, in whole pixels, has an IoU above 0.5."""
    if not _has_one_box(record):
        return None
    return _is_right(_whole(_boxes(record)), record)


def any_box_or_hull_is_right(record: PredictionRecord) -> bool | None:
    """As `any_box_is_right`, or the smallest box around all boxes of the answer is right.

    VisionReasoner's evaluation counts this way since August 2025, so that several boxes of parts find an object whole.
    """
    if not _has_one_box(record):
        return None
    boxes = _whole(_boxes(record))
    if len(boxes):
        hull = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
        boxes = np.concatenate([boxes, hull[None]])
    return _is_right(boxes, record)


def count_is_right(record: PredictionRecord) -> bool | None:
    """Whether the number of objects is the true one."""
    return None if record.true_count is None else len(record.objects) == record.true_count


def count_error(record: PredictionRecord) -> float | None:
    """The absolute difference between the number of objects of the answer and the true one."""
    return None if record.true_count is None else abs(len(record.objects) - record.true_count)


def detection(name: str, *, by_area: bool = False) -> OverAll:
    """A measure of boxes against all true objects of a category, in images that show one.

    Args:
        name: a field of `DetectionScores`.
        by_area: whether boxes are ranked by their share of the image, in whole pixels, as VisionReasoner does, or not
            at all, since the models give no confidence.
    """

    def of(records: Records) -> Metric | None:
        known = [record for record in records if record.true_boxes is not None]
        if not known:
            return None
        value = getattr(_detection_scores(known, by_area), name)
        return None if value is None else Metric(value, len(known))

    return OverAll(of, "COCO's matching of all boxes, by pycocotools")


def box_rate(among: Literal["boxes", "objects"]) -> RatioOfSums:
    """Of all boxes, or of all true objects, the share that has a counterpart of its own at IoU 0.50."""

    def rows(records: Records) -> Rows:
        known = [index for index, record in enumerate(records) if record.true_boxes is not None]
        found = np.zeros((len(records), 2))
        if known:
            counts = _detection_scores([records[index] for index in known], False).counts50
            found[known] = counts[:, [0, 1 if among == "boxes" else 2]]
        return found

    return RatioOfSums(rows)


def _is_right(boxes: Float[np.ndarray, "boxes 4"], record: PredictionRecord) -> bool:
    """Whether one of the boxes has an IoU above 0.5 with the true one."""
    return bool((pairwise_box_iou(boxes, _true_boxes(record)) > BOX_IOU).any())


def _has_one_box(record: PredictionRecord) -> bool:
    return record.true_boxes is not None and len(record.true_boxes) == 1


def _boxes(record: PredictionRecord) -> Float[np.ndarray, "boxes 4"]:
    """The boxes of the answer in the image's pixels, in the order in which they were written."""
    if record.answer is None:
        return np.zeros((0, 4))
    height, width = record.rle["size"]
    objects = record.answer.rescaled(Size(width, height)).objects
    return np.array([prompt.box.xyxy for prompt in objects if prompt.box is not None], dtype=float).reshape(-1, 4)


def _whole(boxes: Float[np.ndarray, "boxes 4"]) -> Float[np.ndarray, "boxes 4"]:
    """Boxes in whole pixels, halves upwards, as VisionReasoner rounds them."""
    return np.asarray(np.floor(boxes + 0.5))


def _true_boxes(record: PredictionRecord) -> Float[np.ndarray, "true 4"]:
    return np.array([true["box"] for true in record.true_boxes or ()], dtype=float).reshape(-1, 4)


def _detections(record: PredictionRecord, by_area: bool) -> Detections:
    boxes, true = _boxes(record), record.true_boxes or []
    if by_area:
        boxes = _whole(boxes)
    height, width = record.rle["size"]
    return Detections(
        category=record.query,
        true_boxes=_true_boxes(record),
        areas=np.array([one["area"] for one in true], dtype=float),
        crowd=np.array([one["crowd"] for one in true], dtype=bool),
        boxes=boxes,
        scores=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / (width * height) if by_area else None,
    )


_LAST: dict[bool, tuple[list[PredictionRecord], DetectionScores]] = {}
"""What was matched last: several measures ask for the same."""


def _detection_scores(records: list[PredictionRecord], by_area: bool) -> DetectionScores:
    last = _LAST.get(by_area)
    same = last is not None and len(last[0]) == len(records) and all(map(operator.is_, last[0], records))
    if last is None or not same:
        last = records, detection_scores([_detections(record, by_area) for record in records])
        _LAST[by_area] = last
    return last[1]
