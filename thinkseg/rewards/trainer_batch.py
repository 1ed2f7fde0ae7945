"""A batch as TRL shows it: to one reward function after another, with the same list of completions each time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from thinkseg.errors import InputError
from thinkseg.rewards.reward_input import RewardInput, Truth, truth_from_row
from thinkseg.stopwatch import count
from thinkseg.types import Reward, Size

RewardFunction = Callable[..., list[float | None]]
"""What TRL calls: ``f(completions=…, **columns)``, one value per completion."""

FrameOf = Callable[[Image.Image], Size]
"""In which frame the model gives coordinates for an image."""

TruthOf = Callable[[Mapping[str, Sequence[Any]], int], Truth]
"""From the columns of a data set and an index to what is right for that completion."""


class LatestBatch:
    """The latest batch that TRL has shown, scored once for all of its reward functions."""

    def __init__(
        self,
        read: Callable[[Sequence[str], Sequence[Truth], Sequence[Size]], list[RewardInput]],
        score: Callable[[Sequence[RewardInput]], list[Reward]],
        frame_of: FrameOf | None = None,
        truth_of: TruthOf = truth_from_row,
    ) -> None:
        self._read = read
        self._score = score
        self._frame_of = frame_of
        self._truth_of = truth_of
        self._completions: list[Any] | None = None  # held and compared with `is`: an id() can come back
        self._rewards: list[Reward] = []

    def function_of(self, name: str) -> RewardFunction:
        """The reward function of one part, for TRL."""

        def part(completions: list[Any], **columns: Any) -> list[float | None]:
            return [reward.parts[name] for reward in self._rewards_of(completions, columns)]

        part.__name__ = part.__qualname__ = name
        return part

    def _rewards_of(self, completions: list[Any], columns: Mapping[str, Any]) -> list[Reward]:
        """The rewards of a batch; scored when the list is another one than the last time."""
        if completions is not self._completions:
            rows = range(len(completions))
            truths = [self._truth_of(columns, row) for row in rows]
            frames = [self._frame(columns, row, truths[row]) for row in rows]
            inputs = self._read([_text_of(completion) for completion in completions], truths, frames)
            self._rewards = self._score(inputs)
            self._completions = completions
            count("completions", len(completions))
            count("tokens", sum(len(tokens) for tokens in columns.get("completion_ids") or ()))
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


def share_parse_failures(inputs: Sequence[RewardInput]) -> float:
    """The share of completions that could not be read, 0…1."""
    return sum(item.answer is None for item in inputs) / len(inputs) if inputs else 0.0


def share_abstentions(inputs: Sequence[RewardInput]) -> float:
    """The share of completions that say "nothing there", 0…1."""
    return sum(item.answer is not None and not item.answer.objects for item in inputs) / len(inputs) if inputs else 0.0


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
