from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image, ImageDraw

from tests.sharing_families import FAMILIES
from thinkseg import testing
from thinkseg.models.reasoner import TransformersReasoner

REASONERS = {**FAMILIES, "qwen3_5": testing.tiny_qwen3_5}
SEGMENTERS = {
    "sam2": testing.tiny_sam2,
    "edgetam": testing.tiny_edgetam,
    "sam3_tracker": testing.tiny_sam3_tracker,
    "sam": testing.tiny_sam,
    "sam_hq": testing.tiny_sam_hq,
}


class Writing:
    """A model that writes these tokens of every image, and is the real one otherwise.

    Args:
        reasoner: whose model and processor it is.
        text: what it writes; control tokens are tokens.
        ends: whether it then ends its turn.
    """

    def __init__(self, reasoner: TransformersReasoner, text: str, *, ends: bool = True) -> None:
        tokenizer = reasoner.processor.tokenizer
        self._model = reasoner.model
        self._tokens = [*tokenizer(text)["input_ids"], *([tokenizer.eos_token_id] if ends else [])]

    def generate(self, *, input_ids: torch.Tensor, **_options: Any) -> torch.Tensor:
        """Prompts and what is written."""
        return torch.cat([input_ids, torch.tensor(self._tokens).expand(len(input_ids), -1)], dim=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def writing(reasoner: TransformersReasoner, text: str, *, ends: bool = True) -> TransformersReasoner:
    """A reasoner like this one whose model writes this text."""
    return TransformersReasoner(Writing(reasoner, text, ends=ends), reasoner.processor)


@pytest.fixture(autouse=True)
def _quiet_transformers() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


@pytest.fixture(params=REASONERS)
def family(request: pytest.FixtureRequest) -> str:
    """The model type of each family in turn."""
    if request.param == "smolvlm":
        pytest.importorskip("num2words", reason="SmolVLM's processor needs num2words")
    return str(request.param)


@pytest.fixture
def tiny_reasoner() -> Callable[..., TransformersReasoner]:
    """Builds a reasoner on a tiny real model of a family."""

    def build(family: str, **options: Any) -> TransformersReasoner:
        return TransformersReasoner(*REASONERS[family](), **{"max_new_tokens": 12, **options})

    return build


@pytest.fixture(params=SEGMENTERS)
def tiny_segmenter(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Each kind of segmenter in turn: a tiny real model and its processor."""
    return SEGMENTERS[request.param]()


@pytest.fixture
def noise() -> Callable[[int, int], Image.Image]:
    """Makes an image of coloured noise, a different one for every size."""

    def image(width: int, height: int) -> Image.Image:
        pixels = np.random.default_rng([width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return image


@pytest.fixture
def red_disc() -> Image.Image:
    """A red disc of radius 40 around (120, 80) on a green ground, 200 × 150."""
    image = Image.new("RGB", (200, 150), (40, 120, 60))
    ImageDraw.Draw(image).ellipse((80, 40, 160, 120), fill=(210, 40, 40))
    rough = np.random.default_rng(0).normal(np.asarray(image), 6)
    return Image.fromarray(rough.clip(0, 255).astype(np.uint8))
