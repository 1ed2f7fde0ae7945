"""The tolerant reader: what models write that were never tuned, and no less than the format itself reads."""

import pytest

from thinkseg.answers import get_format
from thinkseg.errors import InputError, MalformedAnswer
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

FRAME = Size(100, 60)
BOX = Box(10.0, 20.0, 40.0, 50.0)
WITHOUT_POINT = (ObjectPrompt(BOX),)
WITH_POINT = (ObjectPrompt(BOX, (Point(20.0, 30.0),)),)
ITEM = '{"bbox_2d": [10, 20, 40, 50], "label": "cup"}'


@pytest.fixture
def tolerant():
    return get_format("vision-reasoner-tolerant")


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        (f"```json\n[{ITEM}]\n```", WITHOUT_POINT),
        (f"```json\n[\n\t{ITEM},\n]\n```", WITHOUT_POINT),
        (f"Here is the cup:\n```JSON\n[{ITEM}]\n```\nIt is [left] of the plate.", WITHOUT_POINT),
        (f"[{ITEM}]", WITHOUT_POINT),
        (ITEM, WITHOUT_POINT),
        (f"<think>It may be [1, 2].</think><answer>[{ITEM}]</answer>", WITHOUT_POINT),
        (f"<think>a</think><answer>```python\n[{ITEM}]\n```</answer>", WITHOUT_POINT),
        (f"<think>a</think><answer>The cup is {ITEM}.</answer>", WITHOUT_POINT),
        (f"<think>a</think><answer>[{ITEM}]", WITHOUT_POINT),
        ("The cup is at [10, 20, 40, 50].", WITHOUT_POINT),
        ('[{"bbox": [10, 20, 40, 50], "point_2d": null}]', WITHOUT_POINT),
        ('[{"bbox_2d": [10, 20, 40, 50], "point_2d": [20, 30]}]', WITH_POINT),
        ('[{"point_2d": [20, 30], "label": "cup"}]', (ObjectPrompt(None, (Point(20.0, 30.0),)),)),
        ("```json\n[]\n```", ()),
    ],
)
def test_boxes_are_read_in_fences_among_words_and_without_points(tolerant, text, objects):
    assert tolerant.parse(text, FRAME).objects == objects
    with pytest.raises(MalformedAnswer):
        get_format("vision-reasoner").parse(text, FRAME)


def test_what_stands_in_the_thinking_is_thinking(tolerant):
    answer = tolerant.parse(f'<think>Not [{{"bbox_2d": [1, 1, 2, 2]}}].</think>[{ITEM}]', FRAME)
    assert answer.objects == WITHOUT_POINT
    assert answer.think.startswith("Not")


@pytest.mark.parametrize(
    "text", ["", "There is no cup.", "[1, 2, 3]", '[{"label": "cup"}]', '[{"bbox_2d": [40, 20, 10, 50]}]', "[" * 9000]
)
def test_what_names_no_object_stays_malformed(tolerant, text):
    with pytest.raises(MalformedAnswer):
        tolerant.parse(text, FRAME)


def test_what_the_format_itself_reads_is_read_as_it_is(tolerant):
    text = '<think>a</think><answer>[{"bbox_2d": [10, 20, 40, 50], "point_2d": [20, 30]}]</answer>'
    assert tolerant.parse(text, FRAME) == get_format("vision-reasoner").parse(text, FRAME)
    assert tolerant.parse("<think>a</think><answer>[]</answer>", FRAME) == Answer(FRAME, (), "a")


def test_one_object_is_read_for_a_format_of_one():
    one = get_format("seg-zero-tolerant")
    assert one.parse(f"```json\n[{ITEM}]\n```", FRAME).objects == WITHOUT_POINT
    with pytest.raises(MalformedAnswer, match="2 objects, expected one"):
        one.parse(f"[{ITEM}, {ITEM}]", FRAME)


def test_reports_call_it_by_its_name_and_a_format_in_tags_has_none(tolerant):
    assert tolerant.reader_name == "vision-reasoner-tolerant"
    assert tolerant == get_format("vision-reasoner", tolerant=True)
    assert get_format("vision-reasoner").reader_name == "vision-reasoner"
    with pytest.raises(InputError, match="'seg-r1' cannot be tolerant"):
        get_format("seg-r1-tolerant")


def test_the_format_reward_of_an_answer_without_points_counts_the_box_alone(tolerant):
    for text, score in ((f"<think>a</think><answer>[{ITEM}]</answer>", 2), (f"```json\n[{ITEM}]\n```", 0)):
        assert tolerant.form_score(text, FRAME, tolerant.parse(text, FRAME)) == score


def test_a_long_word_behind_an_open_fence_is_refused_without_trying_each_shorter_one(tolerant):
    """By trying each, a text of the greatest length would take its square."""
    with pytest.raises(MalformedAnswer, match="no JSON list"):
        tolerant.parse("```" + "a" * 19_000, FRAME)
