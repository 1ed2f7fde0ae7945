"""One prediction against the truth: all numbers of a sample, in the record that is kept of it."""

import dataclasses

import numpy as np

from thinkseg.answers.codec import prompt_to_json
from thinkseg.errors import DataError
from thinkseg.evaluation.measures.extra_metrics import Details, no_extra_metrics
from thinkseg.evaluation.records import PredictionRecord, boxes_to_json
from thinkseg.imaging import rle_from_mask
from thinkseg.metrics.overlap import count_overlap
from thinkseg.metrics.saliency import s_measure
from thinkseg.types import Prediction, Sample


def score(sample: Sample, prediction: Prediction, details: Details = no_extra_metrics) -> PredictionRecord:
    """Hold one prediction against the truth; a failure is an empty mask.

    Args:
        sample: with its target.
        prediction: of the same size.
        details: what else to measure.

    Raises:
        DataError: the sample has no target, boxes or count, or prediction and target differ in size.
    """
    predicted = prediction.mask
    comparable = sample.count is not None or sample.boxes is not None  # without a mask, too
    target = np.zeros_like(predicted) if sample.target is None and comparable else sample.target
    if target is None:
        raise DataError(f"sample '{sample.id}' has no target mask, so it cannot be evaluated")
    if target.shape != predicted.shape or prediction.sample_id != sample.id:
        raise DataError(
            f"expected a prediction for '{sample.id}' of {target.shape[1]}×{target.shape[0]} pixels, found one for "
            f"'{prediction.sample_id}' of {predicted.shape[1]}×{predicted.shape[0]}; its image and its target must "
            "have the same size"
        )
    counted = target.size
    if sample.ignore is not None:  # these pixels count neither way: empty on both sides
        target, predicted = target & ~sample.ignore, predicted & ~sample.ignore
        counted -= int(sample.ignore.sum())
    counts = count_overlap(predicted, target)
    answer = prediction.answer
    record = PredictionRecord(
        id=sample.id,
        task=sample.task,
        query=sample.query,
        text=prediction.completion.text,
        finish_reason=prediction.completion.finish_reason.value,
        frame=answer.frame.wh if answer is not None else None,
        objects=[prompt_to_json(prompt) for prompt in answer.objects] if answer is not None else [],
        failure=prediction.failure,
        failure_detail=prediction.failure_detail,
        intersection=counts.intersection,
        union=counts.union,
        iou=counts.iou,
        s_measure=s_measure(predicted, target),
        mae=(counts.union - counts.intersection) / max(counted, 1),
        target_empty=not target.any(),
        predicted_empty=not predicted.any(),
        rle=rle_from_mask(prediction.mask),
        true_boxes=boxes_to_json(sample.boxes),
        true_count=sample.count,
        details={name: float(value) for name, value in details(predicted, target).items()},
    )
    if sample.target is not None:
        return record
    nothing_there = sample.count == 0 or sample.boxes == ()
    return dataclasses.replace(
        record, union=0, iou=0.0, s_measure=0.0, mae=0.0, target_empty=nothing_there, has_target=False
    )
