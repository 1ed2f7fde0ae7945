"""The images of the next batch are decoded while the model works on one.

What an image is asked about, and its true mask, are read when the sample's turn comes; only its file is looked at
before. A file that cannot be read is left to the pipeline, so that its error is the sample's own, as without this.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from thinkseg.evaluation.truths import entry_of
from thinkseg.imaging import ImagesAhead
from thinkseg.models.attempts import Predict
from thinkseg.models.pipeline import Pipeline
from thinkseg.types import Prediction, Sample


@dataclass(frozen=True, slots=True)
class ReadingAhead:
    """What predicts, with images that are decoded already.

    Of another predictor than a `Pipeline` nothing is known: it may want the files, and is given them.
    """

    predictor: Any
    samples: Sequence[Any]
    images: ImagesAhead

    def begin(self, places: Sequence[int], batch_size: int) -> None:
        """Decode the images of a batch and, as far as there is room, of the next one, and forget those of others.

        Args:
            places: of the samples whose turn it is, and of all that come after them.
            batch_size: how many a batch has.
        """
        if isinstance(self.predictor, Pipeline):
            batch, following = places[:batch_size], places[batch_size : 2 * batch_size]
            self.images.keep(self._files(batch), self._files(following))

    def _files(self, places: Sequence[int]) -> list[Path | str]:
        files = (_image_file(self.samples, place) for place in places)
        return [file for file in files if file is not None]

    @property
    def predict(self) -> Predict:
        """As `Pipeline.predict`."""

        def predict(samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
            predictions: Iterator[Prediction] = self.predictor.predict([*map(self._decoded, samples)], batch_size)
            return predictions

        return predict

    def _decoded(self, sample: Sample) -> Sample:
        if isinstance(sample.image, Image.Image):
            return sample
        image = self.images.take(sample.image)
        return sample if image is None else dataclasses.replace(sample, image=image)


def _image_file(samples: Sequence[Any], place: int) -> Path | str | None:
    """Where the image of a sample lies; None where that is not known before the sample is read."""
    if isinstance(samples, list | tuple):
        image = getattr(samples[place], "image", None)
        return image if isinstance(image, Path | str) else None
    entry = entry_of(samples, place)
    return None if entry is None else entry.image
