"""A run whose rewards would have nothing to go by is refused before it begins."""

import re

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import RecipeError
from thinkseg.rewards.reward_input import Truth
from thinkseg.rewards.rubric import Rubric
from thinkseg.testing import FakeSegmenter
from thinkseg.training.stages import train_recipe
from thinkseg.training.truths import LOOKED_AT, refuse_missing_truth, tell_unused_masks
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Sample, Size

SIZE = Size(40, 30)
IMAGE = Image.new("RGB", SIZE.wh)
MASK = np.zeros(SIZE.hw, dtype=bool)
MASK[5:15, 5:20] = True


def boxed(points):
    """A sample with a true box and so many points, and no mask."""
    prompt = ObjectPrompt(Box(5, 5, 20, 15), tuple(Point(8 + place, 9, 1) for place in range(points)))
    return Sample("boxed", IMAGE, "it", reference=Answer(SIZE, (prompt,)))


MASKED = Sample("masked", IMAGE, "it", MASK)
EACH = Sample("each", IMAGE, "it", MASK, instances=MASK[None])
NOTHING = Sample("nothing", IMAGE, "it", np.zeros(SIZE.hw, dtype=bool))
BARE = Sample("bare", IMAGE, "it")
NO_OBJECTS = Sample("said", IMAGE, "it", reference=Answer(SIZE))

A_MASK, EACH_MASK = "a true mask", "a true mask of each object"


def refuse(rewards, samples, said=None):
    rubric = Rubric(get_format("seg-zero"), rewards)
    refuse_missing_truth(rubric, samples, (said if said is not None else []).append)


@pytest.mark.parametrize(
    ("part", "sample", "what"),
    [
        ("segment", boxed(2), A_MASK),
        ("points_inside", boxed(2), A_MASK),
        ("presence", boxed(2), A_MASK),
        ("segment", BARE, A_MASK),
        ("matched_masks", MASKED, EACH_MASK),
        ("box_iou", BARE, "true boxes and points"),
        ("points", boxed(1), "a true box and 2 points on each object"),
        ("accuracy", boxed(0), "a true box and a point on each object"),
    ],
)
def test_a_part_without_its_truth_is_refused_and_what_it_lacks_is_named(part, sample, what):
    with pytest.raises(RecipeError, match=rf"'{part}' needs {what} in at least half of the rows, found in 0 of 3 rows"):
        refuse({"format": 1.0, part: 0.5}, [sample] * 3)


@pytest.mark.parametrize(
    ("part", "sample"),
    [
        ("segment", MASKED),
        ("segment", EACH),
        ("segment", NO_OBJECTS),
        ("presence", NOTHING),
        ("matched_masks", EACH),
        ("matched_masks", NOTHING),
        ("box_iou", boxed(0)),
        ("points", boxed(2)),
        ("points", MASKED),
        ("accuracy", NO_OBJECTS),
        ("format", BARE),
        ("point_count", BARE),
    ],
)
def test_a_part_whose_truth_is_known_is_let_through_in_silence(part, sample):
    said = []
    refuse({part: 1.0}, [sample], said)
    assert said == []


def test_the_part_says_beforehand_what_it_does_with_an_answer():
    """What is refused here is what scores nothing: the two are held against each other."""
    rubric = Rubric(get_format("seg-zero"), dict.fromkeys(["box_iou", "points", "accuracy", "presence"], 1.0))
    answer = "<think>a</think><answer>{'bbox': [5,5,20,15], 'points_1': [8,9], 'points_2': [9,9]}</answer>"
    for sample in (boxed(0), boxed(1), boxed(2), MASKED, BARE, NO_OBJECTS):
        truth = Truth(mask=sample.target, objects=sample.reference)
        (reward,) = rubric.score([answer], [truth], [SIZE])
        for name, part in rubric.parts.items():
            assert (reward.parts[name] is None) == (part.lacks(truth) is not None), (sample.id, name)


def test_a_part_of_no_weight_needs_nothing():
    refuse({"format": 1.0, "segment": 0.0}, [BARE])


def test_half_of_the_rows_are_enough_and_the_rest_is_told():
    said = []
    refuse({"segment": 1.0}, [MASKED, BARE], said)
    assert said == [
        "the part of the reward 'segment' needs a true mask, found in 1 of 2 rows that were looked at; it gives no "
        "score for the others"
    ]
    with pytest.raises(RecipeError, match="found in 1 of 3 rows"):
        refuse({"segment": 1.0}, [MASKED, BARE, BARE])


def test_where_the_truth_is_known_for_nothing_there_alone_the_run_is_refused():
    with pytest.raises(RecipeError, match="'matched_masks' needs a true mask of each object"):
        refuse({"matched_masks": 1.0}, [NOTHING, MASKED, MASKED])


def test_a_bounded_number_of_rows_is_read_from_the_first_to_the_last():
    read = []

    class Many(list):
        def __len__(self):
            return 1_000_000

        def __getitem__(self, place):
            read.append(place)
            return MASKED

    refuse({"segment": 1.0}, Many())
    assert LOOKED_AT <= len(read) < LOOKED_AT + 4  # the checker of types in these tests looks at one or two as well
    assert (min(read), max(read)) == (0, 999_999)


@pytest.mark.parametrize(
    ("rewards", "samples", "told"),
    [
        (
            {"format": 1.0, "box_iou": 1.0},
            [MASKED, MASKED, boxed(2)],
            "2 of 3 rows that were looked at have a true mask",
        ),
        ({"format": 1.0, "segment": 0.0}, [MASKED], "1 of 1 rows that were looked at have a"),
        (
            {"format": 1.0, "box_iou": 1.0},
            [boxed(2)],
            "no true masks: rows of 'thinkseg data prepare'",
        ),
        ({"points_inside": 1.0}, [MASKED], r"\(rewarded: points_inside\)"),
    ],
)
def test_a_run_whose_reward_looks_at_no_mask_says_so(rewards, samples, told):
    said = []
    tell_unused_masks(Rubric(get_format("seg-zero"), rewards), samples, said.append)
    (sentence,) = said
    assert "the reward of masks is off" in sentence
    assert re.search(told, sentence)


def test_a_run_with_a_reward_of_masks_says_nothing():
    said = []
    tell_unused_masks(Rubric(get_format("seg-r1"), {"segment": 0.1, "format": 1.0}), [MASKED], said.append)
    assert said == []


def test_training_is_refused_before_its_first_step(rl_recipe):
    recipe = rl_recipe()
    with pytest.raises(RecipeError, match="'segment' needs a true mask"):
        train_recipe(recipe, samples=[boxed(1)] * 4, segmenter=FakeSegmenter())
    assert not (recipe.output / "log.jsonl").exists()
