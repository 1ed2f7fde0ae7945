"""Defect 17: "nothing there" can be said in every format, and every kind of accuracy rewards it where it is right."""

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import FORMATS, get_format
from thinkseg.geometry import reference_answer
from thinkseg.rewards import PUBLISHED, Rubric, Truth
from thinkseg.types import Answer, Size

FRAME = Size(40, 30)
IMAGE = Image.new("RGB", (40, 30))
TARGET = np.zeros((30, 40), bool)
TARGET[5:15, 10:20] = True
SOMETHING = Truth(
    mask=TARGET, instances=TARGET[None], objects=reference_answer(TARGET, points=2, inclusive=True), image=IMAGE
)
NOTHING = Truth(mask=np.zeros((30, 40), bool), image=IMAGE)

WAYS_TO_SAY_IT = {
    "seg-r1": "<think>No cat.</think><bbox></bbox><points></points><labels></labels>",
    "seg-r1-points": "<points></points><labels></labels>",
    "seg-zero": "<think>No cat.</think><answer>[]</answer>",
    "seg-zero-soft": "<think>No cat.</think><answer>[]</answer>",
    "vision-reasoner": "<think>No cat.</think><answer>[]</answer>",
}
WAYS_TO_SAY_IT |= {f"{name}-published": text for name, text in WAYS_TO_SAY_IT.items() if f"{name}-published" in FORMATS}
WAYS_TO_SAY_IT["vision-reasoner-boxes-published"] = WAYS_TO_SAY_IT["vision-reasoner"]
ACCURACIES = {
    "published": {"segment": 1, "box_iou": 1, "box_l1": 1, "points": 1, "point": 1, "accuracy": 3},
    "soft": {"soft_box_iou": 1, "soft_box_l1": 1, "soft_points": 1, "soft_point": 1, "soft_accuracy": 3},
    "masks": {"matched_masks": 1, "points_inside": 1, "presence": 1},
}
FULL = {part: full for parts in ACCURACIES.values() for part, full in parts.items()}


def found(format):
    """A right answer in a format, as far as the format can say it."""
    return get_format(format).render(Answer(FRAME, SOMETHING.objects.objects, "On the left."))


@pytest.fixture
def score(segmenter):
    def scored(format, text, truth):
        (reward,) = Rubric(get_format(format), dict.fromkeys(FULL, 1.0), segmenter).score([text], [truth], [FRAME])
        return reward.parts

    return scored


def test_every_format_has_a_way_to_say_it_and_its_instruction_says_how():
    assert set(WAYS_TO_SAY_IT) == set(FORMATS)
    for format, text in WAYS_TO_SAY_IT.items():
        answer_format = get_format(format)
        assert answer_format.parse(text, FRAME).objects == ()
        assert answer_format.render(Answer(FRAME, (), "No cat.")) == text
        instruction = answer_format.instruction("the cat")
        said = " ".join((instruction.system or "", instruction.user))
        empty = text.removeprefix("<think>No cat.</think>")
        assert empty in said or "the answer is []" in said or "the list is empty" in said


@pytest.mark.parametrize("format", WAYS_TO_SAY_IT)
def test_it_earns_all_where_nothing_is_there(format, score):
    assert score(format, WAYS_TO_SAY_IT[format], NOTHING) == FULL


@pytest.mark.parametrize("format", WAYS_TO_SAY_IT)
def test_it_earns_nothing_where_something_is_there(format, score):
    assert score(format, WAYS_TO_SAY_IT[format], SOMETHING) == dict.fromkeys(FULL, 0)


@pytest.mark.parametrize("format", WAYS_TO_SAY_IT)
def test_an_answer_that_names_objects_earns_nothing_where_nothing_is_there(format, score):
    assert score(format, found(format), NOTHING) == dict.fromkeys(FULL, 0)


@pytest.mark.parametrize("format", WAYS_TO_SAY_IT)
@pytest.mark.parametrize("truth", [NOTHING, SOMETHING], ids=["nothing", "something"])
def test_a_malformed_answer_is_no_abstention(format, truth, score):
    for text in ("", "There is no cat.", WAYS_TO_SAY_IT[format][:-3]):
        assert score(format, text, truth) == dict.fromkeys(FULL, 0)


@pytest.mark.parametrize("format", WAYS_TO_SAY_IT)
def test_a_right_answer_earns_something_where_something_is_there(format, score):
    parts = score(format, found(format), SOMETHING)
    if format.startswith("seg-r1-points"):
        assert parts["points_inside"] == 1
    else:
        assert parts["segment"] == pytest.approx(1)
        assert parts["accuracy"] == 3
        assert parts["matched_masks"] == parts["points_inside"] == 1


@pytest.mark.parametrize("published", PUBLISHED)
def test_a_right_abstention_earns_as_much_as_the_best_answer(published, segmenter):
    rewards = PUBLISHED[published]
    rubric = Rubric(get_format(rewards.format), rewards.weights, segmenter)
    abstention = WAYS_TO_SAY_IT[rewards.format]
    right, wrong = rubric.score([abstention] * 2, [NOTHING, SOMETHING], [FRAME] * 2)
    assert right.total == {"seg-r1": 2, "seg-r1-prerl": 2, "vision-reasoner": 7}.get(published, 5)
    assert wrong.total < right.total


@pytest.mark.parametrize(
    "truth",
    [
        Truth(mask=np.zeros((30, 40), bool), image=IMAGE),
        Truth(instances=np.zeros((0, 30, 40), bool), image=IMAGE),
        Truth(instances=np.zeros((2, 30, 40), bool), image=IMAGE),
        Truth(objects=Answer(Size(840, 840)), image=IMAGE),
    ],
    ids=["an empty mask", "no instances", "empty instances", "no objects"],
)
def test_whatever_says_that_nothing_is_there_says_it_to_every_part(truth, score):
    assert score("vision-reasoner", WAYS_TO_SAY_IT["vision-reasoner"], truth) == FULL
