"""The rubric: reads each completion once, segments each image once, and scores every part.

::

    rubric = Rubric(get_format("seg-r1"), {"segment": 1.0, "format": 1.0}, segmenter)
    rewards = rubric.score(completions, truths, frames)          # on its own
    GRPOTrainer(..., reward_funcs=rubric.reward_functions())     # inside TRL
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.answers.base import AnswerFormat
from thinkseg.errors import ImageError, InputError, MalformedAnswer, RecipeError
from thinkseg.models.base import Segmenter
from thinkseg.rewards import boxes, form, masks
from thinkseg.rewards.batch import RewardBatch
from thinkseg.rewards.reward_input import Part, RewardInput, Truth, each, truth_from_row
from thinkseg.types import Answer, Completion, Masks, Reward, Size

PARTS: dict[str, Part] = {
    "segment": each(masks.segment),
    "matched_masks": each(masks.matched_masks),
    "points_inside": each(masks.points_inside),
    "presence": each(masks.presence),
    "point_count": each(masks.point_count),
    "format": each(form.format_kept),
    "think_format": each(form.thinking_in_place),
    "answer_format": each(form.answer_readable),
    "non_repeat": each(form.non_repetition),
    "box_iou": boxes.box_iou,
    "box_l1": boxes.box_l1,
    "points": boxes.points,
    "point": boxes.point,
    "accuracy": boxes.accuracy,
    "soft_box_iou": boxes.soft_box_iou,
    "soft_box_l1": boxes.soft_box_l1,
    "soft_points": boxes.soft_points,
    "soft_point": boxes.soft_point,
    "soft_accuracy": boxes.soft_accuracy,
}
"""Every part that a recipe can weigh, by its name there."""

MASK_PARTS = frozenset({"segment", "matched_masks"})
"""The parts that look at masks; without one of them a rubric has no need of a segmenter."""

RewardFunction = Callable[..., list[float | None]]
"""What TRL calls: ``f(completions=…, **columns)``, one value per completion."""


@dataclass(frozen=True, slots=True)
class Rubric:
    """How completions are scored.

    Raises:
        RecipeError: a part is not one of `PARTS`, or there is none.
    """

    format: AnswerFormat
    weights: Mapping[str, float]
    """Weight of each part, by its name in `PARTS`; the order is that of the reward functions."""
    segmenter: Segmenter | None = None
    """Without one, parts that need masks give no score."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.weights if name not in PARTS]
        if unknown or not self.weights:
            found = f"'{unknown[0]}'" if unknown else "none"
            raise RecipeError(f"a rubric weighs parts named {', '.join(PARTS)}, found {found}")

    @property
    def needs_masks(self) -> bool:
        """Whether any part looks at masks; if not, the segmenter is never asked."""
        return not MASK_PARTS.isdisjoint(self.weights)

    def score(
        self, completions: Sequence[Completion | str], truths: Sequence[Truth], frames: Sequence[Size]
    ) -> list[Reward]:
        """The rewards of completions, in order.

        Args:
            completions: what the model wrote.
            truths: what is right for each.
            frames: in which each gives coordinates.

        Raises:
            ImageError: a true mask and its image differ in size.
        """
        return self.score_inputs(self.read(completions, truths, frames))

    def read(
        self, completions: Sequence[Completion | str], truths: Sequence[Truth], frames: Sequence[Size]
    ) -> list[RewardInput]:
        """Read each completion once, then let the segmenter see each image once."""
        inputs = [
            self._case(completion if isinstance(completion, str) else completion.text, truth, frame)
            for completion, truth, frame in zip(completions, truths, frames, strict=True)
        ]
        return _segmented(inputs, self.segmenter) if self.segmenter is not None and self.needs_masks else inputs

    def score_inputs(self, inputs: Sequence[RewardInput]) -> list[Reward]:
        """Score every part of inputs that were read."""
        batch = RewardBatch(inputs)
        scores = {name: PARTS[name](batch) for name in self.weights}
        return [
            Reward({name: values[row] for name, values in scores.items()}, self.weights) for row in range(len(inputs))
        ]

    def reward_functions(
        self,
        frame_of: Callable[[Image.Image], Size] | None = None,
        truth_of: Callable[[Mapping[str, Sequence[Any]], int], Truth] = truth_from_row,
    ) -> list[RewardFunction]:
        """One function per part for TRL, in the order of the weights, each with the name of its part.

        TRL calls them one after another with the same list of completions. The first call of a batch reads and segments
        it, and reports the shares of parse failures and of abstentions through TRL's ``log_metric`` and the reasons
        through its ``log_extra``; the others look their values up.

        Args:
            frame_of: gives the frame of an image for rows without a column ``frame`` ([width, height]).
            truth_of: gives the truth of a completion from the columns.
        """
        batch = _LatestBatch(self, frame_of, truth_of)

        def function_of(name: str) -> RewardFunction:
            def part(completions: list[Any], **columns: Any) -> list[float | None]:
                return [reward.parts[name] for reward in batch.rewards(completions, columns)]

            part.__name__ = part.__qualname__ = name
            return part

        return [function_of(name) for name in self.weights]

    def _case(self, text: str, truth: Truth, frame: Size) -> RewardInput:
        try:
            answer, reason = self.format.parse(text, frame), ""
        except MalformedAnswer as malformed:
            answer, reason = None, malformed.reason
        return RewardInput(text, self.format, frame, truth, answer, reason)


