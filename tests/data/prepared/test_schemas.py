"""Published solutions are read to the letter, written as they were read, and never taken for another frame's."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkseg.data.prepared.schemas import POINTS, PUBLISHED, SchemaMismatch, read_solution, render_solution
from thinkseg.errors import DataError
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

FRAME = Size(840, 840)
SEG_ZERO = "<box>(284,409),(726,820)</box><points>(472,652),(553,599)</points>"
TWO = '[{"bbox_2d": [10, 20, 90, 80], "point_2d": [40, 50]}, {"bbox_2d": [1, 2, 3, 4], "point_2d": [2, 3]}]'


def read(text, frame=FRAME):
    return read_solution(text, frame, "row 7 of 'a.parquet'")


def test_seg_zeros_solution_is_one_box_and_two_points():
    prompt = ObjectPrompt(Box(284, 409, 726, 820), (Point(472, 652), Point(553, 599)))
    assert read(SEG_ZERO) == Answer(FRAME, (prompt,))
    assert read(SEG_ZERO.replace(",", " , ").replace(")(", ") (")) == Answer(FRAME, (prompt,))


def test_vision_reasoners_solution_is_a_list_of_objects():
    first, second = read(TWO).objects
    assert first == ObjectPrompt(Box(10, 20, 90, 80), (Point(40, 50),))
    assert second == ObjectPrompt(Box(1, 2, 3, 4), (Point(2, 3),))
    assert read("[]") == Answer(FRAME)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(PUBLISHED),
    st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    st.lists(st.lists(st.floats(0, 1, exclude_max=True), min_size=8, max_size=8), max_size=4),
)
def test_what_is_written_reads_back(schema, size, fractions):
    frame = Size(*size)
    objects = []
    for numbers in fractions[:1] if schema == "seg-zero" else fractions:
        x_1, y_1, x_2, y_2, *points = (int(part * size[axis % 2]) for axis, part in enumerate(numbers))
        box = Box(min(x_1, x_2), min(y_1, y_2), max(x_1, x_2), max(y_1, y_2))
        told = (Point(*points[:2]), Point(*points[2:]))
        objects.append(ObjectPrompt(box, told[: POINTS[schema]]))
    answer = Answer(frame, tuple(objects))
    if objects or schema == "vision-reasoner":
        assert read(render_solution(answer, schema), frame) == answer


def test_numbers_are_whole_and_stay_in_the_image():
    prompt = ObjectPrompt(Box(0.4, 1.6, 839.9, 840), (Point(12.5, 839.7), Point(3.2, 4)))
    assert render_solution(Answer(FRAME, (prompt,)), "seg-zero") == (
        "<box>(0,2),(839,839)</box><points>(12,839),(3,4)</points>"
    )


def test_what_a_schema_has_no_words_for_is_told():
    one = ObjectPrompt(Box(0, 0, 1, 1), (Point(0, 0),))
    for objects, why in (((), "nothing-there"), ((one, one), "several-objects"), ((one,), "no-second-point")):
        with pytest.raises(SchemaMismatch, match=why):
            render_solution(Answer(FRAME, objects), "seg-zero")
    for prompt in (ObjectPrompt(None, (Point(0, 0),)), ObjectPrompt(Box(0, 0, 1, 1), (Point(0, 0, 0),))):
        for schema in PUBLISHED:
            with pytest.raises(SchemaMismatch, match="no-box-or-point"):
                render_solution(Answer(FRAME, (prompt,)), schema)


@pytest.mark.parametrize("text", [
    "", "{}", "[1]", "null", "[{}]", '[{"bbox_2d": [1, 2, 3], "point_2d": [1, 2]}]', "[" * 5000,
    '[{"bbox_2d": [1, 2, 3, "4"], "point_2d": [1, 2]}]', '[{"bbox_2d": [1, 2, 3, true], "point_2d": [1, 2]}]',
    '[{"bbox_2d": [9, 2, 3, 4], "point_2d": [1, 2]}]', '[{"bbox_2d": [1, 2, 3, NaN], "point_2d": [1, 2]}]',
    SEG_ZERO + "x", SEG_ZERO.replace("(472,652),", ""), SEG_ZERO.replace("284", "-284"),
    SEG_ZERO.replace("284", "__import__('os')"), "[" + " " * 200_000 + "]",
])  # fmt: skip
def test_anything_else_is_refused_with_its_row_and_an_example(text):
    with pytest.raises(DataError, match=r"the solution of row 7 of 'a\.parquet' should be '<box>\(1,2\),\(8,9\)</box>"):
        read(text)


def test_coordinates_beyond_the_image_are_told_to_be_in_another_frame():
    for text in (SEG_ZERO, json.dumps([{"bbox_2d": [0, 0, 10, 10], "point_2d": [726, 820]}])):
        with pytest.raises(DataError, match=r"reaches to \(726, 820\), beyond its image of 640×480: it"):
            read(text, Size(640, 480))
    assert read(TWO.replace("90, 80", "840, 840")).objects[0].box.x_max == 840
