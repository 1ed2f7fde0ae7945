"""The formats in tags: the law of writing and reading, what is read generously, and what is refused and why."""

import json

import pytest

from thinkseg.answers import SegR1, SegR1Points, get_format
from thinkseg.answers.reading import MAX_OBJECTS, MAX_POINTS, MAX_TEXT
from thinkseg.errors import MalformedAnswer
from thinkseg.types import Answer, Box, Instruction, ObjectPrompt, Point, Size

FRAME = Size(100, 60)
BOX = Box(10.0, 20.0, 90.0, 50.0)
ON, OFF = Point(40.0, 30.0), Point(12.0, 22.0, label=0)


def test_an_answer_that_is_canonical_already_is_read_back_as_it_was():
    answer = Answer(FRAME, (ObjectPrompt(BOX, (ON, OFF)), ObjectPrompt(Box(0.0, 0.0, 5.0, 5.0))), "two of them")
    assert SegR1().parse(SegR1().render(answer), FRAME) == answer


def test_seg_r1_writes_nothing_between_tags_and_no_spaces_after_commas():
    answer = Answer(FRAME, (ObjectPrompt(BOX, (ON, OFF)), ObjectPrompt(Box(1.4, 2.5, 5.0, 5.0))), "two")
    assert SegR1().render(answer) == (
        "<think>two</think><bbox>[10,20,90,50]</bbox><bbox>[1,3,5,5]</bbox>"
        "<points>[[40,30],[12,22]]</points><labels>[1,0]</labels>"
    )
    assert SegR1Points().render(answer) == "<points>[[40,30],[12,22]]</points><labels>[1,0]</labels>"


def test_nothing_there_is_written_as_empty_tags():
    """Defect 17: an answer that says that nothing is there has a form."""
    nothing = Answer(FRAME, (), "There is no cat.")
    text = "<think>There is no cat.</think><bbox></bbox><points></points><labels></labels>"
    assert SegR1().render(nothing) == text
    assert SegR1().parse(text, FRAME) == nothing
    listed = "<think>There is no cat.</think><bbox>[]</bbox> <points>[ ]</points> <labels>[]</labels>"
    assert SegR1().parse(listed, FRAME) == nothing
    assert SegR1Points().parse(SegR1Points().render(nothing), FRAME) == Answer(FRAME)


def test_all_boxes_are_read_and_a_point_belongs_to_every_box_that_contains_it():
    """Defect 5: the first box is not the only one."""
    text = (
        "<think></think><bbox>[0,0,50,50]</bbox><bbox>[40,40,90,60]</bbox>"
        "<points>[[45,45],[10,10],[95,5]]</points><labels>[1,0,1]</labels>"
    )
    first, second = SegR1().parse(text, FRAME).objects
    assert first == ObjectPrompt(Box(0.0, 0.0, 50.0, 50.0), (Point(45.0, 45.0), Point(10.0, 10.0, label=0)))
    assert second == ObjectPrompt(Box(40.0, 40.0, 90.0, 60.0), (Point(45.0, 45.0),))


@pytest.mark.parametrize("empty", ["", " ", "[]", " [ ] "])
def test_boxes_without_points_are_an_answer(empty):
    """Defect 16: a box alone is enough to segment by."""
    text = f"<think>a</think><bbox>[10,20,90,50]</bbox><points>{empty}</points><labels>{empty}</labels>"
    assert SegR1().parse(text, FRAME) == Answer(FRAME, (ObjectPrompt(BOX),), "a")


TAGS = ("<think> a </think>", "<bbox>[10, 20,90.0, 50]</bbox>", "<points>[[40,30]]</points>", "<labels>[1]</labels>")


@pytest.mark.parametrize("separator", ["", " ", "\n", ", ", " ,\n"])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 0, 1)])
def test_tags_come_in_any_order_with_white_space_or_commas_between(separator, order):
    text = separator.join(TAGS[index] for index in order)
    assert SegR1().parse(text, FRAME) == Answer(FRAME, (ObjectPrompt(BOX, (ON,)),), "a")


def test_decimals_are_read_and_overshoot_is_clipped_to_the_frame():
    text = "<think></think><bbox>[10.5,20,140,60.25]</bbox><points>[[100.5,59]]</points><labels>[1]</labels>"
    (prompt,) = SegR1().parse(text, FRAME).objects
    assert prompt == ObjectPrompt(Box(10.5, 20.0, 100.0, 60.0), (Point(100.0, 59.0),))


