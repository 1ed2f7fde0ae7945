"""From requests to rows of results: one each, in order. Both engines label by this.

Images are read by threads, a bounded number ahead of the model, so that it does not wait for files, and so that files
wait for it and do not fill the memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from thinkseg.data.names import path_in
from thinkseg.errors import ImageError, InputError
from thinkseg.evaluation.scoring import failed_prediction
from thinkseg.imaging import load_image
from thinkseg.models.attempts import predict_each
from thinkseg.results.files import fingerprint
from thinkseg.serving.labelling.rows import LabelRow, Stamp, row_of
from thinkseg.serving.labelling.sources import LabelRequest
from thinkseg.types import Sample

if TYPE_CHECKING:
    from PIL import Image

    from thinkseg.evaluation.run import Predictor

T = TypeVar("T")
R = TypeVar("R")

READERS = 4
"""Threads that read images."""
BATCHES_AHEAD = 2
"""So many batches of images wait for the model at most."""


class Labeller:
    """A pipeline with the folder of its images.

    Args:
        pipeline: answers.
        root: images are named from here.
        stamp: what each row says of model and data.
    """

    def __init__(self, pipeline: Predictor, root: Path, stamp: Stamp) -> None:
        self._pipeline = pipeline
        self._root = root
        self._stamp = stamp

    def label(self, requests: Iterable[LabelRequest], batch_size: int) -> Iterator[list[LabelRow]]:
        """A row for each request, in order, batch by batch.

        An image that cannot be read, or that the model refuses, is a row with its failure and stops no other.

        Args:
            requests: any number, taken as they are needed.
            batch_size: how many the model gets at a time, and how many rows come at a time.

        Raises:
            CheckpointError, MissingExtraError: the model itself cannot be asked.
        """
        read = ahead(self._read, requests, batch_size * BATCHES_AHEAD, READERS)
        while batch := list(islice(read, batch_size)):
            yield self._label_batch(batch)

    def _read(self, request: LabelRequest) -> _Read:
        path, digest = path_in(self._root, request.image), None
        try:
            digest = fingerprint(path)
            return _Read(request, digest, load_image(path))
        except ImageError as error:
            return _Read(request, digest, error, path)

    def _label_batch(self, batch: Sequence[_Read]) -> list[LabelRow]:
        images: dict[str | None, Image.Image] = {}  # the same image is encoded once
        samples = []
        for one in batch:
            image = one.path if isinstance(one.image, ImageError) else images.setdefault(one.digest, one.image)
            samples.append(Sample(id=one.request.image, image=image, query=one.request.query))
        asked = [sample for sample, one in zip(samples, batch, strict=True) if not isinstance(one.image, ImageError)]
        predictions = predict_each(self._pipeline.predict, asked)
        rows = []
        for sample, one in zip(samples, batch, strict=True):
            found = one.image if isinstance(one.image, ImageError) else next(predictions)
            prediction = failed_prediction(sample, found) if isinstance(found, InputError) else found
            rows.append(row_of(one.request, prediction, one.digest, self._stamp))
        return rows


@dataclass(frozen=True, slots=True)
class _Read:
    """A request with its image."""

    request: LabelRequest
    digest: str | None
    """The fingerprint of the image's file; None where it cannot be read."""
    image: Image.Image | ImageError
    """Or what is wrong with it."""
    path: Path = Path()
    """Where it should be, if anything is wrong with it."""


def ahead(work: Callable[[T], R], items: Iterable[T], count: int, threads: int) -> Iterator[R]:
    """What comes of each item, in order, made by threads before it is asked for, of at most so many items.

    Items are taken as results are: whoever is slow with these keeps those waiting.

    >>> list(ahead(len, ["a", "bb", "ccc"], 1, 2))
    [1, 2, 3]
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()
