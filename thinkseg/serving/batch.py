"""Many requests about many images, one after the other, into a folder of results that can be gone on with.

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

from thinkseg import results
from thinkseg.errors import CheckpointError, ImageError, InputError
from thinkseg.imaging import load_image
from thinkseg.serving.jobs import Job
from thinkseg.types import Prediction, Sample

if TYPE_CHECKING:
    from PIL import Image

    from thinkseg.models.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Options:
    """What is made of each image, and how."""

    batch_size: int = 8
    """Images that the model gets at a time."""
    index: bool = False
    """Whether an image is written that is n on object n."""
    instances: bool = False
    """Whether each object's own mask is written."""
    overwrite: bool = False
    """Whether results of the same images are made anew."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"a batch holds at least 1 image, found {self.batch_size}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job."""

    job: Job
    record: results.ResultRecord = field(default_factory=dict)
    """See `thinkseg.results`; empty where there is an error."""
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
    record: results.ResultRecord = field(default_factory=dict)
    kept: bool = False
    error: InputError | None = None


class JobRunner:
    """Work on jobs in a folder.

    Args:
        out: the folder.
        load: loads the models; called at most once.
        model: what is asked, by which a result of another model is told apart; plain JSON.
        options: what is made.
    """

    def __init__(
        self, out: Path, load: Callable[[], Pipeline], model: Mapping[str, Any], options: Options = Options()
    ) -> None:
        self._out = out
        self._load = load
        self._model = dict(model)
        self._options = options
        self._pipeline: Pipeline | None = None
        self._inputs: set[Path] = set()
        self._taken: set[str] = set()

    def segment(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """The outcome of each job, in order.

        Raises:
            InputError: a model cannot be loaded. What is wrong with one image is in its outcome.
        """
        self._inputs |= {job.image.resolve() for job in jobs}
        remaining = iter(jobs)
        while batch := list(islice(remaining, self._options.batch_size)):
            images: dict[str, Image.Image] = {}  # of this batch: the same image is opened and encoded once
            tasks = [self._prepared(job, images) for job in batch]
            self._work_on([task for task in tasks if task.image is not None])
            yield from map(self._outcome, tasks)

    def _prepared(self, job: Job, images: dict[str, Image.Image]) -> _Task:
        """A job with its image, or with the result that is there already, or with what is wrong with it."""
        task = _Task(job, self._out / job.name)
        try:
            task.digest = results.fingerprint(job.image)
            self._name(task)
            if task.kept:
                self._complete(task)
            else:
                task.image = images.get(task.digest) or load_image(job.image)
                images[task.digest] = task.image
        except ImageError as error:
            task.error = error
        return task

    def _name(self, task: _Task) -> None:
        """Find a name for the files: the image's, with a number where that is taken."""
        stem, number = task.stem, 1
        while not self._may_be(task):
            number += 1
            task.stem = results.with_ending(stem, f"-{number}")
        self._taken.add(str(task.stem).casefold())

    def _may_be(self, task: _Task) -> bool:
        """Whether a task's files may have the name that it has now; a result that can be kept is read."""
        if str(task.stem).casefold() in self._taken:
            return False
        if not results.with_ending(task.stem, results.RECORD).exists():
            return not self._inputs & {
                results.with_ending(task.stem, ending).resolve()
                for ending in (results.MASK, results.OVERLAY, results.INDEX, results.instance_ending(1))
            }
        found = results.read_record(task.stem)
        if found is None:
            return False
        if self._options.overwrite:
            return found.get("image_digest") == task.digest or found.get("image") == str(task.job.image)
        wanted = {"image_digest": task.digest, "query": task.job.query, "model": self._model}
        task.kept = all(found.get(name) == value for name, value in wanted.items())
        task.record = found if task.kept else {}
        return task.kept

    def _complete(self, task: _Task) -> None:
        """Draw the images of a result that were not asked for when it was made."""
        missing = [name for name in self._endings(task.record) if not results.with_ending(task.stem, name).exists()]
        if missing:
            results.write_images(task.stem, task.record, lambda: load_image(task.job.image), missing)

    def _work_on(self, tasks: Sequence[_Task]) -> None:
        for task, prediction in zip(tasks, self._predict(tasks), strict=True):
            image, task.image = _image(task), None
            if isinstance(prediction, InputError):
                task.error = prediction
                continue
            record = results.record_from_prediction(prediction, task.job.query)
            task.record = {"image": str(task.job.image), **record, "model": self._model, "image_digest": task.digest}
            results.write_result(
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
            self._pipeline = self._load()
        samples = [Sample(id=str(task.job.image), image=_image(task), query=task.job.query) for task in tasks]
        try:
            predictions = list(self._pipeline.predict(samples, len(samples)))
        except CheckpointError:
            raise
        except InputError as error:
            if len(tasks) == 1:
                yield error
            else:
                for task in tasks:
                    yield from self._predict([task])
        else:
            yield from predictions

    def _endings(self, record: Mapping[str, Any]) -> list[str]:
        return results.endings(record, index=self._options.index, instances=self._options.instances)

    def _outcome(self, task: _Task) -> Outcome:
        if task.error is not None:
            return Outcome(task.job, error=task.error)
        files = tuple(results.with_ending(task.stem, ending) for ending in self._endings(task.record))
        return Outcome(task.job, task.record, files, task.kept)


def _image(task: _Task) -> Image.Image:
    assert task.image is not None
    return task.image