def written(bbox="[10,20,90,50]", points="[[40,30],[50,40]]", labels="[1,0]"):
    return f"<think>a</think><bbox>{bbox}</bbox><points>{points}</points><labels>{labels}</labels>"


REFUSED = [
    ("", "missing"),
    ("a cow", "outside the tags"),
    (written() + "and more", "outside the tags: 'and more'"),
    ("Sure! " + written(), "outside the tags"),
    (written().replace("<think>a</think>", ""), "<think> is missing"),
    (written().replace("<bbox>[10,20,90,50]</bbox>", ""), "<bbox> is missing"),
    (written().replace("<points>[[40,30],[50,40]]</points>", ""), "<points> is missing"),
    (written().replace("<labels>[1,0]</labels>", ""), "<labels> is missing"),
    (written() + "<think>b</think>", "<think> appears twice"),
    (written() + "<points>[[1,1]]</points>", "<points> appears twice"),
    (written() + "<labels>[1]</labels>", "<labels> appears twice"),
    (written()[: -len("</labels>")], "<labels> is not closed"),
    (written().replace("</think>", ""), "<think> is not closed"),
    (written(bbox="[10,20,90]"), "box 1 should be a list of 4 numbers"),
    (written(bbox="[[10,20,90,50]]"), "box 1 should be a list of 4 numbers"),
    (written(bbox="[10,20,90,50]</bbox><bbox>[1,2,3,x]"), "box 2 is not JSON"),
    (written(bbox="10,20,90,50"), "box 1 is not JSON"),
    (written(bbox="[90,20,10,50]"), "box 1 is reversed"),
    (written(bbox="[10,50,90,20]"), "box 1 is reversed"),
    (written(bbox="[-1,20,90,50]"), "box 1 has a negative coordinate"),
    (written(bbox="[10,20,NaN,50]"), "NaN"),
    (written(bbox="[10,20,Infinity,50]"), "Infinity"),
    (written(bbox="[10,20,1e999,50]"), "not a number in reach"),
    (written(bbox=f"[10,20,{'9' * 40},50]"), "not a number in reach"),
    (written(bbox=f"[10,20,{'9' * 5000},50]"), "too long"),
    (written(bbox='[10,20,"90",50]'), "not a number in reach"),
    (written(bbox="[10,20,true,50]"), "not a number in reach"),
    (written(bbox=""), "says that nothing is there"),
    (written(bbox="</bbox><bbox>[1,2,3,4]"), "box 1 is not JSON"),
    (written(bbox="</bbox><bbox>", points="", labels=""), "says that nothing is there"),
    (written(points="[[40,30],[-4,40]]"), "point 2 has a negative coordinate"),
    (written(points="[[40,30],[50,40,3]]"), "point 2 should be a list of 2 numbers"),
    (written(points="[40,30]"), "point 1 should be a list of 2 numbers"),
    (written(points="{}", labels="{}"), "<points> should hold a list"),
    (written(points="[[40,30]]"), "1 points and 2 labels"),
    (written(labels="[1]"), "2 points and 1 labels"),
    (written(labels=""), "2 points and 0 labels"),
    (written(labels="[1,2]"), "label 2 should be 1 (object) or 0 (background), found '2'"),
    (written(labels="[3,0]"), "label 1"),
    (written(labels="[1,-1]"), "label 2"),
    (written(labels="[1,true]"), "label 2"),
    (written(labels="[1.0,0]"), "label 1"),
    (written(points="[" * 5000), "deep"),
    (written(bbox="__import__('os').getcwd()"), "box 1 is not JSON"),
    (written(points=f"[{','.join(['[1,1]'] * (MAX_POINTS + 1))}]", labels=str([1] * (MAX_POINTS + 1))), "513 points"),
    (written(bbox="</bbox><bbox>".join(["[1,1,2,2]"] * (MAX_OBJECTS + 1))), "121 boxes"),
    ("<think>" + "a" * MAX_TEXT + "</think>", "characters"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_a_malformed_answer_is_refused_with_its_reason(text, reason):
    """Defects 4, 7 and 8: nothing is guessed, nothing evaluated, no label but 0 and 1, no box from right to left."""
    with pytest.raises(MalformedAnswer) as caught:
        SegR1().parse(text, FRAME)
    assert reason in caught.value.reason
    assert len(caught.value.reason) < 200


def test_tags_inside_the_thinking_are_thinking():
    """Defect 13: what a model weighs in its thinking is not its answer."""
    text = "<think>maybe <bbox>[1,1,2,2]</bbox> or <points>[[1,1]]</points></think>"
    with pytest.raises(MalformedAnswer, match="missing"):
        SegR1().parse(text, FRAME)
    with pytest.raises(MalformedAnswer, match="missing"):
        SegR1Points().parse(text, FRAME)
    answer = SegR1().parse(text + written()[len("<think>a</think>") :], FRAME)
    assert answer.objects[0].box == BOX


def test_points_alone_pass_over_words_boxes_and_thinking():
    expected = Answer(FRAME, (ObjectPrompt(None, (ON, Point(50.0, 40.0, label=0))),))
    assert SegR1Points().parse("thinking...\n" + written(), FRAME) == expected
    assert SegR1Points().parse("<points>[[40,30],[50,40]]</points> <labels>[1,0]</labels>", FRAME) == expected


@pytest.mark.parametrize(
    ("format", "answer", "reason"),
    [
        (SegR1(), Answer(FRAME, (ObjectPrompt(None, (ON,)),)), "needs a box"),
        (SegR1(), Answer(FRAME, (), "a </think> b"), "</think>"),
        (SegR1Points(), Answer(FRAME, (ObjectPrompt(BOX),)), "needs points"),
    ],
)
def test_an_answer_that_a_format_cannot_express_is_not_written(format, answer, reason):
    with pytest.raises(ValueError, match=reason):
        format.render(answer)


@pytest.mark.parametrize("format", [SegR1(), SegR1Points()], ids=lambda format: format.name)
def test_the_example_in_the_instruction_is_one_that_the_format_reads(format):
    """Defect 12: the model is not shown an example that its own reader refuses."""
    instruction = format.instruction("the cow")
    text = instruction.system or instruction.user
    assert "the cow" in instruction.user
    example = text.rpartition("An example of an answer: ")[2]
    assert len(format.parse(example, Size(840, 840)).objects) == 1


def test_a_recipe_can_replace_the_instruction():
    template = Instruction(system="Answer like {example}, not like {this}.", user="{query}?")
    instruction = get_format("seg-r1", template).instruction("what is in {example} or {query}")
    assert instruction.user == "what is in {example} or {query}?"
    assert instruction.system.startswith("Answer like <think>")
    assert instruction.system.endswith("not like {this}.")


@pytest.fixture(scope="module")
def golden(request):
    path = request.config.rootpath / "tests/data/golden/seg_r1_answers.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def has_a_decimal_in_a_point(text):
    """The one difference from the published reader: it takes whole numbers only, ours decimals too."""
    return ".5, " in text.partition("<points>")[2]


def read(format, text):
    try:
        return format.parse(text, Size(768, 768))
    except MalformedAnswer:
        return None


def test_ours_reads_what_the_published_reader_reads_but_for_decimals(golden):
    differ = {"format": [], "prerl_format": []}
    for line in golden:
        for column, format in (("format", SegR1()), ("prerl_format", SegR1Points())):
            if float(read(format, line["completion"]) is not None) != line[column]:
                differ[column].append(line["id"])
    decimals = [line["id"] for line in golden if has_a_decimal_in_a_point(line["completion"])]
    assert differ["format"] == [16, 70, 93, 114, 163, 171, 186, 204, 209, 224, 252, 254, 260]
    assert differ["prerl_format"] == sorted([*differ["format"], 194])
    assert set(differ["prerl_format"]) <= set(decimals)


def test_ours_reads_the_values_that_the_published_reader_reads(golden):
    compared = 0
    for line in golden:
        if line["format"]:
            answer, alone = read(SegR1(), line["completion"]), read(SegR1Points(), line["completion"])
            assert [list(prompt.box.xyxy) for prompt in answer.objects] == line["boxes"]
            assert [[point.x, point.y] for point in alone.objects[0].points] == line["points"]
            assert [point.label for point in alone.objects[0].points] == line["labels"]
            compared += 1
    assert compared == 172
