import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkseg.answers.codec import answer_from_json, answer_to_json, prompt_from_json, prompt_to_json
from thinkseg.errors import DataError
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

NUMBERS = st.floats(0, 4000, allow_nan=False).map(lambda value: round(value, 2))
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(0, 1)), max_size=3)
BOXES = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
PROMPTS = st.tuples(st.none() | BOXES, POINTS).filter(any)
WIDTHS = st.integers(1, 4000)


def prompt_of(box, points):
    """Built in the test: types are checked with random draws, which have no place in a strategy."""
    if box is not None:
        (x_1, x_2), (y_1, y_2) = sorted(box[::2]), sorted(box[1::2])
        box = Box(x_1, y_1, x_2, y_2)
    return ObjectPrompt(box, tuple(Point(*point) for point in points))


BOX, POINT = Box(10.0, 20.0, 90.0, 80.0), Point(40.0, 50.0)


@given(WIDTHS, WIDTHS, st.lists(PROMPTS, max_size=3), st.text())
def test_an_answer_comes_back_from_json_as_it_was(width, height, prompts, think):
    answer = Answer(Size(width, height), tuple(prompt_of(*parts) for parts in prompts), think)
    assert answer_from_json(json.loads(json.dumps(answer_to_json(answer)))) == answer
    assert answer_from_json(json.loads(json.dumps(answer_to_json(answer, 2)))) == answer


@given(PROMPTS, st.booleans())
def test_an_object_comes_back_wherever_its_labels_stand(parts, labels_apart):
    prompt = prompt_of(*parts)
    assert prompt_from_json(prompt_to_json(prompt, labels_apart=labels_apart)) == prompt


def test_what_is_written_is_what_files_have_had():
    prompt = ObjectPrompt(Box(1.234, 2.0, 3.0, 4.0), (Point(5.678, 6.0), Point(7.0, 8.0, 0)))
    answer = Answer(Size(9, 10), (prompt, ObjectPrompt(None, (POINT,))), "left")
    assert answer_to_json(answer, 2) == {
        "frame": [9, 10],
        "objects": [
            {"box": [1.23, 2.0, 3.0, 4.0], "points": [[5.68, 6.0, 1], [7.0, 8.0, 0]]},
            {"box": None, "points": [[40.0, 50.0, 1]]},
        ],
        "think": "left",
    }
    apart = {"box": [1.23, 2.0, 3.0, 4.0], "points": [[5.68, 6.0], [7.0, 8.0]], "labels": [1, 0]}
    assert prompt_to_json(prompt, 2, labels_apart=True) == apart


@pytest.mark.parametrize(
    "told",
    [
        {"box": [10, 20, 90, 80], "points": [[40, 50, 1]]},
        {"box": (10, 20, 90, 80), "points": [(40, 50)], "area": 3},
        {"box": [10, 20, 90, 80], "points": [[40, 50]], "labels": [1]},
        {"bbox_2d": [10, 20, 90, 80], "point_2d": [40, 50], "label": "cow"},
    ],
)
def test_every_spelling_of_an_object_is_read(told):
    assert prompt_from_json(told) == ObjectPrompt(BOX, (POINT,))


@pytest.mark.parametrize("think", [["on", "the left"], {}, 7, True])
def test_thinking_that_is_no_text_is_refused(think):
    with pytest.raises(DataError, match="expected 'think' as text, found"):
        answer_from_json({"frame": [4, 4], "objects": [], "think": think})


def test_thinking_and_points_may_be_missing():
    assert answer_from_json({"frame": [8, 6], "objects": [{"box": [1, 2, 3, 4]}]}).objects[0].points == ()
    assert answer_from_json({"frame": [8, 6], "objects": []}) == Answer(Size(8, 6))


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({}, "expected 'frame' as"),
        ({"frame": [8]}, "expected 'frame' as"),
        ({"frame": [8, 0], "objects": []}, "expected 'frame' as"),
        ({"frame": [8, 6]}, "expected 'objects' as a list, found None"),
        ({"frame": [8, float("inf")], "objects": []}, "expected 'frame' as"),
        ({"frame": [8, 6], "objects": [{"box": [1, 2, 3, 10**400]}]}, "expected object 1 as 'box'"),
        ({"frame": [8, 6], "objects": [3]}, "expected object 1 as 'box'"),
        ({"frame": [8, 6], "objects": [{}]}, "expected object 1 as 'box'"),
        ({"frame": [8, 6], "objects": [{"box": None, "points": []}]}, "needs a box or at least one point"),
        ({"frame": [8, 6], "objects": [{"box": [3, 2, 1, 4]}]}, "in this order"),
        ({"frame": [8, 6], "objects": [{"box": [1, 2, 3]}]}, "expected object 1 as 'box'"),
        ({"frame": [8, 6], "objects": [{"points": [[1, 2]], "labels": []}]}, "expected object 1 as 'box'"),
        ({"frame": [8, 6], "objects": [{"points": [[1, 2, 7]]}]}, "label is 1"),
        ({"frame": [8, 6], "objects": [{"bbox_2d": [1, 2, 3, 4]}]}, "object 1 has no key 'point_2d'"),
        ({"frame": [8, 6], "objects": [{"bbox_2d": [1, 2, 3, True], "point_2d": [1, 2]}]}, "not a number"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_sentence(told, sentence):
    with pytest.raises(DataError, match=sentence):
        answer_from_json(told)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"box": [4, 4, 12]}, r"\[4, 4, 12\] for a box of 4 numbers"),
        ({"box": "1234"}, "'1234' for a box of 4 numbers"),
        ({"box": [4, 4, 12, 10**400]}, "for a box of 4 numbers"),
        ({"box": [4, 4, 12, "12"]}, "for a box of 4 numbers"),
        ({"points": [[1]]}, r"\[1\] for a point of 2 numbers"),
        ({"points": [[1, 2, 0.5]]}, "label is 1 .* found 0.5"),
        ({"points": [[1, 2]], "labels": [2]}, "label is 1 .* found 2"),
        ({"points": [[1, 2]], "labels": [1, 1]}, "1 points with labels"),
        ({"points": "xy"}, "'xy' for points"),
        ({}, "needs a box or at least one point"),
        (5, "found something else: 5"),
    ],
)
def test_an_object_that_is_not_read_is_shown_in_words_about_it(told, said):
    with pytest.raises(DataError, match=f"expected object 1 as 'box' .*{said}"):
        prompt_from_json(told, "object 1")


@pytest.mark.parametrize("frame", ["96", [24.9, 16], [24], None, [10**400, 1], [0, 4]])
def test_a_frame_that_would_be_cut_or_taken_apart_is_refused(frame):
    with pytest.raises(DataError, match="expected 'frame' as"):
        answer_from_json({"frame": frame, "objects": []})
