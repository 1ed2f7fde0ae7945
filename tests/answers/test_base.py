"""The contract of a format: its laws hold for every format of the package and for the example in its docstring."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from thinkseg.answers import FORMATS, SegR1, get_format
from thinkseg.answers.instructions import EXAMPLE
from thinkseg.answers.reading import MAX_OBJECTS, MAX_POINTS, MAX_TEXT
from thinkseg.errors import InputError, MalformedAnswer, ThinkSegError
from thinkseg.models.pipeline import Pipeline
from thinkseg.rewards import Rubric, Truth
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Answer, Box, Instruction, ObjectPrompt, Point, Size

FRAME = Size(100, 60)
OWN = "the example of the contract"

# Numbers only: the run-time type checks draw random samples themselves, which a strategy must not do.
tenths = st.integers(0, 1000).map(lambda value: value / 10), st.integers(0, 600).map(lambda value: value / 10)
points = st.lists(st.tuples(*tenths, st.sampled_from([1, 1, 0])), max_size=5)
two_points = st.lists(st.tuples(*tenths, st.just(1)), min_size=2, max_size=2)
one_object = st.tuples(*tenths, *tenths, two_points).map(lambda found: [found])  # some formats have no more than that
objects = st.lists(st.tuples(*tenths, *tenths, points), max_size=3) | one_object
thinking = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.fixture(params=[*FORMATS, OWN])
def answer_format(request, own_format):
    return get_format(own_format if request.param == OWN else request.param)


def answer_of(objects, think):
    prompts = [
        ObjectPrompt(Box(min(x, u), min(y, v), max(x, u), max(y, v)), tuple(Point(*point) for point in points))
        for x, y, u, v, points in objects
    ]
    return Answer(FRAME, tuple(prompts), think)


def test_what_a_format_writes_it_reads_back(answer_format):
    expressed = []

    @given(objects, thinking)
    @settings(max_examples=120, deadline=None)
    def law(objects, think):
        answer = answer_of(objects, think)
        try:
            canonical = answer_format.canonical(answer)
        except ValueError:
            with pytest.raises(ValueError, match=r"format|thinking"):
                answer_format.render(answer)
            return
        assert answer_format.canonical(canonical) == canonical
        text = answer_format.render(answer)
        assert text == answer_format.render(canonical)
        assert answer_format.parse(text, FRAME) == canonical
        expressed.append(canonical)

    law()
    assert any(answer.objects for answer in expressed)
    assert not all(answer.objects for answer in expressed)


def test_any_text_is_either_an_answer_or_malformed(answer_format):
    @given(st.text(max_size=80) | st.text(alphabet='<think>/boxpilas[]{}"0,1;: ', max_size=80))
    @settings(max_examples=80, deadline=None)
    def law(text):
        read = answer_format.try_parse(text, FRAME)
        assert isinstance(read, MalformedAnswer) or read.frame == FRAME

    law()


def test_the_example_in_the_instruction_is_rendered_and_parses(answer_format):
    asked = answer_format.instruction("the cow")
    text = answer_format.render(EXAMPLE)
    assert text in f"{asked.system} {asked.user}"
    assert "the cow" in asked.user
    assert answer_format.parse(text, EXAMPLE.frame) == answer_format.canonical(EXAMPLE)


def test_a_format_counts_how_well_a_text_keeps_to_it(answer_format):
    text = answer_format.render(EXAMPLE)
    full = answer_format.form_score(text, EXAMPLE.frame, answer_format.parse(text, EXAMPLE.frame))
    assert full == (3 if answer_format.name.startswith("vision-reasoner") else 1)
    assert answer_format.form_score("?", EXAMPLE.frame, None) == 0


def test_a_format_of_ones_own_is_asked_read_segmented_and_rewarded(own_format):
    own = get_format(own_format)
    pipeline = Pipeline(FakeReasoner(["[10, 20, 90, 50]; [0, 0, 5, 5]"], FRAME), FakeSegmenter(), own)
    prediction = pipeline.segment(Image.new("RGB", FRAME.wh), "the cow")
    assert [prompt.box for prompt in prediction.answer.objects] == [
        Box(10.0, 20.0, 90.0, 50.0),
        Box(0.0, 0.0, 5.0, 5.0),
    ]
    assert prediction.masks.sum() > 0
    rubric = Rubric(own, {"format": 1.0, "box_iou": 1.0})
    truth = Truth(objects=Answer(FRAME, (ObjectPrompt(Box(10.0, 20.0, 90.0, 50.0)),)))
    right, wrong = rubric.score(["[10, 20, 90, 50]", "[10, 20, 90]"], [truth] * 2, [FRAME] * 2)
    assert (right.parts, wrong.parts) == ({"format": 1, "box_iou": 1}, {"format": 0, "box_iou": 0})


def test_a_recipe_can_put_its_sentences_in_place_of_those_of_a_format_of_ones_own(own_format):
    template = Instruction(user="{query}, like {example}")
    assert get_format(own_format, template).instruction("a cow").user == "a cow, like [96, 180, 412, 566]"


def test_an_unknown_format_is_told_the_nearest_or_the_known_ones():
    with pytest.raises(InputError, match=r"no answer format 'seg-r2': did you mean 'seg-r1'\?.* FILE\.py:NAME"):
        get_format("seg-r2")
    with pytest.raises(InputError, match="seg-r1, seg-r1-points, seg-zero, seg-zero-soft, vision-reasoner"):
        get_format("xml")


@pytest.mark.parametrize("name", FORMATS)
def test_only_formats_that_heed_it_can_be_made_tolerant(name):
    if FORMATS[name].can_be_tolerant:
        assert get_format(name, tolerant=True).tolerant
    else:
        with pytest.raises(InputError, match=f"'{name}' cannot be tolerant"):
            get_format(name, tolerant=True)


def test_a_malformed_answer_comes_back_as_a_value_with_its_reason():
    read = SegR1().try_parse("a cow", FRAME)
    assert isinstance(read, MalformedAnswer)
    assert "outside the tags" in read.reason


def test_a_malformed_answer_is_caught_in_one_place_only(repository):
    """Law 4: a model's bad text is data, and whoever goes on with it takes it as a value."""
    files = [
        file
        for room in ("thinkseg", "pocket", "scripts", "examples", "benchmarks")
        for file in (repository / room).rglob("*.py")
    ]
    handlers = [
        str(file.relative_to(repository))
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type is not None and "MalformedAnswer" in ast.unparse(node.type)
    ]
    assert handlers == ["thinkseg/answers/reading.py"]


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_rendered_can_be_parsed_up_to_the_limits_and_is_refused_beyond_them(name: str) -> None:
    form, frame = get_format(name), Size(1000, 1000)

    def answer(objects: int, points: int = 2, think: str = "a") -> Answer:
        spots = iter((x, y) for y in range(101, 900) for x in range(101, 900))
        box = Box(100, 100, 900, 900)
        return Answer(
            frame,
            tuple(
                ObjectPrompt(box, tuple(Point(*map(float, next(spots))) for _ in range(points))) for _ in range(objects)
            ),
            think,
        )

    def written(given: Answer) -> bool:
        """Whether it is rendered, and then parses."""
        try:
            text = form.render(given)
        except ValueError:  # which MalformedAnswer is not
            return False
        assert form.parse(text, frame) == form.canonical(given)
        return True

    plain = name.removesuffix("-published")
    single = plain in ("seg-zero", "seg-zero-soft")
    most = 1 if single else MAX_OBJECTS
    assert written(answer(most))
    if plain == "seg-r1-points":
        assert written(answer(1, MAX_POINTS))
        assert not written(answer(1, MAX_POINTS + 1))
        return
    assert not written(answer(most + 1))
    if name == "seg-r1":
        assert written(answer(1, MAX_POINTS))
        assert not written(answer(1, MAX_POINTS + 1))
    empty = len(form.render(answer(1)))
    assert written(answer(1, think="a" * (MAX_TEXT - empty + 1)))
    assert not written(answer(1, think="a" * (MAX_TEXT - empty + 2)))


