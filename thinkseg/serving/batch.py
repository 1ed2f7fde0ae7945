"""Many jobs, a request about an image each, into a folder of results that can be gone on with.

A result that is there for the same image (by its bytes), query and model is kept, and only images that it lacks are
drawn. Nothing else that is there is written over: a name that is taken gets a number. An image that cannot be read
does not stop the rest. Models are loaded when the first image needs them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import ImageError, InputError
from thinkseg.imaging import load_image
from thinkseg.models.attempts import predict_each
from thinkseg.results import files
from thinkseg.results.record import ResultRecord
from thinkseg.results.result import Result
from thinkseg.serving.claims import Claims
from thinkseg.serving.jobs import Job
from thinkseg.serving.names import ResultNames
from thinkseg.types import Prediction, Sample

if TYPE_CHECKING:
    from PIL import Image

    from thinkseg.models.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which models work on the jobs."""

    load: Callable[[], Pipeline]
    """Loads them; called at most once."""
    identity: Mapping[str, Any] | None
    """By which a result of other models is told apart, as plain JSON; None when nothing is known of them, and then no
    earlier result is kept."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What is made of each image, and how."""

    batch_size: int = 8
    """Images that the model gets at a time."""
    index: bool = False
    """Whether an image is written that is n on object n."""
    instances: bool = False
    """Whether each object's own mask is written."""
    overwrite: bool = False
    """Whether results of the same images and queries are made anew."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"a batch holds at least 1 image, found {self.batch_size}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job."""

    job: Job
    record: ResultRecord = field(default_factory=dict)
    """What `NAME.json` holds; empty where there is an error."""
    files: tuple[Path, ...] = ()
    """What was written, or was there."""
    kept: bool = False
    """Whether the result was there already."""
    error: InputError | None = None
    """Why there is no result."""

    @property
    def readable(self) -> bool:
        """Whether the model's text was an answer."""
        return self.error is None and self.record["failure"] is None

    @property
    def objects(self) -> int:
        """How many were found."""
        return len(self.record.get("objects", ()))

    def result(self) -> Result:
        """The result with its image, which is read again.

        Raises:
            InputError: there is no result (the `error`), or the image is gone.
        """
        if self.error is not None:
            raise self.error
        return Result.from_record(self.record, load_image(self.job.image))

    def without_masks(self) -> Outcome:
        """The outcome with empty places for its objects, so that many can be held."""
        if self.error is not None:
            return self
        short = {"failure": self.record["failure"], "objects": [{} for _ in self.record["objects"]]}
        return dataclasses.replace(self, record=short)


@dataclass(slots=True)
class _Task:
    """A job on its way to its outcome."""

    job: Job
    stem: Path
    """Its files, without suffix."""
    digest: str = ""
    """The fingerprint of the image's file."""
    image: Image.Image | None = None
    """None once there is a record or an error."""
    record: ResultRecord = field(default_factory=dict)
    kept: bool = False
    error: InputError | None = None


class JobRunner:
    """Runs jobs and writes their results into a folder; no two of its results share a name.

    Args:
        out: the folder.
        models: what is asked.
        options: what is made.
    """

    def __init__(self, out: Path, models: ModelChoice, options: JobOptions = JobOptions()) -> None:
        self._out = out
        self._models = models
        self._options = options
        self._claims = Claims()
        self._names = ResultNames(models.identity, overwrite=options.overwrite, claims=self._claims)
        self._pipeline: Pipeline | None = None

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """The outcome of each job, in order.

        Raises:
            InputError: a model cannot be loaded, or a result not be written. What is wrong with one image is in its
                outcome.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        self._names.protect(job.image for job in jobs)
        remaining = iter(jobs)
        while batch := list(islice(remaining, self._options.batch_size)):
            images: dict[str, Image.Image] = {}  # of this batch: the same image is opened and encoded once
            try:
                tasks = [self._prepared(job, images) for job in batch]
                self._work_on([task for task in tasks if task.image is not None])
            finally:
                self._claims.release()
            yield from map(self._outcome, tasks)

    def _prepared(self, job: Job, images: dict[str, Image.Image]) -> _Task:
        """A job with its image, or with the result that is there already, or with what is wrong with it."""
        task = _Task(job, self._out / files.safe_stem(job.stem))
        try:
            task.digest = files.fingerprint(job.image)
            task.stem, record = self._names.place(job, task.digest, task.stem)
            if record is not None:
                task.record, task.kept = record, True
                self._complete(task)
            else:
                task.image = images.get(task.digest) or load_image(job.image)
                images[task.digest] = task.image
        except ImageError as error:
            task.error = error
        return task

    def _complete(self, task: _Task) -> None:
        """Draw the images of a result that were not asked for when it was made."""
        missing = [name for name in self._endings(task.record) if not files.with_ending(task.stem, name).exists()]
        if missing:
            with files.writing_into(task.stem.parent):
                files.write_images(task.stem, task.record, lambda: load_image(task.job.image), missing)

    def _work_on(self, tasks: Sequence[_Task]) -> None:
        for task, prediction in zip(tasks, self._predict(tasks), strict=True):
            image, task.image = _image(task), None
            if isinstance(prediction, InputError):
                task.error = prediction
                continue
            if prediction.failure is not None and prediction.failure.of_engine:  # nothing is kept, so it is asked again
                task.error = InputError(f"'{task.job.image}': {prediction.failure_detail}")
                continue
            result = Result(image, task.job.query, prediction, str(task.job.image), self._models.identity)
            task.record = {**result.to_record(), "image_digest": task.digest}
            with files.writing_into(task.stem.parent):
                files.write_result(
                    task.stem,
                    task.record,
                    lambda image=image: image,  # type: ignore[misc]
                    index=self._options.index,
                    instances=self._options.instances,
                )

    def _predict(self, tasks: Sequence[_Task]) -> Iterator[Prediction | InputError]:
        """A prediction for each, or why there is none; one that the model refuses does not stop the others."""
        if not tasks:
            return
        if self._pipeline is None:
            self._pipeline = self._models.load()
        samples = [Sample(id=str(task.job.image), image=_image(task), query=task.job.query) for task in tasks]
        yield from predict_each(self._pipeline.predict, samples)

    def _endings(self, record: Mapping[str, Any]) -> list[str]:
        return files.endings(record, index=self._options.index, instances=self._options.instances)

    def _outcome(self, task: _Task) -> Outcome:
        if task.error is not None:
            return Outcome(task.job, error=task.error)
        written = tuple(files.with_ending(task.stem, ending) for ending in self._endings(task.record))
        return Outcome(task.job, task.record, written, task.kept)


def _image(task: _Task) -> Image.Image:
    assert task.image is not None
    return task.image
