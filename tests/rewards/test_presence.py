"""The reward for being right about whether anything is there."""

import numpy as np
import pytest

from thinkseg.answers import SegR1
from thinkseg.rewards import Rubric, Truth
from thinkseg.types import Size

FRAME = Size(40, 30)
ABSTENTION = "<think>a</think><bbox></bbox><points></points><labels></labels>"
ANSWER = "<think>a</think><bbox>[1,1,3,3]</bbox><points></points><labels></labels>"
SOMETHING = np.ones((30, 40), bool)


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        (ANSWER, SOMETHING, 1.0),
        (ABSTENTION, SOMETHING, 0.0),
        (ABSTENTION, ~SOMETHING, 1.0),
        (ANSWER, ~SOMETHING, 0.0),
        ("no tags", SOMETHING, 0.0),
        ("no tags", ~SOMETHING, 0.0),
        (ANSWER, None, None),
    ],
)
def test_presence_looks_only_at_whether_something_is_there(text, target, expected):
    (reward,) = Rubric(SegR1(), {"presence": 1.0}).score([text], [Truth(mask=target)], [FRAME])
    assert reward.parts["presence"] == expected
