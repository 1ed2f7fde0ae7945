"""Batches that are filled by tokens hold every prompt once, within their budget, and change nothing that is written."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from thinkseg.errors import ImageError, InputError
from thinkseg.models.canvas import Canvas
from thinkseg.models.engines.engine import Engine
from thinkseg.models.passes import PromptLengths, passes_of
from thinkseg.models.pipeline import load_pipeline
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.types import Instruction, Request, Size

# InternVL's processor of older releases of transformers counts tiles in a way that NumPy warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")

Build = Callable[..., TransformersReasoner]
Noise = Callable[[int, int], Image.Image]

PROMPTS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5)), max_size=24)


@given(PROMPTS, st.integers(1, 120))
def test_every_prompt_is_in_one_pass_which_keeps_to_its_budget_unless_it_holds_a_single_prompt(
    prompts: list[tuple[int, int]], tokens: int
) -> None:
    lengths = [length for length, _ in prompts]
    found = list(passes_of(lengths, [image for _, image in prompts], tokens))
    assert sorted(place for one in found for place in one) == list(range(len(prompts)))
    for one in found:
        assert len(one) == 1 or len(one) * max(lengths[place] for place in one) <= tokens


@given(PROMPTS, st.integers(1, 120))
def test_prompts_about_an_image_are_in_one_pass_where_it_has_room_for_them(
    prompts: list[tuple[int, int]], tokens: int
) -> None:
    lengths, images = [length for length, _ in prompts], [image for _, image in prompts]
    found = list(passes_of(lengths, images, tokens))
    for image in set(images):
        own = [length for length, other in prompts if other == image]
        if len(own) * max(own) <= tokens:
            assert sum(any(images[place] == image for place in one) for one in found) == 1


def test_short_prompts_come_in_large_passes_and_long_ones_in_small_ones() -> None:
    lengths = [1000, 100, 100, 1000, 100, 100, 1000, 100]
    assert list(passes_of(lengths, range(8), tokens=2000)) == [[0, 3], [6, 1], [2, 4, 5, 7]]
    assert list(passes_of(lengths, range(8), tokens=500)) == [[0], [3], [6], [1, 2, 4, 5, 7]]
    assert list(passes_of([9, 9, 10, 6], "aabb", tokens=20)) == [[2, 3], [0, 1]]  # the longest of any image first
    assert list(passes_of([], [], tokens=5)) == []


@pytest.mark.parametrize("size", [(64, 48), (200, 90), (30, 300)])
def test_the_length_of_a_prompt_is_that_of_what_the_model_is_given(
    family: str, tiny_reasoner: Build, noise: Noise, size: tuple[int, int]
) -> None:
    reasoner = tiny_reasoner(family)
    lengths = PromptLengths(reasoner.processor)
    for words in ("a", "the red thing over there"):
        instruction = Instruction(words)
        given = reasoner.inputs([Request(noise(*size), instruction)])["input_ids"]
        assert lengths.of(reasoner.prompt(instruction), Size(*size)) == given.shape[1]


def test_an_image_that_the_processor_refuses_is_refused_in_a_sentence(tiny_reasoner: Build) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl")
    with pytest.raises(ImageError, match="the model's processor refuses an image of 4000×10"):
        PromptLengths(reasoner.processor).of(reasoner.prompt(Instruction("a")), Size(4000, 10))


@pytest.mark.parametrize("canvas", [None, 56])
def test_text_is_the_same_in_whatever_passes_it_is_written(
    tiny_reasoner: Build, noise: Noise, canvas: int | None
) -> None:
    sizes = [(40, 40), (160, 120), (44, 40), (200, 100)]
    images = [noise(*size) for size in sizes]
    asked = [Request(image, Instruction(f"{'very ' * turn}red")) for turn in range(3) for image in images]
    square = None if canvas is None else Canvas(canvas)
    one_by_one = tiny_reasoner("qwen2_5_vl", batch_size=1, canvas=square).complete(asked)
    reasoner = tiny_reasoner("qwen2_5_vl", batch_size=2, canvas=square).filled(150)
    rows: list[tuple[int, int]] = []

    def watch(_module: Any, _inputs: Any, named: dict[str, Any]) -> None:
        shape = named["input_ids"].shape
        if shape[1] > 1:  # the others are of tokens that are written
            rows.append(tuple(shape))

    reasoner.model.register_forward_pre_hook(watch, with_kwargs=True)
    assert reasoner.complete(asked) == one_by_one
    assert sum(count for count, _ in rows) == len(asked)
    assert all(count * length <= 150 for count, length in rows)
    assert max(count for count, _ in rows) > 2  # it goes by tokens, not by the batch size


def test_the_budget_is_an_option_of_transformers_and_no_part_of_what_tells_results_apart() -> None:
    engine = Engine.chosen(None, {"tokens_per_pass": 4000})
    assert engine.identity() == {}
    loaded = load_pipeline("pocket-small", "grabcut", device="cpu", engine=engine).reasoner
    assert isinstance(loaded, TransformersReasoner)
    assert loaded.tokens_per_pass == 4000
    with pytest.raises(InputError, match="tokens_per_pass is at least 1, found 0"):
        loaded.filled(0)
    with pytest.raises(InputError, match="'tokens_per_pass' of transformers"):
        Engine.chosen(None, {"tokens_per_pass": 0})
    with pytest.raises(InputError, match="tokens_per_pas"):
        Engine.chosen("http://127.0.0.1:8000/v1", {"tokens_per_pass": 4000})
