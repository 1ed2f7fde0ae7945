"""Average precision of boxes by COCO's own tools, for models that give their boxes no confidence.

Average precision asks for boxes ranked by confidence. Where there is none, a system has one precision and one recall
and no curve; `detection_scores` without scores gives the area below that one point: precision up to the recall that was
reached, nothing beyond. (COCO's tools, told that all scores are the same, give another number for every order of the
images.) With scores it is COCO's curve. Matching is COCO's in both cases: ten IoUs from 0.50 to 0.95, boxes on crowds
count neither way, boxes of equal score in the order in which they were written.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Integer

MAX_BOXES = 100
"""So many boxes of an image are looked at, the ones of highest score, as COCO has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The true and the predicted boxes of one category in one image; boxes are x_min, y_min, x_max, y_max."""

    category: str
    true_boxes: Float[np.ndarray, "true 4"]
    areas: Float[np.ndarray, " true"]
    """Pixels of the true objects."""
    crowd: Bool[np.ndarray, " true"]
    boxes: Float[np.ndarray, "boxes 4"]
    scores: Float[np.ndarray, " boxes"] | None = None
    """Confidences, or None when there are none."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectionScores:
    """What COCO's tools find, all 0…1; None where there is no true object."""

    ap: float | None
    """Mean over ten IoUs from 0.50 to 0.95 and over the categories."""
    ap50: float | None
    ap75: float | None
    precision50: float | None
    """The share of all predicted boxes that have an object of their own at IoU 0.50; None when there is no box."""
    recall50: float | None
    """The share of all true objects that have a box of their own at IoU 0.50."""
    counts50: Integer[np.ndarray, "images 3"]
    """For each image the hits, the boxes and the true objects that count, at IoU 0.50."""


def detection_scores(images: Sequence[Detections]) -> DetectionScores:
    """The average precision over images and categories.

    Args:
        images: each with scores, or each without.
    """
    matched = _match(images)
    with_scores = any(image.scores is not None for image in images)
    precision = matched.eval["precision"][:, :, :, 0, 0] if with_scores else _single_point_curves(matched)
    thresholds = list(np.round(matched.params.iouThrs, 2))
    hits, false_alarms, objects = (counts[thresholds.index(0.5)] for counts in _counts(matched, "image_id"))
    counts50 = np.stack([hits, hits + false_alarms, objects], axis=1)
    hit_count, box_count, object_count = counts50.sum(axis=0)
    return DetectionScores(
        ap=_mean(precision),
        ap50=_mean(precision[thresholds.index(0.5)]),
        ap75=_mean(precision[thresholds.index(0.75)]),
        precision50=float(hit_count / box_count) if box_count else None,
        recall50=float(hit_count / object_count) if object_count else None,
        counts50=counts50,
    )


def _match(all_detections: Sequence[Detections]) -> Any:
    """COCO's evaluation object, matched and accumulated; every pair of image and category is an image to it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    numbers = {name: number for number, name in enumerate(dict.fromkeys(p.category for p in all_detections), start=1)}
    truths: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for number, detections in enumerate(all_detections, start=1):
        category = numbers[detections.category]
        for box, area, crowd in zip(detections.true_boxes, detections.areas, detections.crowd, strict=True):
            row = _row(len(truths) + 1, number, category, box)
            truths.append(row | {"area": float(area), "iscrowd": int(crowd)})
        scores = np.ones(len(detections.boxes)) if detections.scores is None else detections.scores
        for box, score in zip(detections.boxes, scores, strict=True):
            row = _row(len(predictions) + 1, number, category, box)
            predictions.append(row | {"area": float((box[2] - box[0]) * (box[3] - box[1])), "score": float(score)})
    images = [{"id": image} for image in range(1, len(all_detections) + 1)]
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
        tables = []
        for rows in (truths, predictions):
            table = COCO()
            table.dataset = {"images": images, "categories": categories, "annotations": rows}
            table.createIndex()
            tables.append(table)
        matched = COCOeval(*tables, iouType="bbox")
        matched.params.areaRng, matched.params.areaRngLbl = [matched.params.areaRng[0]], ["all"]
        matched.params.maxDets = [MAX_BOXES]
        matched.evaluate()
        matched.accumulate()
    return matched


def _row(number: int, image: int, category: int, box: np.ndarray) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in box)
    return {
        "id": number, "image_id": image, "category_id": category, "bbox": [left, top, right - left, bottom - top]
    }  # fmt: skip


def _counts(
    matched: Any, by: Literal["category_id", "image_id"] = "category_id"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, false alarms and true objects, each by IoU and category, or by IoU and image."""
    members = matched.params.catIds if by == "category_id" else matched.params.imgIds
    shape = len(matched.params.iouThrs), len(members)
    hits, false_alarms, true_count = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    columns = {member: column for column, member in enumerate(members)}
    for found in filter(None, matched.evalImgs):
        column = columns[found[by]]
        counted = ~found["dtIgnore"].astype(bool)
        hit = found["dtMatches"] > 0
        hits[:, column] += (hit & counted).sum(axis=1)
        false_alarms[:, column] += (~hit & counted).sum(axis=1)
        true_count[:, column] += int((np.asarray(found["gtIgnore"]) == 0).sum())
    return hits, false_alarms, true_count


def _single_point_curves(matched: Any) -> np.ndarray:
    """Precision by IoU, recall and category when all boxes are equally sure; -1 for a category without objects."""
    hits, false_alarms, true_count = _counts(matched)
    boxes = hits + false_alarms
    precision = np.divide(hits, boxes, out=np.zeros(hits.shape), where=boxes > 0)
    recall = np.divide(hits, true_count, out=np.zeros(hits.shape), where=true_count > 0)
    reached = matched.params.recThrs[None, :, None] <= recall[:, None, :]
    return np.where(true_count[:, None, :] > 0, precision[:, None, :] * reached, -1.0)


def _mean(precision: np.ndarray) -> float | None:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None
