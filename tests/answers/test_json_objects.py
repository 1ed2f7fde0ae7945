"""The formats in JSON: the law of writing and reading, where the answer is looked for, and what is refused and why."""

import pytest

from thinkseg.answers import SegZero, SegZeroSoft, VisionReasoner, get_format
from thinkseg.answers.reading import MAX_OBJECTS, MAX_TEXT
from thinkseg.errors import MalformedAnswer
from thinkseg.types import Answer, Box, Instruction, ObjectPrompt, Point, Size

FRAME = Size(100, 60)
PROMPT = ObjectPrompt(Box(10.0, 20.0, 90.0, 50.0), (Point(40.0, 30.0), Point(50.0, 40.0)))
SINGLE = '{"bbox": [10, 20, 90, 50], "points_1": [40, 30], "points_2": [50, 40]}'
LISTED = '[{"bbox_2d": [10, 20, 90, 50], "point_2d": [40, 30]}]'


@pytest.mark.parametrize("format", [SegZero(), SegZeroSoft(), VisionReasoner()], ids=lambda format: format.name)
def test_an_answer_that_is_canonical_already_is_read_back_as_it_was(format):
    points = PROMPT.points[: format.points_per_object]
    answer = Answer(FRAME, (ObjectPrompt(PROMPT.box, points),), "the left one")
    assert format.parse(format.render(answer), FRAME) == answer


def test_the_formats_write_their_published_keys():
    answer = Answer(FRAME, (PROMPT,), "on the left")
    assert SegZero().render(answer) == f"<think>on the left</think><answer>{SINGLE}</answer>"
    assert VisionReasoner().render(answer) == f"<think>on the left</think><answer>{LISTED}</answer>"


@pytest.mark.parametrize("format", [SegZero(), SegZeroSoft(), VisionReasoner()], ids=lambda format: format.name)
def test_nothing_there_is_an_empty_list(format):
    """Defect 17: an answer that says that nothing is there has a form."""
    nothing = Answer(FRAME, (), "no cat")
    assert format.render(nothing) == "<think>no cat</think><answer>[]</answer>"
    assert format.parse("<think>no cat</think>\n<answer> [ ] </answer>", FRAME) == nothing


@pytest.mark.parametrize("format", [SegZero(), SegZeroSoft(), VisionReasoner()], ids=lambda format: format.name)
def test_the_example_in_the_instruction_is_one_that_the_format_reads(format):
    """Defect 12: the published example is in single quotes, which its own reader refuses."""
    text = format.instruction("the cow").user
    assert '"the cow"' in text
    answer = format.parse(text.rpartition("An example: ")[2], Size(840, 840))
    assert len(answer.objects) == 1
    assert answer.think


def test_a_recipe_can_replace_the_instruction():
    template = Instruction(user="{query} {example}", system=None)
    instruction = get_format("vision-reasoner", template).instruction("{it}")
    assert instruction.user.startswith("{it} <think>")
    assert instruction.system is None


@pytest.mark.parametrize("before", ["", "Sure! ", "\n"])
@pytest.mark.parametrize("think", ["", "<think>a</think>", "<think> a </think>\n", "a</think>"])
@pytest.mark.parametrize("after", ["", "\n", " Done."])
def test_the_answer_is_found_whatever_stands_around_the_tags(before, think, after):
    text = f"{before}{think}<answer> {SINGLE}\n</answer>{after}"
    answer = SegZero().parse(text, FRAME)
    assert answer.objects == (PROMPT,)


def test_thinking_that_the_chat_template_opens_is_thinking():
    assert SegZero().parse(f"on the left</think><answer>{SINGLE}</answer>", FRAME).think == "on the left"


def test_braces_inside_the_thinking_are_not_the_answer():
    """Defect 13: the first brace group anywhere was taken for the answer."""
    weighed = SINGLE.replace("10, 20", "1, 2")
    for inside in (weighed, f"<answer>{weighed}</answer>"):
        answer = SegZero().parse(f"<think>not {inside}</think><answer>{SINGLE}</answer>", FRAME)
        assert answer.objects == (PROMPT,)
        with pytest.raises(MalformedAnswer, match="no <answer>"):
            SegZero().parse(f"<think>not {inside}</think>", FRAME)


def test_decimals_are_read_overshoot_is_clipped_and_other_keys_are_passed_over():
    text = '<answer>[{"label": "cow", "bbox_2d": [10.5, 20, 140, 50], "point_2d": [100.5, 59]}]</answer>'
    (prompt,) = VisionReasoner().parse(text, FRAME).objects
    assert prompt == ObjectPrompt(Box(10.5, 20.0, 100.0, 50.0), (Point(100.0, 59.0),))


def test_code_fences_are_taken_off_only_where_the_recipe_says_so():
    fenced = f"<think>a</think><answer>```json\n{LISTED}\n```</answer>"
    with pytest.raises(MalformedAnswer, match="not JSON"):
        VisionReasoner().parse(fenced, FRAME)
    tolerant = get_format("vision-reasoner", tolerant=True)
    assert len(tolerant.parse(fenced, FRAME).objects) == 1
    assert tolerant.parse(fenced.replace("```json", "```"), FRAME) == tolerant.parse(fenced, FRAME)
    assert get_format("seg-zero", tolerant=True).parse(f"<answer>```{SINGLE}```</answer>", FRAME).objects == (PROMPT,)


