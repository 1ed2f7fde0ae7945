"""The contract of a part of the reward: it says what it needs, its scores are checked, and its example works."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import thinkseg
from thinkseg.answers import SegR1
from thinkseg.errors import InputError, MalformedAnswer, RecipeError
from thinkseg.rewards import PARTS, RewardInput, RewardPart, Rubric, Truth, get_part
from thinkseg.testing import FakeSegmenter
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

from ..conftest import example_in

FRAME = Size(40, 30)
IMAGE = Image.new("RGB", (40, 30))
TARGET = np.zeros((30, 40), bool)
TARGET[5:15, 10:20] = True
KNOWN = Truth(mask=TARGET, image=IMAGE)
HIT = "<think>It is on the left.</think><bbox>[10,5,19,14]</bbox><points></points><labels></labels>"
HALF = HIT.replace("19,14", "14,14")
NOTHING = "<think>a</think><bbox></bbox><points></points><labels></labels>"


@pytest.fixture
def written(tmp_path):
    """Writes code into a file and gives the reference of a name in it."""

    def write(code, name="part", file="my_rewards.py"):
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, encoding="utf-8")
        return f"{path}:{name}"

    return write


def scored(part, texts, truths, segmenter=None):
    rewards = Rubric(SegR1(), {part: 1.0}, segmenter).score(texts, truths, [FRAME] * len(texts))
    return [value for reward in rewards for value in reward.parts.values()]


def test_the_example_of_the_contract_scores_what_it_says(written, segmenter):
    example = example_in(RewardPart)
    long = HIT.replace("It is on the left.", "so " * 40)
    assert scored(written(example, "short_thoughts"), [HIT, long, "?"], [Truth()] * 3) == [1, 0.5, 0]
    coverage = written(example, "coverage")
    texts, truths = [HIT, HALF, NOTHING, "?"], [KNOWN] * 4
    assert scored(coverage, texts, truths, segmenter) == [1, 0.5, 0, 0]
    assert scored(coverage, texts, truths) == [None] * 4


def test_a_part_of_ones_own_is_weighed_beside_the_others_and_called_by_its_own_name(written, segmenter):
    own = written(example_in(RewardPart), "short_thoughts")
    rubric = Rubric(SegR1(), {"segment": 1.0, own: 0.2}, segmenter)
    (reward,) = rubric.score([HIT], [KNOWN], [FRAME])
    assert reward.parts == {"segment": pytest.approx(1), "short_thoughts": 1}
    assert reward.total == pytest.approx(1.2)
    assert [function.__name__ for function in rubric.reward_functions()] == ["segment", "short_thoughts"]


def test_names_that_two_parts_share_are_told_apart_by_their_files(written):
    code = "def segment(item):\n    return 0.5\n\n\nbrief = segment\n"
    first, second = written(code, "segment", "one.py"), written(code, "segment", "deep/two.py")
    twin = written(code, "segment", "deep/one.py")
    assert list(Rubric(SegR1(), {first: 1.0}).parts) == ["one.segment"]
    assert list(Rubric(SegR1(), {"segment": 1.0, first: 1.0, second: 1.0}).parts) == [
        "segment",
        "one.segment",
        "two.segment",
    ]
    assert list(Rubric(SegR1(), {first: 1.0, twin: 1.0}).parts) == [first, twin]


def test_a_segmenter_is_asked_only_for_a_part_that_says_that_it_needs_masks(written, segmenter):
    example = example_in(RewardPart)
    assert Rubric(SegR1(), {written(example, "coverage"): 1.0}).needs_masks
    thoughts = written(example, "short_thoughts")
    assert not Rubric(SegR1(), {thoughts: 1.0}).needs_masks
    scored(thoughts, [HIT], [KNOWN], segmenter)
    assert segmenter.calls == []


def test_a_look_at_masks_that_nobody_asked_for_is_an_error_and_no_silence(written, segmenter):
    silent = written("def part(item):\n    return float(item.masks.any())\n")
    with pytest.raises(InputError, match=r"write @thinkseg\.reward\(needs_masks=True\) above it"):
        scored(silent, [HIT], [KNOWN], segmenter)


texts = st.lists(st.sampled_from([HIT, HALF, NOTHING, "?", HIT + "and more"]), min_size=1, max_size=5)
truths = st.sampled_from(
    [
        KNOWN,
        Truth(),
        Truth(mask=TARGET),
        Truth(instances=TARGET[None], ignore=~TARGET, image=IMAGE),
        Truth(mask=~TARGET & False, image=IMAGE),
        Truth(objects=Answer(FRAME, (ObjectPrompt(Box(10.0, 5.0, 19.0, 14.0), (Point(12.0, 9.0), Point(15.0, 9.0))),))),
    ]
)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_part_scores_an_input_as_it_does_alone_and_a_malformed_answer_with_nothing(data):
    completions = data.draw(texts)
    known = data.draw(st.lists(truths, min_size=len(completions), max_size=len(completions)))
    rubric = Rubric(SegR1(), dict.fromkeys(PARTS, 1.0), FakeSegmenter())
    together = rubric.score(completions, known, [FRAME] * len(completions))
    for text, truth, reward in zip(completions, known, together, strict=True):
        (alone,) = rubric.score([text], [truth], [FRAME])
        assert reward.parts == alone.parts
        assert all(value is None or 0 <= value <= 3 for value in reward.parts.values())
        if isinstance(SegR1().try_parse(text, FRAME), MalformedAnswer):
            earned = {name for name, value in reward.parts.items() if value}
            assert earned <= {"think_format", "non_repeat"}


needed = st.sets(st.sampled_from(["mask", "instances", "ignore", "objects", "image"]))


@given(st.lists(needed, max_size=6), needed)
@settings(max_examples=40, deadline=None)
def test_a_part_is_asked_only_about_what_has_all_that_it_needs(known, needs):
    values = {
        "mask": TARGET,
        "instances": TARGET[None],
        "ignore": TARGET,
        "objects": Answer(FRAME, (ObjectPrompt(Box(1.0, 1.0, 2.0, 2.0)),)),
        "image": IMAGE,
    }
    asked = []
    for batch in (False, True):

        @thinkseg.reward(needs=needs, batch=batch)
        def part(found, batch=batch):
            asked.extend(found if batch else [found])
            return [0.25] * len(found) if batch else 0.25

        inputs = [
            RewardInput("", SegR1(), FRAME, Truth(**{name: values[name] for name in names}), None) for names in known
        ]
        has = [all(getattr(item.truth, name) is not None for name in needs) for item in inputs]
        asked.clear()
        assert part(inputs) == [0.25 if known else None for known in has]
        assert asked == [item for item, known in zip(inputs, has, strict=True) if known]


@pytest.mark.parametrize("value", [True, 1, np.float32(0.5), np.bool_(True), np.array(2.0), 0.0, None])
def test_whatever_is_a_number_is_a_score(value):
    part = thinkseg.reward(name="part")(lambda _: value)
    (score,) = part([RewardInput("", SegR1(), FRAME, Truth(), None)])
    assert score is None if value is None else type(score) is float
    assert score == (None if value is None else float(value))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "found nan"),
        (float("inf"), "found inf"),
        ("0.5", "found '0.5'"),
        ([0.5], r"found \[0\.5\]"),
        (np.array([0.5, 1.0]), "found array"),
        (1j, "found 1j"),
    ],
)
def test_whatever_is_none_is_refused_in_a_sentence_that_names_the_part(value, said):
    part = thinkseg.reward(name="mine")(lambda _: value)
    with pytest.raises(InputError, match=f"part of the reward 'mine' should give a finite number or None, {said}"):
        part([RewardInput("", SegR1(), FRAME, Truth(), None)])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_part_that_scores_a_batch_gives_a_score_for_each(count):
    part = thinkseg.reward(name="mine", batch=True)(lambda _: [0.5] * count)
    with pytest.raises(InputError, match=f"'mine' should give a score for each of 2 completions, found {count}"):
        part([RewardInput("", SegR1(), FRAME, Truth(), None)] * 2)


def test_a_part_that_fails_is_named_with_what_happened(written):
    broken = written("def part(item):\n    return 1 / 0\n")
    with pytest.raises(InputError, match=r"'part' fails in line 2 of my_rewards\.py: ZeroDivisionError: division"):
        scored(broken, [HIT], [Truth()])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("part = 3\n", r"expected a part of the reward at '.*my_rewards\.py:part', a function .*, found 3"),
        ("class part:\n    pass\n", r"a function of one RewardInput, found the class 'part'"),
        ("def part():\n    return 1.0\n", "'part' should be a function of one RewardInput, found the function 'part'"),
        (
            "def part(item, other):\n    return 1.0\n",
            "'part' should be a function of one RewardInput, found the function 'part'",
        ),
        (
            "import thinkseg\n\n\n@thinkseg.reward(needs=['target'])\ndef part(item):\n    return 1.0\n",
            "'part' can need mask, instances, ignore, objects, image of the truth, found 'target'",
        ),
    ],
)
def test_code_that_is_no_part_is_refused_in_a_sentence(written, code, said):
    with pytest.raises(InputError, match=said):
        Rubric(SegR1(), {written(code): 1.0})


def test_an_unknown_name_is_told_the_nearest_and_how_to_name_ones_own():
    with pytest.raises(RecipeError, match=r"did you mean 'accuracy'\? One of your own is FILE\.py:NAME"):
        get_part("acuracy")
    assert get_part("accuracy") is PARTS["accuracy"]
