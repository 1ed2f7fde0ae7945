"""One prediction against the truth: all numbers of a sample, in the record that is kept of it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from thinkseg.answers.codec import prompt_to_json
from thinkseg.errors import DataError, ImageError, InputError, one_line
from thinkseg.evaluation.measures.base import ExtraMetric
from thinkseg.evaluation.measures.pairs import score_pair
from thinkseg.evaluation.records import PredictionRecord, boxes_to_json
from thinkseg.imaging import load_image
from thinkseg.types import Completion, Failure, Prediction, Sample, Size


def score(sample: Sample, prediction: Prediction, extra: Mapping[str, ExtraMetric] | None = None) -> PredictionRecord:
    """Hold one prediction against the truth; a failure is an empty mask.

    Args:
        sample: with its target.
        prediction: of the same size.
        extra: what else to measure, by name.

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
    answer = prediction.answer
    record = dataclasses.replace(
        score_pair(
            sample.id, predicted, target, ignore=sample.ignore, extra=extra if sample.target is not None else None
        ),
        task=sample.task,
        query=sample.query,
        text=prediction.completion.text,
        finish_reason=prediction.completion.finish_reason.value,
        frame=answer.frame.wh if answer is not None else None,
        objects=[prompt_to_json(prompt) for prompt in answer.objects] if answer is not None else [],
        failure=prediction.failure,
        failure_detail=prediction.failure_detail,
        true_boxes=boxes_to_json(sample.boxes),
        true_count=sample.count,
    )
    if sample.target is not None:
        return record
    nothing_there = sample.count == 0 or sample.boxes == ()
    return dataclasses.replace(
        record, union=0, iou=0.0, s_measure=0.0, mae=0.0, target_empty=nothing_there, has_target=False, extra={}
    )


def failed_prediction(sample: Sample, error: InputError) -> Prediction:
    """The prediction of a sample that no model could be asked about: a failure that names the image.

    Args:
        sample: whose image cannot be read or was refused.
        error: why.
    """
    failure, detail, size = Failure.REFUSED_IMAGE, str(error), Size(1, 1)
    try:
        size = Size(*load_image(sample.image).size)
    except ImageError as reason:
        failure, detail = Failure.UNREADABLE_IMAGE, str(reason)
    name = one_line(str(sample.image)) if isinstance(sample.image, Path | str) else sample.id
    if sample.target is not None:
        height, width = sample.target.shape
        size = Size(width, height)
    return Prediction(
        sample.id,
        Completion(""),
        answer=None,
        masks=np.zeros((0, *size.hw), dtype=bool),
        failure=failure,
        failure_detail=detail if name in detail else f"'{name}': {detail}",
    )
