"""A pipeline that many ask at once: slots, batches over both models, time limits.

The steps are those of `Pipeline`: ask, read, segment; each model works on the jobs of many requests together.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from PIL import Image

from thinkseg.errors import MalformedAnswer
from thinkseg.models.base import segment_images
from thinkseg.models.listening import complete
from thinkseg.models.pipeline import Pipeline, prediction_of
from thinkseg.models.prompting import remembering
from thinkseg.serving.http.batching import MOST_GIVEN_UP, Batcher, BatchJob, StalledError
from thinkseg.serving.http.errors import RequestError
from thinkseg.serving.http.limits import Batching, Limits
from thinkseg.serving.http.metrics import Metrics
from thinkseg.serving.http.served import Served
from thinkseg.types import Answer, Completion, Prediction, Request, Sample, Segmentation

MEMORY = 2**30
"""Bytes that encodings of images may take where nothing is said."""

R = TypeVar("R")

Completed = tuple[Completion, Answer | MalformedAnswer]
"""What the reasoner has written, and what is read in it."""

_WEIGHT = 0.2
"""Of the latest request in the running mean of seconds."""


@runtime_checkable
class RequestListener(Protocol):
    """Whoever wants to hear of a request before it is answered."""

    def wrote(self, text: str) -> bool | None:
        """All that the reasoner has written so far; called in the thread of the model. False: it writes no more."""
        ...

    def read(self, answer: Answer) -> None:
        """The answer, in the reasoner's frame, before there are masks."""
        ...


@dataclass(frozen=True, eq=False)
class ToComplete:
    """What the reasoner is asked for somebody."""

    request: Request
    listener: RequestListener | None


