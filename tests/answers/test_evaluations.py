"""The formats that read as published against what the authors' evaluations read, as `record_evaluations` has it."""

import json
import math

import pytest

from tests.answers.record_evaluations import drawn
from tests.rewards.published_completions import BROKEN, REALISTIC, WELL_FORMED
from tests.rewards.record_published import GOLDEN, digest
from thinkseg.answers import get_format
from thinkseg.answers.reading import MAX_OBJECTS
from thinkseg.types import Answer, Size

FRAME = Size(840, 840)


def recorded(name, system):
    cases = drawn(system)
    stored = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert stored["completions"] == digest(cases), "other completions were recorded: run record_evaluations again"
    return list(zip(cases, stored["found"], strict=True))


def kept(numbers):
    """Coordinates as an `Answer` can hold them: none negative or beyond all bounds."""
    return [min(max(value, 0), 10**9) for value in numbers]


def fitted(box):
    """A box as an `Answer` can hold it, its corners in order."""
    left, top, right, bottom = kept(box)
    return [min(left, right), min(top, bottom), max(left, right), max(top, bottom)]


def read(form, text, *, first=False, whole=math.floor):
    """Boxes, and for each its points and their labels; None where there is no answer, or one of nothing."""
    answer = form.try_parse(text, FRAME, first=first)
    if not isinstance(answer, Answer) or not answer.objects:
        return None
    assert answer.frame == FRAME
    return [
        (
            None if one.box is None else [whole(value) for value in one.box.xyxy],
            [[whole(point.x), whole(point.y)] for point in one.points],
            [point.label for point in one.points],
        )
        for one in answer.objects
    ]


def inside(box, points, labels):
    """The points in a box as it is written."""
    held = [box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y in points]
    return (
        [one for one, yes in zip(points, held, strict=True) if yes],
        [min(one, 1) for one, yes in zip(labels, held, strict=True) if yes],
    )


def test_completions_of_every_group_are_recorded():
    for system in ("seg-r1", "seg-zero", "vision-reasoner"):
        groups = [case.group for case in drawn(system)]
        assert min(map(groups.count, (WELL_FORMED, REALISTIC, BROKEN))) >= 300


def test_seg_r1_is_read_as_by_its_evaluations_of_the_foreground_and_of_referring():
    form = get_format("seg-r1-published")
    for case, found in recorded("evaluated-seg-r1", "seg-r1"):
        expected = None
        if found is not None:
            boxes, points, labels = found[0], found[1] or [], found[2] or []
            expected = [(fitted(box), *inside(box, points, labels)) for box in boxes or ()]
            expected = expected or [(None, points, [min(label, 1) for label in labels])]
        assert read(form, case.completion) == expected, case


def test_seg_r1_is_read_as_by_its_evaluation_of_reasoning():
    form = get_format("seg-r1-published")
    unclosed = 0
    for case, found in recorded("evaluated-seg-r1-reasoning", "seg-r1"):
        expected = None
        if found is not None:
            boxes, points, labels = found[0], found[1] or [], found[2] or []
            expected = [(fitted(boxes[0]) if boxes else None, points, [min(label, 1) for label in labels])]
        assert read(form, case.completion, first=True) == expected, case
        unclosed += expected is not None and read(form, case.completion) is None
    assert unclosed, "some answers are read by this evaluation alone"


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("<bbox>[1,2,3,4]", [1, 2, 3, 4]),
        ("<bbox> \n[1,2,3,4]", [1, 2, 3, 4]),
        ("<bbox>\n [1,2,3,4]</bbox>", None),
        ("<bbox>[1,2,3,4]</bbox><bbox>[05,6,7,8]</bbox>", [1, 2, 3, 4]),
        ("<bbox>[01,2,3,4]</bbox><bbox>[5,6,7,8]</bbox>", None),
    ],
)
def test_of_several_boxes_the_evaluation_of_reasoning_looks_at_the_first_alone(text, box):
    """What is expected here is what Python makes of the text behind the tag."""
    found = read(get_format("seg-r1-published"), text, first=True)
    assert found == (None if box is None else [(box, [], [])])


def test_seg_zero_is_read_as_by_its_evaluation():
    form = get_format("seg-zero-published")
    for case, found in recorded("evaluated-seg-zero", "seg-zero"):
        expected = None
        if found is not None:
            (box,), points, _ = found
            expected = [(fitted(box), list(map(kept, points)), [1, 1])]
        assert read(form, case.completion) == expected, case


@pytest.mark.parametrize("name", ["vision-reasoner-published", "vision-reasoner-boxes-published"])
def test_vision_reasoner_is_read_as_by_its_evaluations(name):
    """Without a point of one object they make no mask; the boxes count where there are only boxes to look at."""
    form = get_format(name)
    boxes_alone = 0
    for case, found in recorded("evaluated-vision-reasoner", "vision-reasoner"):
        expected = None
        if len(found[0] if found else ()) > MAX_OBJECTS:
            assert case.kind == "more than 120 objects"
        elif found is not None and found[1] is not None:
            points = [[kept(point)] for point in found[1]]
            expected = [(fitted(box), point, [1]) for box, point in zip(found[0], points, strict=True)]
        elif found is not None:
            boxes_alone += 1
            if form.name == "vision-reasoner-boxes-published":
                expected = [(fitted(box), [], []) for box in found[0]]
        assert read(form, case.completion, whole=lambda value: math.floor(value + 0.5)) == expected, case
    assert boxes_alone
