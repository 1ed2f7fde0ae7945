"""What the model makes of a fixed few of the held-out samples, drawn at each validation: a sheet in ``samples/``.

Of each sample stand side by side what was asked for and what the model found, with its box, points and mask; below them
the query and the thinking. ``validation/step_NNNNNN.jsonl`` holds the records of all samples of the validation, as the
``predictions.jsonl`` of an evaluation does, from which sheets can be drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from thinkseg.answers.base import AnswerFormat
from thinkseg.drawing import contact_sheet, overlay, side_by_side
from thinkseg.errors import MalformedAnswer
from thinkseg.evaluation.record_file import read_records, write_records
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.reporting.images import image_or_blank
from thinkseg.training.holding_out import even_places
from thinkseg.training.validation import Validated, best_of
from thinkseg.types import Sample, Size

SHEETS, RECORDS = "samples", "validation"
"""The folders of the sheets and of the records, inside the run's."""
SIDE = 360
"""Longest side of an image, in pixels."""
MOST_SAID = 400
"""Letters of the thinking that a sheet has at most."""


@dataclass(frozen=True, slots=True)
class View:
    """What the model made of a sample."""

    image: Image.Image
    """With mask, box and points drawn over it, at most `SIDE` pixels on its longest side."""
    outcome: str
    """Such as its IoU, in a few words."""
    quality: float
    """The IoU, 0…1."""
    said: str
    """The thinking; of an answer that cannot be read all that was written."""
    failed: str
    """Why it cannot be read; empty where it can."""


class SampleSheets:
    """Draws the same few samples at every validation.

    Args:
        output: the run's folder.
        samples: all that are held out.
        count: how many are drawn, spread evenly over all; 0 draws nothing.
        answer_format: reads the thinking out of what the model wrote.
    """

    def __init__(self, output: Path, samples: Sequence[Sample], count: int, answer_format: AnswerFormat) -> None:
        self._output = output
        self._format = answer_format
        self._places = even_places(len(samples), count) if count and len(samples) else []
        self.samples: Sequence[Sample] = [samples[place] for place in self._places]
        """Those that are drawn."""
        self._truths: list[Image.Image] = []
        self._views: dict[int, list[View]] = {}

    def draw(self, validated: Validated) -> Path | None:
        """Write the records of a validation and its sheet.

        Returns:
            The file of the sheet; None where nothing is to be drawn.
        """
        path = records_file(self._output, validated.step)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_records(path, validated.records)
        self._views.pop(validated.step, None)
        if not self._places:
            return None
        file = sheet_file(self._output, validated.step)
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_name(f".{file.name}.part")
        self._sheet(self.views(validated.step)).save(half, "JPEG", quality=88)
        half.replace(file)
        return file

    @property
    def truths(self) -> list[Image.Image]:
        """The samples with their true masks; none before the first validation is drawn."""
        return self._truths

    def views(self, step: int) -> list[View]:
        """What the model made of each sample at the validation after a step, from its records."""
        if step not in self._views:
            records = read_records(records_file(self._output, step))
            shown = [records[place] for place in self._places]
            pairs = list(zip(self.samples, shown, strict=True))
            self._views[step] = [self._view(*pair) for pair in pairs]
            if not self._truths:
                self._truths = [_small(overlay(image_or_blank(*pair), pair[0].target)) for pair in pairs]
        return self._views[step]

    def forget_all_but(self, steps: Sequence[int]) -> None:
        """Keep only what was drawn of these validations in memory."""
        self._views = {step: views for step, views in self._views.items() if step in steps}

    def _view(self, sample: Sample, record: PredictionRecord) -> View:
        said = record.text
        if record.frame is not None:
            answer = self._format.try_parse(record.text, Size(*record.frame))
            said = record.text if isinstance(answer, MalformedAnswer) else answer.think
        abstained = ", nothing there" if record.abstained else ""
        failed = record.failure_detail or (record.failure.sentence if record.failure is not None else "")
        image = overlay(image_or_blank(sample, record), record.mask, record.answer)
        return View(_small(image), record.outcome + abstained, record.quality, said, failed)

    def _sheet(self, views: Sequence[View]) -> Image.Image:
        cells = []
        for sample, truth, view in zip(self.samples, self.truths, views, strict=True):
            said = view.said if len(view.said) <= MOST_SAID else f"{view.said[:MOST_SAID]}…"
            lines = [f"“{sample.query}”", " ".join(said.split()), view.failed]
            pair = side_by_side([truth, view.image], ["asked for", view.outcome], height=240)
            cells.append((pair, "\n".join(line for line in lines if line)))
        return contact_sheet(cells, columns=min(2, len(cells)), cell_width=600)


def sheet_file(output: Path, step: int) -> Path:
    """The sheet of the validation after a step."""
    return output / SHEETS / f"step_{step:06}.jpg"


def records_file(output: Path, step: int) -> Path:
    """The records of the validation after a step."""
    return output / RECORDS / f"step_{step:06}.jsonl"


def steps_drawn(scores: Sequence[tuple[int, float]]) -> list[int]:
    """The validations that a page shows: the first, the best and the latest one.

    Args:
        scores: step and mean IoU of each, in order.
    """
    best = best_of(scores)
    return sorted({scores[0][0], best[0], scores[-1][0]}) if best is not None else []


def _small(image: Image.Image) -> Image.Image:
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image