def test_soft_seg_zero_takes_other_names_for_the_keys():
    renamed = SINGLE.replace('"bbox"', '"bbox_2d"').replace("points_1", "point_1").replace("points_2", "Point_b")
    assert SegZeroSoft().parse(f"<answer>{renamed}</answer>", FRAME).objects == (PROMPT,)
    with pytest.raises(MalformedAnswer, match="'bbox' is missing"):
        SegZero().parse(f"<answer>{renamed}</answer>", FRAME)


def answered(payload):
    return f"<think>a</think><answer>{payload}</answer>"


REFUSED = [
    (SegZero(), "", "no <answer>"),
    (SegZero(), "no object", "no <answer>"),
    (SegZero(), SINGLE, "no <answer>"),
    (SegZero(), f"<think>a</think>{SINGLE}", "no <answer>"),
    (SegZero(), f"<think>a <answer>{SINGLE}</answer>", "<think> is not closed"),
    (SegZero(), f"<think>a</think><answer>{SINGLE}", "<answer> is not closed"),
    (SegZero(), answered(SINGLE) + answered(SINGLE)[len("<think>a</think>") :], "2 answers"),
    (SegZero(), answered(""), "not JSON"),
    (SegZero(), answered("no object"), "not JSON"),
    (SegZero(), answered(SINGLE.replace('"', "'")), "not JSON"),
    (SegZero(), answered(f"the target {SINGLE} as asked"), "not JSON"),
    (SegZero(), answered(SINGLE[:-1]), "not JSON"),
    (SegZero(), answered("{}"), "'bbox' is missing"),
    (SegZero(), answered(f"[{SINGLE}]"), "one JSON object"),
    (SegZero(), answered("null"), "one JSON object"),
    (SegZero(), answered(SINGLE.replace(', "points_2": [50, 40]', "")), "'points_2' is missing"),
    (SegZero(), answered(SINGLE.replace("[10, 20, 90, 50]", "[10, 20, 90]")), "'bbox' should be a list of 4"),
    (SegZero(), answered(SINGLE.replace("[10, 20, 90, 50]", "[90, 20, 10, 50]")), "'bbox' is reversed"),
    (SegZero(), answered(SINGLE.replace("[10, 20, 90, 50]", "[-10, 20, 10, 50]")), "'bbox' has a negative"),
    (SegZero(), answered(SINGLE.replace("[40, 30]", "[40, 30, 3]")), "'points_1' should be a list of 2"),
    (SegZero(), answered(SINGLE.replace("[50, 40]", '[50, "40"]')), "'points_2', position 1"),
    (SegZero(), answered(SINGLE.replace("[50, 40]", "[50, -40]")), "'points_2' has a negative"),
    (SegZero(), answered(SINGLE.replace("[50, 40]", "[50, NaN]")), "NaN"),
    (SegZero(), answered(SINGLE.replace("points_2", "points_1")), "'points_1' appears twice"),
    (SegZero(), answered("[" * 9 + "]" * 9), "9 deep"),
    (SegZero(), answered("[" * 9000), "9000 deep"),
    (SegZero(), "<think>" + "a" * MAX_TEXT, "characters"),
    (SegZeroSoft(), answered(SINGLE.replace("bbox", "box")), "found 0 and 2"),
    (SegZeroSoft(), answered(SINGLE[:-1] + ', "point_3": [1, 1]}'), "found 1 and 3"),
    (VisionReasoner(), answered(SINGLE), "JSON list"),
    (VisionReasoner(), answered("[1]"), "object 1 should be a JSON object"),
    (VisionReasoner(), answered(f"{LISTED[:-1]}, []]"), "object 2 should be a JSON object"),
    (VisionReasoner(), answered('[{"bbox_2d": [1, 2, 3, 4]}]'), "object 1 has no key 'point_2d'"),
    (VisionReasoner(), answered('[{"point_2d": [1, 2]}]'), "object 1 has no key 'bbox_2d'"),
    (VisionReasoner(), answered(LISTED.replace("90, ", "")), "'bbox_2d' of object 1 should be a list of 4"),
    (VisionReasoner(), answered(f"[{','.join([LISTED[1:-1]] * (MAX_OBJECTS + 1))}]"), "121 objects"),
]


@pytest.mark.parametrize(("format", "text", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_a_malformed_answer_is_refused_with_its_reason(format, text, reason):
    """Defects 4 and 8: nothing is guessed; the reason says which key, which position."""
    with pytest.raises(MalformedAnswer) as caught:
        format.parse(text, FRAME)
    assert reason in caught.value.reason
    assert len(caught.value.reason) < 200


@pytest.mark.parametrize(
    ("format", "answer", "reason"),
    [
        (SegZero(), Answer(FRAME, (PROMPT, PROMPT)), "one object, found 2"),
        (SegZero(), Answer(FRAME, (ObjectPrompt(PROMPT.box, PROMPT.points[:1]),)), "2 point"),
        (VisionReasoner(), Answer(FRAME, (PROMPT, ObjectPrompt(PROMPT.box))), "on object 2"),
        (VisionReasoner(), Answer(FRAME, (ObjectPrompt(None, PROMPT.points),)), "needs a box"),
        (VisionReasoner(), Answer(FRAME, (), "a </think> b"), "</think>"),
    ],
)
def test_an_answer_that_a_format_cannot_express_is_not_written(format, answer, reason):
    with pytest.raises(ValueError, match=reason):
        format.render(answer)
