"""The values that flow through ThinkSeg."""

import json

import pytest

from thinkseg.types import Completion, writable_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("größer 😀", "größer 😀"),
        ("\ud83d", "\ufffd"),
        ("a\ude00b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),  # both halves, apart
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\udcff.png", "\ufffd.png"),
    ],
)
def test_a_text_with_half_an_emoji_comes_in_as_one_that_a_file_can_hold(text: str, expected: str) -> None:
    assert writable_text(text) == expected
    assert Completion(text).text == expected
    assert json.loads(json.dumps(Completion(text).text, ensure_ascii=False).encode()) == expected
