"""What has been found in an image: one query after the other, and what is drawn on it."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.errors import InputError
from thinkseg.serving.page.scene import BY_HAND, Edit, FoundScene, read_edits, refined
from thinkseg.testing import FakeSegmenter
from thinkseg.types import Box, Point, Size

from .conftest import Ask

SIZE = Size(200, 50)
IMAGE = Image.new("RGB", SIZE.wh)


def boxes(scene: FoundScene) -> list[tuple[float, ...] | None]:
    return [None if box is None else box.xyxy for result in scene.results(IMAGE) for box in result.boxes]


def test_a_second_query_keeps_the_objects_of_the_first_with_their_numbers(ask: Ask) -> None:
    scene = FoundScene("photo.png").with_result(ask("the dogs")).with_result(ask("the cat"))
    assert boxes(scene) == [(20, 10, 80, 30), (100, 25, 180, 45), (140, 5, 160, 10)]
    assert scene.count == 3


def test_the_same_query_again_takes_the_place_of_its_answer(ask: Ask) -> None:
    scene = (
        FoundScene("photo.png").with_result(ask("the dogs")).with_result(ask("the cat")).with_result(ask("the dogs"))
    )
    assert [record["query"] for record in scene.records] == ["the dogs", "the cat"]


def test_answers_without_objects_do_not_pile_up(ask: Ask) -> None:
    scene = FoundScene("photo.png")
    for query in ("nothing", "a riddle", "the cat", "nothing"):
        scene = scene.with_result(ask(query))
    assert [record["query"] for record in scene.records] == ["the cat", "nothing"]


def test_masks_are_kept_exactly(ask: Ask) -> None:
    result = ask("the dogs")
    kept = FoundScene("photo.png").with_result(result).results(IMAGE)[0]
    assert (kept.masks == result.masks).all()
    assert kept.scores is not None


def test_a_point_on_an_object_is_told_to_the_segmenter_with_its_box_and_its_own_points(ask: Ask) -> None:
    before = FoundScene("photo.png").with_result(ask("the dogs"))
    segmenter = FakeSegmenter(score=0.5)
    after = refined(before, [Edit(1, points=(Point(30, 20, 0),))], IMAGE, segmenter)
    assert segmenter.prompted == 1
    first, second = after.records[0]["objects"]
    assert (first["box"], first["points"], first["labels"]) == ([20, 10, 80, 30], [[40, 15], [30, 20]], [1, 0])
    assert (first["score"], first["refined"]) == (0.5, True)
    assert second == before.records[0]["objects"][1]
    mask = after.results(IMAGE)[0].masks[0]
    assert not mask[20, 30]
    assert mask[15, 60]
    assert after.records[0]["completion"] == before.records[0]["completion"]


def test_a_box_takes_the_place_of_the_objects_own(ask: Ask) -> None:
    scene = FoundScene("photo.png").with_result(ask("the cat"))
    after = refined(scene, [Edit(1, Box(100, 10, 120, 30))], IMAGE, FakeSegmenter())
    assert boxes(after) == [(100, 10, 120, 30)]
    mask = after.results(IMAGE)[0].masks[0]
    assert np.argwhere(mask).min(axis=0).tolist() == [10, 100]


def test_what_is_drawn_without_an_object_is_a_new_one_that_no_query_asked_for(ask: Ask) -> None:
    scene = FoundScene("photo.png").with_result(ask("the cat"))
    for left in (0, 50):
        scene = refined(scene, [Edit(box=Box(left, 0, left + 10, 10))], IMAGE, FakeSegmenter())
    assert [record["query"] for record in scene.records] == ["the cat", BY_HAND]
    assert boxes(scene) == [(140, 5, 160, 10), (0, 0, 10, 10), (50, 0, 60, 10)]
    empty = refined(FoundScene("photo.png"), [Edit(points=(Point(5, 5),))], IMAGE, FakeSegmenter())
    assert empty.count == 1


def test_an_object_can_be_taken_away(ask: Ask) -> None:
    scene = FoundScene("photo.png").with_result(ask("the dogs")).with_result(ask("the cat"))
    after = refined(scene, [Edit(1, removed=True), Edit(3, removed=True)], IMAGE, FakeSegmenter())
    assert boxes(after) == [(100, 25, 180, 45)]
    assert after.results(IMAGE)[1].nothing_there


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (Edit(4, Box(0, 0, 9, 9)), "there is no object 4: this image has 2"),
        (Edit(points=(Point(1, 1, 0),)), "a new object needs a box, or a point on it"),
    ],
)
def test_an_edit_that_cannot_be_is_refused(ask: Ask, edit: Edit, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        refined(FoundScene("photo.png").with_result(ask("the dogs")), [edit], IMAGE, FakeSegmenter())


def test_edits_are_read_and_what_lies_outside_is_moved_to_the_border() -> None:
    told = [
        {"object": 2, "points": [[300, 10.5, 0]]},
        {"object": None, "box": [1, 2, 900, 90]},
        {"object": 1, "remove": True},
    ]
    assert read_edits(json.dumps(told), SIZE) == [
        Edit(2, None, (Point(200, 10.5, 0),)),
        Edit(None, Box(1, 2, 200, 50)),
        Edit(1, removed=True),
    ]


@pytest.mark.parametrize(
    "told",
    [
        "{",
        "7",
        "[7]",
        '[{"object": 0, "box": [0,0,1,1]}]',
        '[{"object": 1, "box": [3,0,1,1]}]',
        '[{"points": [[1]]}]',
        '[{"points": 7}]',
        '[{"object": true, "points": [[1,1,1]]}]',
    ],
)
def test_edits_that_are_none_are_one_sentence(told: str) -> None:
    with pytest.raises(InputError, match=r"^the edits should be a JSON list such as .* and cannot be read"):
        read_edits(told, SIZE)


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(InputError, match="nothing is drawn yet"):
        read_edits("[]", SIZE)
    many: list[dict[str, Any]] = [{"points": [[1, 1, 1]] * 300}]
    with pytest.raises(InputError, match="more than 200 points and boxes"):
        read_edits(json.dumps(many), SIZE)
