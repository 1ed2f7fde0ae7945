"""Samples whose truth cannot be had: a mask that is damaged, of another size than its image, or no mask at all.

Nothing is known to hold a prediction against, so that such a sample is left out of every measure: an empty mask in its
place would be a number without a truth. It is a failure of its own kind that names the file, and stops no other sample.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinkseg.data.listing import Entry, Listing
from thinkseg.errors import InputError
from thinkseg.evaluation.measures.pairs import score_pair
from thinkseg.evaluation.protocols import ProtocolSamples
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.imaging import load_image, size_difference
from thinkseg.models.attempts import Predict, predict_each
from thinkseg.types import Failure, Prediction, Sample, Size


@dataclass(frozen=True, slots=True)
class UnknownTruth:
    """A sample that no prediction can be held against."""

    id: str
    query: str
    task: str
    reason: str
    """Why, in a sentence that names the file."""


def read_sample(samples: Sequence[Any], index: int) -> Sample | UnknownTruth:
    """A sample, or why its truth cannot be read.

    Raises:
        InputError: it cannot be read, and it is no sample of files whose name and query are known without it.
    """
    try:
        sample: Sample = samples[index]
    except InputError as error:
        entry = entry_of(samples, index)
        if entry is None:
            raise
        return UnknownTruth(entry.id, entry.query, "", str(error))
    return sample


def predictions_of(
    predict: Predict, batch: Sequence[Sample | UnknownTruth]
) -> Iterator[tuple[Sample, Prediction | InputError] | UnknownTruth]:
    """Each sample of a batch with its prediction, or why there is none, in order; see `predict_each`."""
    known = [one for one in batch if isinstance(one, Sample)]
    pairs = zip(known, predict_each(predict, known), strict=True)
    for one in batch:
        yield next(pairs) if isinstance(one, Sample) else one
    for _ in pairs:  # one that predicts more than it is asked for is noticed
        pass


def misfit(samples: Sequence[Any], index: int, sample: Sample, prediction: Prediction) -> UnknownTruth | None:
    """Why a sample's truth does not fit its image; None where it does, or where only the prediction is at fault."""
    masks = [mask for mask in (sample.target, sample.ignore) if mask is not None]
    wrong = next((mask for mask in masks if mask.shape != prediction.mask.shape), None)
    if wrong is None:
        return None
    height, width = wrong.shape
    size = Size(*load_image(sample.image).size)
    if size.hw == (height, width):
        return None
    entry = entry_of(samples, index)
    name = f"the mask of sample '{sample.id}'" if entry is None else f"'{entry.truth}'"
    return UnknownTruth(
        sample.id, sample.query, sample.task, f"{name} {size_difference(Size(width, height), size)} ('{sample.image}')"
    )


def record_without_truth(unknown: UnknownTruth) -> PredictionRecord:
    """The record of a sample that is left out of every measure: nothing was predicted, and nothing is compared."""
    nothing = np.zeros((1, 1), dtype=bool)
    return dataclasses.replace(
        score_pair(unknown.id, nothing, nothing),
        task=unknown.task,
        query=unknown.query,
        iou=0.0,
        s_measure=0.0,
        failure=Failure.UNREADABLE_TRUTH,
        failure_detail=unknown.reason,
        has_target=False,
        counted=False,
    )


def entry_of(samples: Sequence[Any], index: int) -> Entry | None:
    """What is known of a sample without its truth; None for samples that are no files."""
    return samples.entry(index) if isinstance(samples, Listing | ProtocolSamples) else None
