"""Samples as the rows that TRL trains on: lazily, in constant memory, the same ones at the same step of every run.

A row is made when the data loader asks for it, from the sample that the schedule puts there. The schedule unrolls all
epochs into one, so that a position in the run says which sample it is, and a run that goes on from a checkpoint goes on
with the very sample that it stopped at. (TRL's own shuffling starts with the first epoch's order again.)

A row holds the image twice: `images` is what the model sees, already at the size that the processor makes of it, so
that a group of completions does not resize a photograph over and over; `image` is the image as it is, for the
segmenter. Rows of one batch that show the same sample share its objects, so an image is encoded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

import numpy as np
from datasets import Dataset
from jaxtyping import Int64
from PIL import Image

from thinkseg.answers.base import AnswerFormat
from thinkseg.data.samples import LazySamples
from thinkseg.errors import DataError, ImageError, InputError
from thinkseg.extension import OwnCode
from thinkseg.geometry import reference_of
from thinkseg.imaging import load_image, size_difference
from thinkseg.models.asking import Asker
from thinkseg.models.published.wording import Wording
from thinkseg.models.reasoner import TransformersReasoner, chat_messages
from thinkseg.types import Answer, Mask, Masks, Sample, Size


class TrainingRow(TypedDict):
    """What TRL is given for one prompt; all of it but `prompt` reaches the rewards as columns."""

    prompt: list[dict[str, Any]]
    """Chat messages: system if any, then the user's with the image first. The image is a placeholder."""
    images: list[Image.Image]
    """The one image, as the model sees it."""
    image: Image.Image
    """The image as it is, RGB."""
    target: Mask | None
    """The true mask at the image's size, or None."""
    instances: Masks | None
    """The true objects one by one, or None when only their union is known."""
    ignore: Mask | None
    """Pixels that count neither way, or None."""
    reference: Answer | None
    """The true boxes and points, in any frame: the sample's own, or made from its masks; None where it has neither."""
    frame: list[int]
    """[width, height] of the frame in which this model gives coordinates of this image."""
    task: str
    sample: str
    """The sample's id."""
    answer: str
    """The reference answer as text, in this frame; empty for rl."""
    not_learnt: tuple[int, int]
    """Where in the answer, from one letter to before another, stands what is not known and so not learnt."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which sample each row of a run shows: epoch after epoch, each in an order of its own."""

    samples: int
    """How many there are."""
    seed: int = 0
    shuffle: bool = True
    """Whether an epoch is in random order; False keeps the order of the samples."""
    together: Sequence[Sequence[int]] | None = None
    """Samples that stay next to one another, in this order; None for each on its own."""
    _orders: dict[int, Int64[np.ndarray, "samples"]] = field(default_factory=dict, compare=False, repr=False)

    def __getitem__(self, row: int) -> int:
        epoch, position = divmod(row, self.samples)
        if not self.shuffle:
            return position
        if epoch not in self._orders:
            self._orders.clear()
            self._orders[epoch] = self._drawn(np.random.default_rng((self.seed, epoch)))
        return int(self._orders[epoch][position])

    def _drawn(self, numbers: np.random.Generator) -> Int64[np.ndarray, "samples"]:
        """An order of the samples."""
        if self.together is None:
            return numbers.permutation(self.samples)
        return np.concatenate([self.together[place] for place in numbers.permutation(len(self.together))])


class Rows(Dataset):
    """A `datasets.Dataset` whose rows are made when they are asked for; what the trainers want to be given.

    Args:
        builder: makes rows.
        count: how many rows there are in the whole run.
    """

    def __init__(self, builder: RowBuilder, count: int) -> None:
        super().__init__(Dataset.from_dict({"row": np.arange(count)}).data)
        self.builder = builder

    def __getitem__(self, key: int) -> TrainingRow:
        if not 0 <= key < len(self):
            raise IndexError(key)
        return self.builder([key])[0]

    def __getitems__(self, keys: list[int]) -> list[TrainingRow]:
        return self.builder(keys)

    def __iter__(self) -> Iterator[TrainingRow]:
        return (self[key] for key in range(len(self)))


