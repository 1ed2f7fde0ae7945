"""Parts that look at the text alone."""

import pytest

from thinkseg.answers import SegR1, SegZero, VisionReasoner
from thinkseg.rewards import Rubric, Truth
from thinkseg.types import Size

FRAME = Size(840, 840)
SINGLE = '{"bbox": [10, 20, 90, 50], "points_1": [40, 30], "points_2": [50, 40]}'
GOOD, NO_POINT = '{"bbox_2d": [1, 2, 3, 4], "point_2d": [1, 2]}', '{"bbox_2d": [1, 2, 3, 4]}'
REVERSED = '{"bbox_2d": [3, 2, 1, 4], "point_2d": [1, 2]}'


def score(format, part, text):
    (reward,) = Rubric(format, {part: 1.0}).score([text], [Truth()], [FRAME])
    return reward.parts[part]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<think>a</think><answer>b</answer>", 1),
        ("<think>a. b\nc</think> \n<answer>\nb</answer>", 1),
        ("<think>a</think><answer>b</answer>\n", 0),
        (" <think>a</think><answer>b</answer>", 0),
        ("<think></think><answer></answer>", 1),
        ("Sure! <think>a</think><answer>b</answer>", 0),
        ("<think>a</think><answer>b</answer> Done.", 0),
        ("<think>a</think> so <answer>b</answer>", 0),
        ("<answer>b</answer>", 0),
        ("<answer>b</answer><think>a</think>", 0),
        ("<think>a</think><answer>b", 0),
        ("<think>a<answer>b</answer>", 0),
        ("<think>a</think><think>a</think><answer>b</answer>", 0),
        ("<think>a</think><answer>b</answer><answer>b</answer>", 0),
        ("", 0),
    ],
)
def test_thinking_is_in_its_place_when_nothing_stands_around_the_two_tags(text, value):
    assert score(SegZero(), "think_format", text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The cat sits. The dog runs.", 1),
        ("The cat sits. The cat sits. The dog runs.", 1),
        ("The cat sits. The cat sits. The cat sits.", 0),
        ("A cat. A dog. A cat. A dog.", 0),
        ("...", 1),
        ("[10.5, 20.5] and [30.5, 20.5] and [10.5, 20.5] and [10.5, 20.5]", 1),
        ("", 1),
    ],
)
def test_two_sentences_that_recur_are_repetition_and_decimals_are_not(text, value):
    assert score(VisionReasoner(), "non_repeat", text) == value


def test_a_readable_answer_keeps_to_its_format():
    readable = f"<think>a</think><answer>{SINGLE}</answer>"
    for part in ("format", "answer_format"):
        assert score(SegZero(), part, readable) == 1
        assert score(SegZero(), part, readable[:-3]) == 0
    nothing_there = "<think>No cat.</think><bbox></bbox><points></points><labels></labels>"
    assert score(SegR1(), "format", nothing_there) == 1
    assert score(SegR1(), "format", nothing_there.replace("<bbox></bbox>", "")) == 0


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (f"[{GOOD}]", 3),
        (f"[{GOOD}, {GOOD}]", 3),
        (f"[{GOOD}, {NO_POINT}]", 2.5),
        (f"[{GOOD}, {REVERSED}]", 2.5),
        (f"[{NO_POINT}]", 2),
        ("[{}]", 1),
        ("[1, []]", 1),
        ("[]", 3),
        (GOOD, 1),
        ("no object", 1),
    ],
)
def test_the_format_of_a_list_counts_its_right_keys(payload, value):
    assert score(VisionReasoner(), "format", f"<think>a</think><answer>{payload}</answer>") == value