def share_parse_failures(inputs: Sequence[RewardInput]) -> float:
    """The share of completions that could not be read, 0…1."""
    return sum(item.answer is None for item in inputs) / len(inputs) if inputs else 0.0


def share_abstentions(inputs: Sequence[RewardInput]) -> float:
    """The share of completions that say "nothing there", 0…1."""
    return sum(item.answer is not None and not item.answer.objects for item in inputs) / len(inputs) if inputs else 0.0


class _LatestBatch:
    """The latest batch that TRL has shown, scored."""

    def __init__(
        self,
        rubric: Rubric,
        frame_of: Callable[[Image.Image], Size] | None,
        truth_of: Callable[[Mapping[str, Sequence[Any]], int], Truth],
    ) -> None:
        self._rubric = rubric
        self._frame_of = frame_of
        self._truth_of = truth_of
        self._completions: list[Any] | None = None  # held and compared with `is`: an id() can come back
        self._rewards: list[Reward] = []

    def rewards(self, completions: list[Any], columns: Mapping[str, Any]) -> list[Reward]:
        """The rewards of a batch; scored when the list is another one than the last time."""
        if completions is not self._completions:
            rows = range(len(completions))
            truths = [self._truth_of(columns, row) for row in rows]
            frames = [self._frame(columns, row, truths[row]) for row in rows]
            inputs = self._rubric.read([_text_of(completion) for completion in completions], truths, frames)
            self._rewards = self._rubric.score_inputs(inputs)
            self._completions = completions
            _report(inputs, columns)
        return self._rewards

    def _frame(self, columns: Mapping[str, Any], row: int, truth: Truth) -> Size:
        frames = columns.get("frame")
        if frames is not None and frames[row] is not None:
            return Size(*frames[row])
        if self._frame_of is None or truth.image is None:
            raise InputError(
                "the rewards need to know in which frame a completion gives coordinates: add a column 'frame' with "
                "[width, height], or images and a function frame_of"
            )
        return self._frame_of(truth.image)


def _report(inputs: Sequence[RewardInput], columns: Mapping[str, Any]) -> None:
    """Tell TRL what is not a reward but worth watching."""
    log_metric, log_extra = columns.get("log_metric"), columns.get("log_extra")
    if log_metric is not None:
        log_metric("parse_failures", share_parse_failures(inputs))
        log_metric("abstentions", share_abstentions(inputs))
    if log_extra is not None:
        log_extra("malformed", [item.reason for item in inputs])


def _text_of(completion: Any) -> str:
    """The text of a completion as TRL hands it over: a string, or a list of messages of which the last one counts."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _segmented(inputs: Sequence[RewardInput], segmenter: Segmenter) -> list[RewardInput]:
    """The inputs with their masks: one call per distinct image, in which equal answers are segmented once."""
    keys: dict[int, object] = {}
    by_image: dict[object, list[int]] = {}
    for index, item in enumerate(inputs):
        image = item.truth.image
        if image is not None:
            if id(image) not in keys:
                keys[id(image)] = _content_key(image)
            by_image.setdefault(keys[id(image)], []).append(index)
    segmented = list(inputs)
    for indices in by_image.values():
        group = [inputs[index] for index in indices]
        for index, item, made in zip(indices, group, _masks_of(group, segmenter), strict=True):
            segmented[index] = replace(item, masks=made)
    return segmented


def _masks_of(inputs: Sequence[RewardInput], segmenter: Segmenter) -> list[Masks]:
    """The masks of several answers about one image; none for a malformed answer and for "nothing there"."""
    image = inputs[0].truth.image
    assert image is not None
    shape = (image.height, image.width)
    for item in inputs:
        for known in (item.truth.mask, item.truth.instances, item.truth.ignore):
            if known is not None and known.shape[-2:] != shape:
                raise ImageError(
                    f"a true mask has the size of its image, {image.width}×{image.height}; "
                    f"found one of {known.shape[-1]}×{known.shape[-2]}"
                )
    asked: dict[tuple[object, ...], Answer] = {}
    for item in inputs:
        if item.answer is not None and item.answer.objects:
            asked.setdefault((item.answer.frame, item.answer.objects), item.answer)
    segmented = segmenter.segment(image, list(asked.values())) if asked else []
    found = {key: made.masks for key, made in zip(asked, segmented, strict=True)}
    nothing = np.zeros((0, *shape), bool)
    return [found.get((item.answer.frame, item.answer.objects), nothing) if item.answer else nothing for item in inputs]


def _content_key(image: Image.Image) -> object:
    """Equal for images of equal content: a data set decodes an image anew for each completion about it."""
    return image.mode, image.size, hashlib.blake2b(image.tobytes(), digest_size=16).digest()
