"""Answers that are made from masks get the model's own thinking, where it led the model to the right place."""

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.models.published.wording import Wording
from thinkseg.testing import FakeReasoner
from thinkseg.training.config import replace_settings
from thinkseg.training.rows import RowBuilder, Schedule
from thinkseg.training.stages import train_recipe
from thinkseg.training.thinking import nearness, own_thoughts
from thinkseg.types import Answer, Box, Instruction, ObjectPrompt, Point, Sample, Size

from .conftest import square

FORMAT = get_format("seg-r1", Instruction("{query}"))
SIZE = Size(64, 64)


def boxed(think, *box):
    prompts = (
        (ObjectPrompt(Box(*map(float, box)), (Point((box[0] + box[2]) / 2, (box[1] + box[3]) / 2),)),) if box else ()
    )
    return Answer(SIZE, prompts, think)


def masked(left, top, right, bottom, query="the penguin"):
    mask = np.zeros(SIZE.hw, dtype=bool)
    mask[top:bottom, left:right] = True
    return Sample("x", Image.new("RGB", SIZE.wh), query, mask)


def thoughts_of(samples, said):
    """What a model is taken to think that says of each query what is given."""
    reasoner = FakeReasoner(lambda request: FORMAT.render(said[request.instruction.user]))
    return own_thoughts(reasoner, Wording(FORMAT), samples, range(len(samples)))


def test_a_refusal_of_what_is_there_gives_way_to_what_is_thought_of_the_main_object():
    """Imitation of masks with "nothing like that is here" before them taught a model to go on refusing."""
    said = {"the penguin": boxed("nothing like that is here"), "the main object": boxed("a bird", 10, 10, 30, 30)}
    assert thoughts_of([masked(10, 10, 28, 30)], said) == {0: "a bird"}


def test_the_thinking_that_led_nearer_is_taken():
    said = {"the penguin": boxed("a bird, left", 2, 10, 22, 30), "the main object": boxed("a cow", 40, 40, 60, 60)}
    assert thoughts_of([masked(0, 10, 20, 30)], said) == {0: "a bird, left"}
    assert thoughts_of([masked(41, 40, 60, 60)], said) == {0: "a cow"}


def test_thinking_that_led_elsewhere_is_not_taken():
    said = {"the penguin": boxed("a bird", 0, 0, 9, 9), "the main object": boxed("a cow", 40, 40, 60, 60)}
    assert thoughts_of([masked(20, 20, 30, 30)], said) == {}


def test_where_nothing_is_there_a_refusal_is_the_right_thought():
    said = {"the penguin": boxed("nothing like that is here"), "the main object": boxed("a bird", 10, 10, 30, 30)}
    assert thoughts_of([masked(0, 0, 0, 0)], said) == {0: "nothing like that is here"}


def test_a_sample_that_has_thinking_keeps_it():
    sample = masked(10, 10, 30, 30)
    worked = Sample("x", sample.image, sample.query, sample.target, reference=boxed("told", 10, 10, 30, 30))
    said = dict.fromkeys(("the penguin", "the main object"), boxed("a bird", 10, 10, 30, 30))
    assert thoughts_of([worked], said) == {}


@pytest.mark.parametrize(
    ("answer", "truth", "near"),
    [
        (boxed("", 0, 0, 10, 10), boxed("", 0, 0, 10, 20), 0.5),
        (boxed(""), boxed(""), 1.0),
        (boxed(""), boxed("", 0, 0, 1, 1), 0.0),
        (boxed("", 0, 0, 10, 10), boxed("", 30, 30, 40, 40), 0.0),
    ],
)
def test_how_near_an_answer_is_to_the_truth(answer, truth, near):
    assert nearness(answer, truth) == near


def test_an_answer_is_learnt_with_the_thought_before_it(reasoner):
    samples = [square(0), square(1)]
    builder = RowBuilder(
        samples, Schedule(2, shuffle=False), FORMAT, reasoner, with_answers=True, thoughts={1: "on the left"}
    )
    bare, thought = builder([0, 1])
    assert bare["answer"].startswith("<think></think>")
    assert bare["not_learnt"] == (7, 15)
    assert thought["answer"].startswith("<think>on the left</think><bbox>")
    assert thought["not_learnt"] == (0, 0)


@pytest.mark.slow
def test_a_training_with_thinking_of_its_own_runs_to_its_end(rl_recipe, squares):
    recipe = replace_settings(rl_recipe(), {"stage": "sft", "thinking": "own", "trl": {}})
    assert (train_recipe(recipe, samples=squares) / "config.json").is_file()
