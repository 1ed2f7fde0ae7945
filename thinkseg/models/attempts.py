"""Predictions for samples of which some cannot be asked about: whatever is wrong with one of them stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from thinkseg.errors import CheckpointError, InputError, MissingExtraError
from thinkseg.types import Prediction, Sample

Predict = Callable[[Sequence[Sample], int], Iterator[Prediction]]
"""As `Pipeline.predict`: one prediction per sample, in order, for so many at a time."""


def predict_each(predict: Predict, samples: Sequence[Sample]) -> Iterator[Prediction | InputError]:
    """A prediction for each sample, in order, or why there is none.

    All are asked about together. Where that is refused, the batch is halved until the ones are left that cannot be
    asked about, so that the others cost twice as much at worst.

    Raises:
        CheckpointError, MissingExtraError: the model itself cannot be asked.
    """
    done = 0
    try:
        for prediction in predict(samples, len(samples)):
            done += 1
            yield prediction
        return
    except (CheckpointError, MissingExtraError):
        raise
    except InputError as error:
        refused = error
    rest = samples[done:]
    if len(rest) < 2:
        yield from [refused] * len(rest)
        return
    yield from predict_each(predict, rest[: len(rest) // 2])
    yield from predict_each(predict, rest[len(rest) // 2 :])