class RowBuilder:
    """Makes rows from samples.

    Args:
        samples: what to train on; one is asked for only when a row shows it.
        schedule: which sample each row shows.
        answer_format: asks for the answer, and renders references.
        reasoner: the model that is trained, for its frames and its processor.
        with_answers: whether rows carry the reference answer (sft).
        wording: how queries are put into words; the format's own when None.
        thoughts: by the places of samples, what is thought in their answers where the reference thinks nothing.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        schedule: Schedule,
        answer_format: AnswerFormat,
        reasoner: TransformersReasoner,
        *,
        with_answers: bool = False,
        wording: Wording | None = None,
        thoughts: Mapping[int, str] | None = None,
    ) -> None:
        self._thoughts = thoughts or {}
        self._samples = samples
        self._schedule = schedule
        self._format = answer_format
        # Workers of a data loader may get all of this by pickle; what trains is not theirs, and cannot be pickled.
        self._reasoner = reasoner.without_model()
        self._with_answers = with_answers
        self._ask = Asker(self._reasoner, wording or Wording(answer_format))
        self._latest: Mapping[int, TrainingRow] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For another process, the user's own code first, and without the rows that this one has made."""
        return {"_code": OwnCode()} | self.__dict__ | {"_latest": {}}

    def __call__(self, keys: Sequence[int]) -> list[TrainingRow]:
        """The rows of a batch; equal keys give the same row."""
        # TRL asks for a batch as often as it is trained on: the latest one is kept, so that it is made once.
        self._latest = {key: self._latest.get(key) or self._row(key) for key in dict.fromkeys(keys)}
        return [self._latest[key] for key in keys]

    def _row(self, key: int) -> TrainingRow:
        sample = read_named(self._samples, self._schedule[key])
        image = load_image(sample.image)
        size = Size(*image.size)
        for mask in (sample.target, sample.instances, sample.ignore):
            if mask is not None and mask.shape[-2:] != size.hw:
                raise ImageError(
                    f"the mask of sample '{sample.id}' {size_difference(Size(*mask.shape[:-3:-1]), size)}: make them "
                    "equal, or leave it out"
                )
        try:
            request, frame = self._ask(sample, image)
        except ImageError as error:  # of a shape that the processor refuses: it knows the size and not the file
            raise ImageError(
                f"the image of sample '{sample.id}' cannot be trained on: {error}; leave it out"
            ) from error
        reference = reference_of(sample, self._format.points_per_object)
        thought = self._thoughts.get(self._schedule[key], "")
        answer = self._answer(sample, reference, frame, thought) if self._with_answers else ""
        return TrainingRow(
            prompt=chat_messages(request.instruction),
            images=[request.image],
            image=image,
            target=sample.target,
            instances=sample.instances,
            ignore=sample.ignore,
            reference=reference,
            frame=list(frame.wh),
            task=sample.task,
            sample=sample.id,
            answer=answer,
            not_learnt=end_of_unknown_thinking(answer),
        )

    def _answer(self, sample: Sample, reference: Answer | None, frame: Size, thought: str) -> str:
        """The text that the model learns to write."""
        told = _told(sample, reference)
        try:
            return self._format.render(replace(told, think=told.think or thought).rescaled(frame))
        except ValueError as error:
            raise DataError(f"sample '{sample.id}' cannot be taught: {error}; leave it out") from error


def read_named(samples: Sequence[Any], index: int) -> Sample:
    """A sample of those to train on; one that cannot be read is told by its name.

    Raises:
        DataError: it cannot be read; the sentence has its name and what is wrong.
    """
    try:
        sample: Sample = samples[index]
    except InputError as error:
        name = samples.name_of(index) if isinstance(samples, LazySamples) else f"sample {index}"
        raise DataError(
            f"{name} cannot be trained on: {error}; leave it out ('thinkseg data check' finds all such files)"
        ) from error
    return sample


OPENING, CLOSING = "<think>", "</think>"


def end_of_unknown_thinking(answer: str) -> tuple[int, int]:
    """The closing tag of thinking that is empty: masks say nothing of it, and to learn it is to learn not to think.

    Returns:
        Its first letter and the one behind it; (0, 0) where there is thinking, or no place for it.
    """
    return (len(OPENING), len(OPENING + CLOSING)) if answer.startswith(OPENING + CLOSING) else (0, 0)


def _told(sample: Sample, reference: Answer | None) -> Answer:
    """The answer to imitate.

    Raises:
        DataError: there is none, and no mask to make one from.
    """
    if reference is None:
        raise DataError(f"sample '{sample.id}' has neither a reference answer nor a mask to make one from")
    return reference
