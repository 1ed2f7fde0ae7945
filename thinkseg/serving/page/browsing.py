"""The samples of an evaluation, worst first, for people to look through: what was asked, what was found, what is true.

Only numbers and names are held; an image is read when it is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from thinkseg.evaluation.predicted import check_same, evaluated_samples
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.run import Run
from thinkseg.serving.page.showing import Shown, card
from thinkseg.serving.page.viewer import Layer, ShownImage, viewer_html
from thinkseg.types import Sample, Size

ALL = "all samples"
FAILED = "no readable answer"
"""The choices of a list of samples besides the tasks."""

TRUE_COLOUR, FOUND_COLOUR = (20, 184, 100), (255, 64, 72)
"""Of the true mask, and of what was predicted."""


@dataclass(frozen=True, slots=True)
class Browsed:
    """A run with its samples."""

    run: Run
    samples: Sequence[Sample] = field(repr=False)
    """In the order of the records."""

    @classmethod
    def open(cls, folder: Path | str, images: str = "") -> Browsed:
        """The run that a folder holds.

        Args:
            folder: that `thinkseg evaluate` has written.
            images: the folder of images of the user's own data, where it is another one by now.

        Raises:
            InputError, DataError: it holds no run, or its samples cannot be had.
        """
        run = Run.open(folder)
        return cls(run, evaluated_samples(run, images))

    @property
    def name(self) -> str:
        """What it is called on the page."""
        return self.run.name

    @property
    def subsets(self) -> list[str]:
        """What can be looked through: all, the failures, each task."""
        tasks = dict.fromkeys(record.task for record in self.run.records if record.task)
        failed = [FAILED] if any(record.failure for record in self.run.records) else []
        return [ALL, *failed, *(tasks if len(tasks) > 1 else ())]

    def ranked(self, subset: str = ALL) -> list[int]:
        """Places of records, the worst first: by IoU, or by how near the count is; equal ones in the run's order."""
        records = self.run.records
        return sorted(
            (place for place, record in enumerate(records) if _is_in(record, subset)),
            key=lambda place: (records[place].quality, place),
        )

    def place_of(self, identifier: str) -> int | None:
        """The place of a sample; None where there is none of this id."""
        return next((n for n, record in enumerate(self.run.records) if record.id == identifier), None)

    def sample(self, place: int) -> Sample:
        """A sample, which must be the one that was evaluated.

        Raises:
            InputError, DataError: it cannot be read, or is another one by now.
        """
        sample = self.samples[place]
        check_same(self.run.records[place], sample.id)
        return sample

    def caption(self, place: int) -> str:
        """A sample in a few words."""
        record = self.run.records[place]
        return f"{'failed' if record.failure else record.outcome} · {record.query}"


def _is_in(record: PredictionRecord, subset: str) -> bool:
    if subset == FAILED:
        return record.failure is not None
    return subset in (ALL, record.task)


def show_sample(browsed: Browsed, place: int, position: str, image: ShownImage) -> Shown:
    """What the page shows of a sample: its true mask and the predicted one over the image, and the model's words.

    Args:
        browsed: the run.
        place: of the sample's record.
        position: which of how many it is, in words.
        image: as the viewer shows it.
    """
    record, sample = browsed.run.records[place], browsed.sample(place)
    layers = [] if sample.target is None else [Layer("the true mask", sample.target, colour=TRUE_COLOUR)]
    prompts = () if record.answer is None else record.answer.rescaled(_size(browsed, place)).objects
    if record.mask.any() or prompts:
        layers.append(
            Layer(
                "the predicted mask",
                record.mask,
                prompts[0].box if len(prompts) == 1 else None,
                tuple(point for prompt in prompts for point in prompt.points),
                colour=FOUND_COLOUR,
            )
        )
    told = record.failure_detail or (record.failure.sentence if record.failure else "")
    words = [f"{position}.", f"Asked for “{record.query}”.", told, _truth(record)]
    return Shown(
        verdict_html=card(_tone(record), record.outcome, " ".join(word for word in words if word)),
        viewer_html=viewer_html(
            image, _size(browsed, place), layers, f"sample {record.id}: {record.query}", drawable=False
        ),
        written_html=_words(record),
        table_html=_legend(layers),
    )


def _tone(record: PredictionRecord) -> str:
    """The kind of its card, by which that is coloured."""
    if record.failure:
        return "unreadable"
    return "found" if record.quality >= 0.5 else "poor"


def _size(browsed: Browsed, place: int) -> Size:
    height, width = browsed.run.records[place].rle["size"]
    return Size(width, height)


def _truth(record: PredictionRecord) -> str:
    if record.target_empty and record.has_target:
        return "Nothing is there, " + (
            "and the model says so." if record.abstained else "and the model names something."
        )
    return "The model says that nothing is there." if record.abstained else ""


def _words(record: PredictionRecord) -> str:
    if not record.text:
        return ""
    return (
        '<details class="written" open><summary>What the model wrote</summary>'
        f'<pre tabindex="0">{escape(record.text)}</pre></details>'
    )


def _legend(layers: Sequence[Layer]) -> str:
    """Which colour is which; a press singles it out."""
    buttons = "".join(
        f'<button type="button" class="pick" data-pick="{number}" aria-pressed="false"><span class="swatch" '
        f'style="background:rgb{layer.colour}"></span>{escape(layer.name)}</button>'
        for number, layer in enumerate(layers, start=1)
    )
    return f'<div class="legend" role="group" aria-label="Masks">{buttons}</div>' if buttons else ""
