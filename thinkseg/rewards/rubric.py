"""The rubric: reads each completion once, segments each image once, and scores every part.

::

    rubric = Rubric(get_format("seg-r1"), {"segment": 1.0, "format": 1.0}, segmenter)
    rewards = rubric.score(completions, truths, frames)          # on its own
    GRPOTrainer(..., reward_funcs=rubric.reward_functions())     # inside TRL
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from thinkseg.answers import READ_AS_PUBLISHED, get_format
from thinkseg.answers.base import AnswerFormat
from thinkseg.errors import MalformedAnswer, RecipeError
from thinkseg.extension import Reference
from thinkseg.models.base import Segmenter
from thinkseg.rewards.as_published import AS_PUBLISHED
from thinkseg.rewards.batch import RewardBatch
from thinkseg.rewards.part import RewardPart
from thinkseg.rewards.parts import PARTS, get_part
from thinkseg.rewards.published import published_rewards
from thinkseg.rewards.reward_input import RewardInput, Truth, truth_from_row
from thinkseg.rewards.segmentation import segmented
from thinkseg.rewards.trainer_batch import FrameOf, LatestBatch, RewardFunction, TruthOf
from thinkseg.types import Completion, Reward, Size


@dataclass(frozen=True, slots=True)
class Rubric:
    """How completions are scored.

    Raises:
        RecipeError: there is no part of one of the names, or no name at all.
        InputError: a part of your own breaks the contract.
    """

    format: AnswerFormat
    weights: Mapping[str, float] | Literal["published"]
    """Weight of each part, by its name in `PARTS` or its reference; the order is that of the reward functions.
    "published" stands for the rewards of the format's authors, with exactly the values of their functions: completions
    are then read as they read them, too."""
    segmenter: Segmenter | None = None
    """Without one, parts that need masks give no score."""
    parts: Mapping[str, RewardPart] = field(init=False, repr=False, compare=False)
    """The parts by what logs and results call them, in the order of the weights."""
    part_weights: Mapping[str, float] = field(init=False, repr=False, compare=False)
    """Weight of each of them, by the same names and in the same order."""
    reader: AnswerFormat = field(init=False, repr=False, compare=False)
    """What reads the completions: the format itself, or, for the published rewards, what reads it as its authors do."""

    def __post_init__(self) -> None:
        set_field = partial(object.__setattr__, self)
        if self.weights == "published":
            published = published_rewards(self.format.name)
            set_field("parts", AS_PUBLISHED[published.format])
            set_field("part_weights", published.weights)
            set_field("reader", get_format(READ_AS_PUBLISHED[published.format]))
            return
        if not self.weights:
            raise RecipeError(f"a rubric weighs parts of the reward such as {', '.join(PARTS)}, found none")
        parts = {name: get_part(name) for name in self.weights}
        names = _short_names(parts)
        set_field("parts", dict(zip(names, parts.values(), strict=True)))
        set_field("part_weights", dict(zip(names, self.weights.values(), strict=True)))
        set_field("reader", self.format)

    @property
    def needs_masks(self) -> bool:
        """Whether any part looks at masks; if not, the segmenter never runs."""
        return any(part.needs_masks for part in self.parts.values())

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
            InputError: a part gives something else than finite numbers and None.
        """
        return self.score_inputs(self.read(completions, truths, frames))

    def read(
        self, completions: Sequence[Completion | str], truths: Sequence[Truth], frames: Sequence[Size]
    ) -> list[RewardInput]:
        """Read each completion once, then let the segmenter see each image once."""
        inputs = [
            self._read(completion if isinstance(completion, str) else completion.text, truth, frame)
            for completion, truth, frame in zip(completions, truths, frames, strict=True)
        ]
        return segmented(inputs, self.segmenter) if self.segmenter is not None and self.needs_masks else inputs

    def score_inputs(self, inputs: Sequence[RewardInput]) -> list[Reward]:
        """Score every part of inputs that were read."""
        batch = RewardBatch(inputs)
        scores = {name: part(batch) for name, part in self.parts.items()}
        rows = range(len(inputs))
        return [Reward({name: values[row] for name, values in scores.items()}, self.part_weights) for row in rows]

    def reward_functions(
        self, frame_of: FrameOf | None = None, truth_of: TruthOf = truth_from_row
    ) -> list[RewardFunction]:
        """One function per part for TRL, in the order of the weights, each with the name of its part.

        TRL calls them one after another with the same list of completions. The first call of a batch reads and segments
        it, and reports the shares of parse failures and of abstentions through TRL's ``log_metric`` and the reasons
        through its ``log_extra``; the others look their values up.

        Args:
            frame_of: gives the frame of an image for rows without a column ``frame`` ([width, height]).
            truth_of: gives the truth of a completion from the columns.
        """
        batch = LatestBatch(self.read, self.score_inputs, frame_of, truth_of)
        return [batch.function_of(name) for name in self.parts]

    def _read(self, text: str, truth: Truth, frame: Size) -> RewardInput:
        answer = self.reader.try_parse(text, frame)
        if isinstance(answer, MalformedAnswer):
            return RewardInput(text, self.format, frame, truth, None, answer.reason)
        return RewardInput(text, self.format, frame, truth, answer)


def _short_names(parts: Mapping[str, RewardPart]) -> list[str]:
    """What logs call each part: its own name, with its file's where another part has that name, too."""
    candidates = {name: _names_of(name, part) for name, part in parts.items()}
    taken = Counter(candidate for names in candidates.values() for candidate in names)
    taken.update(name for name in PARTS if name not in parts)
    return [next((name for name in names if taken[name] == 1), names[-1]) for names in candidates.values()]


def _names_of(name: str, part: RewardPart) -> tuple[str, ...]:
    """Names for a part, from short to long; the last one is its own alone."""
    reference = Reference.parse(name) if name not in PARTS else None
    return (name,) if reference is None else (part.name, f"{Path(reference.source).stem}.{part.name}", name)
