"""Parts that look at the text alone: is it written as it should be."""

import re

from thinkseg.answers.json_objects import thinking_in_place
from thinkseg.rewards.part import reward
from thinkseg.rewards.reward_input import RewardInput

_FULL_STOP = re.compile(r"\.(?!\d)")  # not the point of a decimal: coordinates may recur


@reward(name="format")
def format_kept(item: RewardInput) -> float:
    """How well the completion keeps to its format, as the format itself counts it: 1 for what can be read, else 0.

    `vision-reasoner` counts 0…3 (see `AnswerFormat.form_score`).
    """
    return item.answer_format.form_score(item.text, item.frame, item.answer)


@reward(name="answer_format")
def answer_readable(item: RewardInput) -> float:
    """1 when the answer can be read in its format, else 0."""
    return float(item.answer is not None)


@reward(name="think_format")
def thinking_stands_first(item: RewardInput) -> float:
    """1 when the completion is one <think>…</think>, white space, one <answer>…</answer>, and nothing around."""
    return float(thinking_in_place(item.text))


@reward(name="non_repeat")
def non_repetition(item: RewardInput) -> float:
    """0 when two or more sentences are ones that the completion has had before, else 1."""
    sentences = [sentence.strip() for sentence in _FULL_STOP.split(item.text)]
    written = [sentence for sentence in sentences if sentence]
    return float(len(written) - len(set(written)) < 2)
