"""An encoder in bfloat16 gives nearly the masks of float32, a compiled one the same, and neither is on unasked."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image

from thinkseg import testing
from thinkseg.errors import CheckpointError, InputError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.encoders import encoder_of
from thinkseg.models.encodings import mapped
from thinkseg.models.grabcut import GrabCutSegmenter
from thinkseg.models.prompting import PromptedSegmenter, prompted
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

Noise = Callable[[int, int], Image.Image]

FRAME = Size(120, 90)
ANSWER = Answer(FRAME, (ObjectPrompt(Box(10, 10, 60, 70), (Point(30, 30),)), ObjectPrompt(Box(40, 5, 110, 50))))
LEAST = 0.95
"""The IoU of a mask of random weights with that of the same weights in bfloat16."""


def tensors(embeddings: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    mapped(found.append, embeddings)
    return found


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def test_an_encoder_in_bfloat16_gives_nearly_the_masks_of_float32_and_leaves_the_model_as_it_is(
    tiny_segmenter: tuple[Any, Any], noise: Noise
) -> None:
    plain = PromptableSegmenter(*tiny_segmenter)
    half = prompted(plain, CheckpointConfig(segmenter_encoder="bfloat16"))
    assert isinstance(half, PromptableSegmenter)
    image = noise(120, 90)
    (expected,), (found,) = plain.segment(image, [ANSWER]), half.segment(image, [ANSWER])
    assert 0 < expected.masks.mean() < 1
    assert all(overlap(*pair) >= LEAST for pair in zip(expected.masks, found.masks, strict=True))
    pixels = plain.processor(images=image, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        exact, rounded = (tensors(encoder_of(plain.model, kind)(pixels)) for kind in ("float32", "bfloat16"))
    assert {tensor.dtype for tensor in rounded} == {torch.float32}
    assert any((one != other).any() for one, other in zip(exact, rounded, strict=True))  # it did round
    assert {weight.dtype for weight in plain.model.parameters()} == {torch.float32}
    (again,) = plain.segment(image, [ANSWER])
    assert np.array_equal(again.masks, expected.masks)


# What checks types in the tests draws at random, which is not traced.
untraced = pytest.mark.filterwarnings("ignore:Dynamo does not know:UserWarning")


@pytest.mark.slow
@untraced
@pytest.mark.parametrize("kind", ["compiled", "compiled bfloat16"])
def test_a_traced_encoder_gives_the_embeddings_of_one_that_is_not(noise: Noise, kind: Any) -> None:
    segmenter = PromptableSegmenter(*testing.tiny_sam2())
    pixels = segmenter.processor(images=noise(40, 30), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        plain = tensors(encoder_of(segmenter.model, "bfloat16" if kind.endswith("16") else "float32")(pixels))
        traced = tensors(encoder_of(segmenter.model, kind, "eager")(pixels))
    assert [(one - other).abs().max().item() for one, other in zip(plain, traced, strict=True)] == [0, 0, 0]


@untraced
@pytest.mark.slow
def test_a_compiled_encoder_gives_the_masks_of_one_that_is_not(noise: Noise) -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("needs a C++ compiler, by which torch.compile builds what runs on a CPU")
    plain = PromptableSegmenter(*testing.tiny_sam2())
    compiled = plain.encoding_in("compiled")
    for image in (noise(120, 90), noise(60, 60)):
        (expected,), (found,) = plain.segment(image, [ANSWER]), compiled.segment(image, [ANSWER])
        assert all(overlap(*pair) >= 0.999 for pair in zip(expected.masks, found.masks, strict=True))


class Doubling:
    """In place of a model whose encoder is quickly traced."""

    device = torch.device("cpu")

    def get_image_embeddings(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        return [2 * pixels @ pixels]


def test_what_compiles_is_handed_to_the_compiler_and_its_results_are_in_float32() -> None:
    seen: list[int] = []

    def compiler(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Callable[..., Any]:
        seen.append(len(graph.graph.nodes))
        return graph.forward

    pixels = torch.full((3, 3), 1 / 3)
    (whole,) = encoder_of(Doubling(), "compiled", compiler)(pixels)
    assert len(seen) == 1
    assert torch.allclose(whole, torch.full((3, 3), 2 / 3))
    (half,) = encoder_of(Doubling(), "compiled bfloat16", compiler)(pixels)
    assert len(seen) == 2
    assert half.dtype == torch.float32
    assert torch.equal(half, half.bfloat16().float())
    assert torch.allclose(half, whole, rtol=2**-7)


def test_what_cannot_be_compiled_is_no_failure_of_an_image_but_of_the_model() -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such\ninstruction")

    encode = encoder_of(Doubling(), "compiled", broken)
    with pytest.raises(CheckpointError, match=r"cannot be compiled here .*instruction.*leave 'compiled' out"):
        encode(torch.zeros(3, 3))


def test_encodings_that_are_kept_are_those_of_one_kind_of_encoder(noise: Noise) -> None:
    keeping = PromptableSegmenter(*testing.tiny_sam2()).remembering(10**8)
    image = noise(40, 30)
    keeping.segment(image, [ANSWER])
    half = keeping.encoding_in("bfloat16")
    half.segment(image, [ANSWER])
    half.segment(image, [ANSWER])
    assert (keeping.encode_count, half.encode_count) == (1, 1)


def test_a_setting_replaces_one_that_was_made_before_and_none_is_float32() -> None:
    segmenter = PromptableSegmenter(*testing.tiny_sam2())
    assert prompted(segmenter, CheckpointConfig()) is segmenter
    once: Any = prompted(segmenter, CheckpointConfig(segmenter_encoder="bfloat16", segmenter_canvas=32))
    assert isinstance(once, PromptedSegmenter)
    assert once.segmenter.encoder == "bfloat16"
    back: Any = prompted(once, CheckpointConfig())
    assert back.encoder == segmenter.encoder == "float32"


def test_a_segmenter_without_an_encoder_refuses_one_in_a_sentence() -> None:
    prompted(GrabCutSegmenter(), CheckpointConfig(segmenter_encoder="float32"))
    with pytest.raises(InputError, match=r"GrabCutSegmenter has no encoder .*'bfloat16'"):
        prompted(GrabCutSegmenter(), CheckpointConfig(segmenter_encoder="bfloat16"))


def test_a_segmenter_of_the_users_own_may_call_something_its_encoder() -> None:
    class OfAUser(testing.FakeSegmenter):
        encoder = torch.nn.Identity()

    mine = OfAUser()
    assert prompted(mine, CheckpointConfig()) is mine
    assert prompted(mine, CheckpointConfig(segmenter_encoder="float32")) is mine
    with pytest.raises(InputError, match="OfAUser has no encoder that could be told 'bfloat16'"):
        prompted(mine, CheckpointConfig(segmenter_encoder="bfloat16"))


def test_another_value_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="compiled bfloat16"):
        CheckpointConfig.checked({"segmenter_encoder": "float16"})


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Calls as users make them, whose arguments nothing checks by their types."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
def test_a_segmenter_that_is_told_another_value_refuses_it_with_those_that_there_are() -> None:
    wrong: Any = "half"
    with pytest.raises(InputError, match=r"one of 'float32', .*'compiled bfloat16', found 'half'"):
        PromptableSegmenter(*testing.tiny_sam2()).encoding_in(wrong)
