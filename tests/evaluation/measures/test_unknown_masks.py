"""A sample whose true mask is not known says nothing about masks, right or wrong."""

from typing import Any

import numpy as np
import pytest

from thinkseg.evaluation.measures.groups import DICHOTOMOUS_MEASURES, PRECISION_MEASURES
from thinkseg.evaluation.measures.registry import extra_metrics, measure
from thinkseg.evaluation.records import PredictionRecord, record_from_line, record_to_line
from thinkseg.evaluation.scoring import score
from thinkseg.types import Answer, Box, Completion, Failure, ObjectPrompt, Prediction, Sample, Size, TrueBox

NAMES = (*DICHOTOMOUS_MEASURES, *PRECISION_MEASURES, "box_accuracy", "ap")
OF_MASKS = [name for name in NAMES if name not in ("parse_failures", "false_abstentions", "box_accuracy", "ap")]
TRUE = Box(2, 2, 12, 12)


def mask_of(box: Box | None) -> Any:
    mask = np.zeros((30, 40), dtype=bool)
    if box is not None:
        left, top, right, bottom = map(int, box.xyxy)
        mask[top:bottom, left:right] = True
    return mask


def scored(predicted: Box | None, *, known: bool, name: str = "a") -> PredictionRecord:
    sample = Sample(name, "a.png", "cup", mask_of(TRUE) if known else None, boxes=(TrueBox(TRUE, 100.0),))
    objects = () if predicted is None else (ObjectPrompt(predicted),)
    answer = Answer(Size(40, 30), objects) if predicted is not None else None
    failure = Failure.MALFORMED_ANSWER if predicted is None else None
    prediction = Prediction(name, Completion("…"), answer, mask_of(predicted)[None], failure=failure)
    return record_from_line(record_to_line(score(sample, prediction, extra_metrics(NAMES))))


@pytest.mark.parametrize("predicted", [TRUE, None], ids=["the right box", "nonsense"])
def test_without_a_true_mask_no_measure_of_masks_is_given(predicted: Box | None) -> None:
    """The right box had a mean IoU of 0, and nonsense one of 1."""
    metrics = measure([scored(predicted, known=False)], NAMES)
    assert not set(metrics) & set(OF_MASKS)
    assert metrics["box_accuracy"].value == metrics["ap"].value == (predicted is not None)


def test_samples_without_a_true_mask_are_left_out_of_what_the_others_say() -> None:
    known = [scored(TRUE, known=True, name="a"), scored(Box(2, 2, 12, 7), known=True, name="b")]
    alone = measure(known, NAMES)
    unknown = [scored(TRUE, known=False, name="c"), scored(None, known=False, name="d")]
    mixed = measure([unknown[0], *known, unknown[1]], NAMES)
    assert {name: (mixed[name].value, mixed[name].count) for name in OF_MASKS} == {
        name: (alone[name].value, 2) for name in OF_MASKS
    }
    assert alone["giou"].value == pytest.approx((1 + 0.5) / 2)
    assert mixed["parse_failures"].count == 4


def test_samples_without_a_true_mask_are_described_by_how_many_objects_were_found() -> None:
    right, nonsense = scored(TRUE, known=False), scored(None, known=False)
    assert (right.outcome, right.quality) == ("1 found, 1 there", 1.0)
    assert (nonsense.outcome, nonsense.quality) == ("0 found, 1 there", 0.5)
