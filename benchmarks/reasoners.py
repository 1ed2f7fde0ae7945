"""Qwen2.5-VLs with random weights in several proportions, and how many multiplications a group of completions takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thinkseg.testing import tiny_qwen2_5_vl

WINDOW, MERGE, PATCH = 8, 2, 14
"""Patches a side of a window, patches a side of a token, pixels a side of a patch."""
PLAIN, IMAGES, SHARED = "plain", "images once", "shared prefix"
"""Ways to log-probabilities of a group: all for each completion, each image once, and the prompt once, too."""


@dataclass(frozen=True)
class Proportions:
    """Of a Qwen2.5-VL."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv: int
    vocab: int
    vision_hidden: int
    vision_inner: int
    vision_layers: int
    full_layers: int
    """Layers of the vision tower that attend to the whole image; the others attend within windows."""
    tied: bool = True
    """Whether the head's weights are the embeddings'."""


NINE_MILLION = Proportions(256, 1376, 6, 2, 1, 2850, 160, 428, 4, 1)
THREE_BILLION = Proportions(2048, 11008, 36, 16, 2, 151936, 1280, 3420, 32, 4)
SEVEN_BILLION = Proportions(3584, 18944, 28, 28, 4, 152064, 1280, 3420, 32, 4, tied=False)
TINY = Proportions(32, 64, 2, 4, 2, 300, 32, 64, 2, 1)


@dataclass(frozen=True)
class Case:
    """A group of completions of one prompt."""

    group: int
    side: int
    """Tokens a side of the image."""
    prompt: int
    """Tokens of the prompt, the image's among them."""
    completion: int
    """Tokens of each completion."""
    images: int = 1
    """How many such groups, each with an image of its own, are in one pass."""

    def __str__(self) -> str:
        several = "" if self.images == 1 else f", {self.images} images"
        return f"G {self.group}, prompt {self.prompt}, completion {self.completion}{several}"


def create_reasoner(
    proportions: Proportions,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    max_pixels: int = 112 * 112,
    attention: str = "sdpa",
) -> tuple[Any, Any]:
    """A model with random weights and a processor whose tokens are bytes.

    Args:
        proportions: of the model.
        dtype: of its weights.
        device: where it is made.
        max_pixels: of an image as the model sees it.
        attention: of transformers.
    """
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tiny, processor = tiny_qwen2_5_vl(max_pixels=max_pixels)
    text, eye = tiny.config.text_config.to_dict(), tiny.config.vision_config.to_dict()
    head = proportions.hidden // proportions.heads
    text |= {
        "hidden_size": proportions.hidden,
        "intermediate_size": proportions.inner,
        "num_hidden_layers": proportions.layers,
        "num_attention_heads": proportions.heads,
        "num_key_value_heads": proportions.kv,
        "vocab_size": proportions.vocab,
        "layer_types": ["full_attention"] * proportions.layers,
        "initializer_range": 0.02,
        "rope_parameters": text["rope_parameters"]
        | {"mrope_section": [head // 8, head // 8, head // 2 - 2 * (head // 8)]},
    }
    every = proportions.vision_layers // proportions.full_layers
    eye |= {
        "depth": proportions.vision_layers,
        "hidden_size": proportions.vision_hidden,
        "intermediate_size": proportions.vision_inner,
        "num_heads": max(2, proportions.vision_hidden // 80),
        "out_hidden_size": proportions.hidden,
        "window_size": WINDOW * PATCH,
        "fullatt_block_indexes": list(range(every - 1, proportions.vision_layers, every)),
        "initializer_range": 0.02,
    }
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    tokens = {name: getattr(tiny.config, name) for name in names}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=eye, tie_word_embeddings=proportions.tied, **tokens)
    config.text_config.tie_word_embeddings = proportions.tied
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            model = Qwen2_5_VLForConditionalGeneration._from_config(
                config, dtype=getattr(torch, dtype), attn_implementation=attention
            )
    finally:
        torch.set_default_dtype(before)
    model.generation_config = tiny.generation_config
    return model, processor


def counted(model: Proportions, case: Case) -> dict[str, float]:
    """Multiplications of a forward pass each way: linear layers, and attention where something is seen."""
    image = vision(model, case.side)
    together = case.prompt + case.completion
    alone = case.group * language(model, together, triangle(together), case.completion)
    prefix, branch = case.prompt - 1, case.completion
    pairs = triangle(prefix) + case.group * (prefix * branch + triangle(branch))
    packed = language(model, prefix + case.group * branch, pairs, case.group * branch)
    ways = {PLAIN: case.group * image + alone, IMAGES: image + alone, SHARED: image + packed}
    return {way: case.images * count for way, count in ways.items()}


def triangle(length: int) -> float:
    """Pairs of tokens of which one sees the other, itself included."""
    return length * (length + 1) / 2


def language(model: Proportions, tokens: int, pairs: float, scored: int) -> float:
    """Multiplications of the language model."""
    head = model.hidden // model.heads
    projections = 2 * model.hidden * model.hidden + 2 * model.hidden * model.kv * head
    layer = tokens * (projections + 3 * model.hidden * model.inner) + 2 * pairs * model.hidden
    return model.layers * layer + scored * model.hidden * model.vocab


def vision(model: Proportions, side: int) -> float:
    """Multiplications of the vision tower."""
    tokens, wide = side**2, model.vision_hidden
    patches = tokens * MERGE**2
    linear = model.vision_layers * patches * (4 * wide * wide + 3 * wide * model.vision_inner)
    seen = model.full_layers * patches + (model.vision_layers - model.full_layers) * WINDOW**2
    merged = wide * MERGE**2
    ends = patches * wide * 3 * 2 * PATCH**2 + tokens * (merged * merged + merged * model.hidden)
    return linear + 2 * patches * seen * wide + ends
