from collections.abc import Callable

import pytest

from thinkseg.answers import get_format
from thinkseg.errors import InputError
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.page.choices import ITS_OWN, Choices, Chosen, Offered
from thinkseg.testing import FakeReasoner, FakeSegmenter


def pipeline() -> Pipeline:
    return Pipeline(FakeReasoner([]), FakeSegmenter(), get_format("seg-r1"))


@pytest.fixture
def choices() -> Choices:
    segmenters: dict[str, Callable[[], FakeSegmenter]] = {"discs": lambda: FakeSegmenter(0.4)}
    models = {
        "one": Offered(pipeline, {"name": "one", "segmenter": "a", "segmenter_revision": "b"}),
        "two": Offered(pipeline),
    }
    return Choices(models, segmenters, ("seg-zero",))


def test_the_first_model_with_what_belongs_to_it_is_chosen_where_nothing_is_said(choices: Choices) -> None:
    assert choices.named() == choices.first == Chosen("one", ITS_OWN, ITS_OWN)
    chosen = choices.pipeline(choices.first)
    assert chosen.answer_format.name == "seg-r1"
    assert chosen is choices.pipeline(Chosen("one"))


def test_a_segmenter_and_a_format_take_the_place_of_the_models_own(choices: Choices) -> None:
    own = choices.pipeline(Chosen("two"))
    chosen = choices.pipeline(Chosen("two", "discs", "seg-zero"))
    assert chosen.reasoner is own.reasoner
    assert chosen.segmenter is not own.segmenter
    assert chosen.segmenter is choices.pipeline(Chosen("one", "discs")).segmenter
    assert chosen.answer_format.name == "seg-zero"
    assert chosen.wording is not None
    assert "<answer>" in chosen.wording.answer_format.instruction("it").user


def test_records_say_what_was_chosen(choices: Choices) -> None:
    assert choices.identity(Chosen("one")) == {"name": "one", "segmenter": "a", "segmenter_revision": "b"}
    chosen = choices.identity(Chosen("one", "discs", "seg-zero"))
    assert chosen == {"name": "one", "segmenter": "discs", "segmenter_revision": "", "format": "seg-zero"}
    assert Choices.of(pipeline()).identity(Chosen("model")) is None


@pytest.mark.parametrize("choice", [Chosen("three"), Chosen("one", "lines"), Chosen("one", ITS_OWN, "prose")])
def test_what_is_not_offered_cannot_be_chosen(choices: Choices, choice: Chosen) -> None:
    with pytest.raises(InputError, match=r"^there is no (model|segmenter|format) '(three|lines|prose)' here: choose "):
        choices.pipeline(choice)