@pytest.mark.parametrize("name", FORMATS)
def test_the_reason_of_a_text_with_half_an_emoji_can_be_written(name: str) -> None:
    half = r'"\ud83d"'
    for text in (
        f"<think>x</think><answer>{half}</answer>",
        f'<think>x</think><answer>[{{"bbox_2d": {half}, "point_2d": {half}}}]</answer>',
        f'<think>x</think><answer>{{"bbox": {half}, "points_1": {half}, "points_2": {half}}}</answer>',
        f"<think>x</think><answer>{{{half}: 1, {half}: 2}}</answer>",
        f"<think>x</think><bbox>[{half},1,2,3]</bbox><points>[{half}]</points><labels>[{half}]</labels>",
        "<think>x</think><bbox>[\ud83d]</bbox><points>\ude00</points><labels>[1]</labels>",
    ):
        found = get_format(name).try_parse(text, Size(10, 10))
        assert isinstance(found, MalformedAnswer)
        found.reason.encode("utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_coordinates_that_cannot_be_read_are_not_rendered(name: str) -> None:
    answer_format = get_format(name)
    last, first = 999_999_999.0, 1_000_000_000.0
    for side in (last, first):
        points = (Point(side, 1.0), Point(1.0, 1.0))
        answer = Answer(Size(2_000_000_000, 10), (ObjectPrompt(Box(0.0, 0.0, side, 2.0), points),), "Right.")
        if side == last:
            assert answer_format.parse(answer_format.render(answer), answer.frame) == answer_format.canonical(answer)
        else:
            with pytest.raises(ValueError, match="below 1,000,000,000 only, found 1,000,000,000"):
                answer_format.render(answer)


@pytest.mark.parametrize("name", FORMATS)
def test_the_reason_of_parse_itself_can_be_written_too(name: str) -> None:
    for text in (
        "<think></think>\ud83d<bbox>\ud83d</bbox><points>[</points><labels></labels>",
        "<answer>[\ud83d]</answer>",
    ):
        with pytest.raises(ThinkSegError) as caught:
            get_format(name).parse(text, Size(9, 9))
        assert str(caught.value).encode()


@pytest.mark.parametrize(
    ("name", "think"),
    [
        ("vision-reasoner-published", "<answer>"),
        ("vision-reasoner-published", "<answer>[]</answer>"),
        ("seg-zero-published", 'the form {"bbox": [1, 2, 3, 4]}'),
        ("seg-zero-published", "a < b"),
        ("seg-r1-published", "<bbox>[1,2,3,4]</bbox>"),
    ],
)
def test_thinking_that_a_published_reader_takes_for_the_answer_is_not_rendered(name: str, think: str) -> None:
    """These readers look anywhere in the text, where the plain ones know what is thinking."""
    plain, published = get_format(name.removesuffix("-published")), get_format(name)

    def answer(thought: str) -> Answer:
        return Answer(Size(640, 480), (ObjectPrompt(Box(10, 20, 90, 80), (Point(40, 50), Point(60, 70))),), thought)

    assert plain.parse(plain.render(answer(think)), Size(640, 480)) == plain.canonical(answer(think))
    with pytest.raises(ValueError, match="a published format cannot hold"):
        published.render(answer(think))
    sound = answer("On the left.")
    assert published.parse(published.render(sound), sound.frame) == published.canonical(sound)