@dataclass(slots=True)
class Timings:
    """Seconds that the parts of a request took, the waiting for other requests included."""

    read: float = 0.0
    """To decode the image."""
    reasoner: float = 0.0
    segmenter: float = 0.0

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """While this is open, time is this part's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, part, getattr(self, part) + time.perf_counter() - began)


class Service:
    """Answers requests about images with one pipeline, many at a time.

    Args:
        pipeline: the models.
        served: what is told about them.
        limits: what is taken.
        batching: how requests are put together.
        memory: bytes that encodings of images may take, for images that come again; 0 for none.

    Attributes:
        draining: whether no new request is taken, as the process is about to end.
        inside: how many requests have a slot.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        served: Served | None = None,
        *,
        limits: Limits | None = None,
        batching: Batching | None = None,
        memory: int = MEMORY,
    ) -> None:
        kept = remembering(pipeline.segmenter, memory, leaves="longest ago") if memory else pipeline.segmenter
        self.pipeline = replace(pipeline, segmenter=kept)
        self.served = served or Served()
        self.limits = limits or Limits()
        self.metrics = Metrics()
        self.draining = False
        self.inside = 0
        self._pixels = 0
        self._mean = 1.0
        self._reasoner: Batcher[ToComplete, Completed] = Batcher(
            "reasoner", self._complete, batching, self._counter("reasoner")
        )
        self._segmenter: Batcher[tuple[Image.Image, Sequence[Answer]], list[Segmentation]] = Batcher(
            "segmenter", self._segment, batching, self._counter("segmenter")
        )
        batchers: tuple[Batcher[Any, Any], ...] = (self._reasoner, self._segmenter)
        for batcher in batchers:
            self.metrics.watch(batcher)
        self.metrics.inside.set_function(lambda: self.inside)

    @property
    def healthy(self) -> bool:
        """Whether the process is worth keeping: too many threads that hang are not."""
        return self._reasoner.given_up + self._segmenter.given_up < MOST_GIVEN_UP

    @property
    def ready(self) -> bool:
        """Whether a request would be taken now."""
        return self.healthy and not self.draining and self.inside < self.limits.queue

    @contextmanager
    def slot(self, pixels: int) -> Iterator[None]:
        """While this is open, a request has one of the places.

        Args:
            pixels: of its image.

        Raises:
            RequestError: all are taken, or the service is about to end.
        """
        if self.draining:
            raise RequestError("unavailable", "the service is about to stop: try again soon", self._retry_after)
        if self.inside >= self.limits.queue or (self.inside and self._pixels + pixels > self.limits.queue_pixels):
            raise RequestError("busy", "as many requests as the service takes are waiting", self._retry_after)
        began = time.monotonic()
        self.inside += 1
        self._pixels += pixels
        try:
            yield
        finally:
            self.inside -= 1
            self._pixels -= pixels
            self._mean += _WEIGHT * (time.monotonic() - began - self._mean)

    async def segment(
        self, image: Image.Image, query: str, listener: RequestListener | None = None, timings: Timings | None = None
    ) -> Prediction:
        """What `Pipeline.segment` predicts; whoever cancels this leaves, and takes no more of the models' time.

        Args:
            image: RGB.
            query: what to look for.
            listener: hears of the completion and of the answer.
            timings: take the seconds of this request.

        Raises:
            InputError: the models do not take the query or the image.
            RequestError: the models hang.
        """
        timings = timings or Timings()
        sample = Sample("request", image, query)
        with timings.of("reasoner"):
            asked = ToComplete(self.pipeline.request(image, sample), listener)
            completion, outcome = await _result(self.submit(asked))
        found: Segmentation | None = None
        if not isinstance(outcome, MalformedAnswer):
            if listener is not None:
                listener.read(outcome)
            with timings.of("segmenter"):
                (found,) = await self.masks(image, [outcome])
        prediction = prediction_of(sample, completion, outcome, found, image)
        if prediction.failure is not None:
            self.metrics.failures.labels(prediction.failure.value).inc()
        return prediction

    async def masks(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """The masks of answers about an image, one `Segmentation` an answer.

        Raises:
            InputError: the segmenter does not take them.
            RequestError: it hangs.
        """
        return await _result(self.submit_masks(image, answers))

    def submit(self, asked: ToComplete) -> Future[Completed]:
        """Let the reasoner be asked with the next batch; whoever cancels the future leaves."""
        return self._reasoner.submit(asked)

    def submit_masks(self, image: Image.Image, answers: Sequence[Answer]) -> Future[list[Segmentation]]:
        """Let the segmenter be asked with the next batch, for one `Segmentation` an answer."""
        return self._segmenter.submit((image, answers))

    def close(self) -> None:
        """Stop the threads of the models."""
        self._reasoner.close()
        self._segmenter.close()

    @property
    def _retry_after(self) -> int:
        """Seconds in which a place is likely to come free: what a request takes now."""
        return max(1, math.ceil(self._mean))

    def _complete(self, jobs: Sequence[BatchJob[ToComplete, Completed]], live: Callable[[], None]) -> list[Completed]:
        def listen(number: int, text: str) -> bool:
            live()
            job = jobs[number]
            if job.has_left():
                return False
            return job.what.listener is None or job.what.listener.wrote(text) is not False

        requests = [job.what.request for job in jobs]
        completions = complete(self.pipeline.reasoner, requests, listen)
        read = self.pipeline.read
        return [(own, read(own, asked.image)) for own, asked in zip(completions, requests, strict=True)]

    def _segment(
        self, jobs: Sequence[BatchJob[tuple[Image.Image, Sequence[Answer]], list[Segmentation]]], _: Callable[[], None]
    ) -> list[list[Segmentation]]:
        return segment_images(self.pipeline.segmenter, [job.what for job in jobs])

    def _counter(self, model: str) -> Callable[[int, float], None]:
        def seen(jobs: int, seconds: float) -> None:
            self.metrics.batches.labels(model).observe(jobs)
            self.metrics.work.labels(model).observe(seconds)

        return seen


async def _result(future: Future[R]) -> R:
    """What comes of a job; when this is cancelled, nobody waits for it any more."""
    try:
        return await asyncio.wrap_future(future)
    except StalledError as error:
        raise RequestError("timeout", f"the request was given up: {error}") from error
