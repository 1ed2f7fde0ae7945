"""What a regular expression lets a model write is what the format's reader reads."""

import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkseg.answers import FORMATS, SegR1, VisionReasoner, get_format
from thinkseg.answers.instructions import EXAMPLE
from thinkseg.answers.patterns import COUNTED, without
from thinkseg.errors import MalformedAnswer
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

FRAME = Size(100, 60)
BEYOND_REGULAR = re.compile("is reversed|labels, expected as many|points with as many labels|more than the 20,000")
"""What only the reader can refuse: the order of corners, equal counts above `COUNTED`, the length."""

numbers = st.integers(0, 2000).map(lambda value: value / 2)
points = st.lists(st.tuples(numbers, numbers, st.sampled_from([1, 1, 0])), max_size=COUNTED + 3)
two_points = st.lists(st.tuples(numbers, numbers, st.just(1)), min_size=2, max_size=2)
one_object = st.tuples(*[numbers] * 4, two_points).map(lambda found: [found])  # some formats have no more than that
objects = st.lists(st.tuples(numbers, numbers, numbers, numbers, points), max_size=3) | one_object
thinking = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text("</think> a{", max_size=20)


@pytest.fixture(params=FORMATS)
def answer_format(request):
    return get_format(request.param)


def answer_of(objects, think):
    prompts = [
        ObjectPrompt(Box(min(x, u), min(y, v), max(x, u), max(y, v)), tuple(Point(*point) for point in points))
        for x, y, u, v, points in objects
    ]
    return Answer(FRAME, tuple(prompts), think)


def takes(pattern, text):
    return re.fullmatch(pattern, text) is not None


def test_it_takes_all_that_the_format_writes(answer_format):
    pattern = answer_format.pattern().whole
    taken = []

    def law(objects, think):
        try:
            text = answer_format.render(answer_of(objects, think))
        except ValueError:
            return
        assert takes(pattern, text), text
        taken.append(text)

    for drawn in (objects, one_object):  # of all kinds together, the narrowest format may write next to none
        settings(max_examples=40, deadline=None)(given(drawn, thinking)(law))()
    assert takes(pattern, answer_format.render(EXAMPLE))
    assert len(set(taken)) > 5


def test_what_it_takes_the_format_reads(answer_format):
    read = []

    @given(st.from_regex(answer_format.pattern().whole, fullmatch=True))
    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    def law(text):
        answer = answer_format.try_parse(text, FRAME)
        if isinstance(answer, MalformedAnswer):
            assert BEYOND_REGULAR.search(answer.reason), (text, answer.reason)
        else:
            read.append(answer)

    law()
    assert read


def test_what_the_format_refuses_it_refuses(answer_format):
    """Right answers, damaged: cut off, with a letter gone, doubled or changed."""
    pattern = answer_format.pattern().whole
    right = answer_format.render(EXAMPLE)

    @given(st.integers(0, len(right) - 1), st.sampled_from(["cut", "gone", "doubled", *'x0-<,]}"']))
    @settings(max_examples=100, deadline=None)
    def law(place, damage):
        put = {"cut": None, "gone": "", "doubled": right[place] * 2}.get(damage, damage)
        text = right[:place] if put is None else right[:place] + put + right[place + 1 :]
        refused = answer_format.try_parse(text, EXAMPLE.frame)
        if isinstance(refused, MalformedAnswer) and not BEYOND_REGULAR.search(refused.reason):
            assert not takes(pattern, text), (text, refused.reason)

    law()
    assert not takes(pattern, right[:-1])
    assert not takes(pattern, "")


@pytest.mark.parametrize(
    "text",
    [
        "<think>a</think><bbox>[1,2,3,4]</bbox><points>[[1,2],[3,4]]</points><labels>[1]</labels>",
        "<think>a</think><bbox>[1,2,3,4]</bbox><points>[[1,2]]</points><labels>[2]</labels>",
        "<think>a</think><bbox>[1,2,3]</bbox><points></points><labels></labels>",
        "<think>a</think><bbox>[1,2,3,04]</bbox><points></points><labels></labels>",
        "<think>a</think><bbox></bbox><points>[[1,2]]</points><labels>[1]</labels>",
        "<think>a</think>then<bbox></bbox><points></points><labels></labels>",
        "<think>a</think></think><bbox></bbox><points></points><labels></labels>",
        "<bbox></bbox><points></points><labels></labels>",
        "<think>a</think>" + "<bbox>[1,2,3,4]</bbox>" * 121 + "<points></points><labels></labels>",
    ],
)
def test_answers_that_seg_r1_refuses(text):
    assert isinstance(SegR1().try_parse(text, FRAME), MalformedAnswer)
    assert not takes(SegR1().pattern().whole, text)


@pytest.mark.parametrize(
    "answer",
    [
        '{"bbox_2d": [1, 2, 3, 4], "point_2d": [1, 2]}',
        "[{}]",
        '[{"bbox_2d": [1, 2, 3, 4], "point_2d": [1]}]',
        "[1]",
        "",
    ],
)
def test_answers_that_vision_reasoner_refuses(answer):
    text = f"<think>a</think><answer>{answer}</answer>"
    assert isinstance(VisionReasoner().try_parse(text, FRAME), MalformedAnswer)
    assert not takes(VisionReasoner().pattern().whole, text)


@pytest.mark.parametrize("opened", ["<think>", "<think>\n", "<think>\n\n</think>\n\n"])
def test_with_thinking_that_the_chat_template_has_opened_the_whole_is_right(answer_format, opened):
    whole = answer_format.render(EXAMPLE)
    if answer_format.pattern().thinking is None:
        whole = f"<think>a</think>{whole}"
    rest = whole.partition("</think>")[2] if "</think>" in opened else whole.removeprefix("<think>")
    pattern = answer_format.pattern().after(opened)
    assert takes(pattern, rest)
    assert not takes(pattern, rest[:-1])
    if "published" not in answer_format.name:
        assert isinstance(answer_format.try_parse(opened + rest, EXAMPLE.frame), Answer)


def test_a_format_of_ones_own_has_none_unless_it_says_one(own_format):
    assert get_format(own_format).pattern() is None


def test_a_text_without_another_is_told_from_one_with_it_in_any_mixture_of_their_letters():
    inside = re.compile(without("</think>"))

    @given(st.lists(st.sampled_from(["<", "/", "</think", "</think>", "think>", "t", "a", "\n"]), max_size=8))
    @settings(max_examples=300, deadline=None)
    def law(pieces):
        text = "".join(pieces)
        assert bool(inside.fullmatch(text)) == ("</think>" not in text)

    law()


def test_a_long_text_is_matched_in_a_moment():
    pattern = re.compile(SegR1().pattern().whole)
    start = time.process_time()
    assert not pattern.fullmatch("<think>" + "<" * 2000 + "</thin" * 500)
    assert not pattern.fullmatch("<think>" + "a" * 20_000)
    assert time.process_time() - start < 5
