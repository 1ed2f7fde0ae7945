"""A model that writes down its reference answer to the letter is right by every measure and reward of boxes."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from thinkseg.evaluation.measures.registry import measure
from thinkseg.evaluation.records import PredictionRecord, boxes_to_json
from thinkseg.geometry import box_iou, reference_answer
from thinkseg.types import Box, Size, TrueBox


@pytest.mark.parametrize("side", [1, 2, 4, 8, 30])
def test_a_perfect_imitation_of_a_small_object_has_the_whole_box(
    side: int, create_record: Callable[..., PredictionRecord]
) -> None:
    """Boxes that ended at the last pixel's index reached (7/8)² = .77 of an object of eight pixels."""
    mask = np.zeros((32, 32), dtype=bool)
    mask[1 : 1 + side, 2 : 2 + min(side, 30)] = True
    (prompt,) = reference_answer(mask).objects
    annotated = Box(2.0, 1.0, 2.0 + side, 1.0 + side)  # as COCO has it: x + width, y + height
    assert prompt.box is not None
    assert box_iou(prompt.box, annotated) == 1
    record = dataclasses.replace(
        create_record(0, 0.5),
        query="cup",
        frame=Size(32, 32).wh,
        objects=[{"box": list(prompt.box.xyxy), "points": []}],
        true_boxes=boxes_to_json([TrueBox(annotated, float(side * side))]),
        rle={"size": [32, 32], "counts": "PP1"},
    )
    found = measure([record], ("ap", "ap75", "box_accuracy", "box_precision", "box_recall"))
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(dict.fromkeys(found, 1.0))
    assert len(found) == 5
