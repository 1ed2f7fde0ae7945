"""What training needs of a card's memory, by arithmetic: counted on the real configurations, without any weights.

    python benchmarks/memory.py
    python benchmarks/memory.py --masks    # what attention of packed groups holds beside the layers' own tensors

Models are built on PyTorch's meta device, so that nothing is downloaded and nothing computed but one layer of the
language model, whose saved tensors are weighed on the CPU. Nothing here was measured on a GPU. Left out: what the
segmenter needs while it encodes an image, the gaps between allocations, and what CUDA itself takes.
"""

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from measuring import kept_for_backward

from thinkseg.models.families import FAMILIES
from thinkseg.models.quantizing import BYTES_A_WEIGHT, quantized_layers

GB = 1e9
HALF, WHOLE = 2, 4
"""Bytes of a number in bfloat16 and in float32."""

MODELS: dict[str, dict[str, int]] = {
    "Qwen2-VL-2B": {"hidden": 1536, "inner": 8960, "layers": 28, "heads": 12, "kv": 2, "vocab": 151936, "tied": 1},
    "Qwen2.5-VL-3B": {
        "hidden": 2048,
        "inner": 11008,
        "layers": 36,
        "heads": 16,
        "kv": 2,
        "vocab": 151936,
        "tied": 1,
    },
    "Qwen2.5-VL-7B": {
        "hidden": 3584,
        "inner": 18944,
        "layers": 28,
        "heads": 28,
        "kv": 4,
        "vocab": 152064,
        "tied": 0,
    },
}
"""As in the published ``config.json``."""

TARGETS = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
"""The modules that get adapters, those of the Qwen families in `thinkseg.models.families`."""


@dataclass(frozen=True)
class Step:
    """What one card works on at a time."""

    completions: int
    """Forward and backward at once: TRL's ``per_device_train_batch_size``."""
    prompt: int
    """Tokens of the prompt, the image's included."""
    answer: int
    """Tokens of the longest completion."""
    sampled: int
    """Completions that are sampled at once: the former × accumulated steps."""


@dataclass(frozen=True)
class Group:
    """Completions of one prompt, as they are packed."""

    completions: int
    prompt: int
    """Tokens, the image's included."""
    answer: int
    """Tokens of each completion."""

    @property
    def prefix(self) -> int:
        """Tokens that all branches see: the last one of the prompt stands at the head of each."""
        return self.prompt - 1

    @property
    def packed(self) -> int:
        """Tokens of the group in a packed row."""
        return self.prefix + self.completions * self.answer


def main(words: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="What training needs of a card's memory, by arithmetic.")
    parser.add_argument("--masks", action="store_true", help="of packed groups: masks, keys and values")
    if parser.parse_args(words).masks:
        print(masks_table("Qwen2.5-VL-3B", Group(completions=8, prompt=1100, answer=200), groups=(1, 16)))
        return
    print(
        "| model | weights, billions | adapters of rank 16, millions | one layer keeps, kB a token |\n|---|---|---|---|"
    )
    for name in MODELS:
        model = build(name)
        print(f"| {name} | {count(model) / 1e9:.2f} | {adapters(model) / 1e6:.1f} | {layer_bytes(name) / 1e3:.0f} |")
    print(f"| SAM 2.1 large | {count(build_segmenter()) / 1e9:.3f} | | |\n")
    step = Step(completions=2, prompt=729 + 300, answer=400, sampled=16)
    print(f"One card, rank 16, an image of 756 × 756, {step}:\n\n| GB | 3B | 7B |\n|---|---|---|")
    needed = [card(name, step) for name in ("Qwen2.5-VL-3B", "Qwen2.5-VL-7B")]
    for part in needed[0]:
        print(f"| {part} | {needed[0][part]:.1f} | {needed[1][part]:.1f} |")
    print(f"| **together** | **{sum(needed[0].values()):.1f}** | **{sum(needed[1].values()):.1f}** |\n")
    print("Weights in bfloat16, and with the language model's layers in 4 bits:\n\n| GB | | QLoRA |\n|---|---|---|")
    for name in MODELS:
        print(f"| {name} | {HALF * count(build(name)) / GB:.1f} | {in_4_bits(build(name)) / GB:.1f} |")
    print()
    print("Every weight on 8 cards, GB a card before activations:\n\n| | ZeRO 2 | ZeRO 3 |\n|---|---|---|")
    for name in MODELS:
        print(f"| {name} | {whole(name, 2):.1f} | {whole(name, 3):.1f} |")


def masks_table(name: str, group: Group, groups: Sequence[int]) -> str:
    """What attention holds of so many packed groups at once, in lines."""
    lines = [
        f"{name}, {group}, MB that attention holds of so many groups:\n",
        "| groups | a dense mask, all in a row | `eager`: a row each | `sdpa`: a branch's | keys and values, a layer |",
        "|---|---|---|---|---|",
    ]
    for count in groups:
        dense, rows, branch, copies = (size / 1e6 for size in masks(name, group, count))
        lines.append(f"| {count} | {dense:,.1f} | {rows:.1f} | {branch:.2f} | {copies:.1f} |")
    return "\n".join(lines)


def masks(name: str, group: Group, groups: int) -> tuple[int, int, int, int]:
    """Bytes of packed groups of one length.

    Returns:
        Of a dense mask of one row, a byte for each pair of tokens, which nothing makes; of masks of a row for each
        group in float32, which `eager` adds; of the mask that all branches have in common where attention goes block by
        block; and of keys and values in bfloat16 of one layer, those of a prompt once for each of its branches.
    """
    told, seen = MODELS[name], group.prefix + group.answer
    head = told["hidden"] // told["heads"]
    copies = groups * group.completions * seen * 2 * told["kv"] * head * HALF
    return (groups * group.packed) ** 2, groups * group.packed**2 * WHOLE, group.answer * seen, copies


def build(name: str) -> Any:
    """The model on the meta device."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
    )

    told = MODELS[name]
    text = {**text_settings(name), "vocab_size": told["vocab"]}
    if "2.5" in name:
        vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
        config = Qwen2_5_VLConfig(text_config=text, vision_config={**vision, "out_hidden_size": told["hidden"]})
        kind = Qwen2_5_VLForConditionalGeneration
    else:
        vision = {"depth": 32, "embed_dim": 1280, "hidden_size": told["hidden"], "num_heads": 16, "mlp_ratio": 4}
        config, kind = Qwen2VLConfig(text_config=text, vision_config=vision), Qwen2VLForConditionalGeneration
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = bool(told["tied"])
    with torch.device("meta"):
        model = kind(config)
    model.tie_weights()
    return model


def text_settings(name: str) -> dict[str, Any]:
    """The language model's part of a configuration."""
    told = MODELS[name]
    sections = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    return {
        "hidden_size": told["hidden"],
        "intermediate_size": told["inner"],
        "num_hidden_layers": told["layers"],
        "num_attention_heads": told["heads"],
        "num_key_value_heads": told["kv"],
        "rope_parameters": sections,
    }


def build_segmenter(device: str = "meta") -> Any:
    """SAM 2.1 large, the parts for videos left out as ThinkSeg loads it; on the meta device it has no weights."""
    from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig

    backbone = Sam2HieraDetConfig(
        hidden_size=144,
        num_attention_heads=2,
        blocks_per_stage=[2, 6, 36, 4],
        embed_dim_per_stage=[144, 288, 576, 1152],
        num_attention_heads_per_stage=[2, 4, 8, 16],
        window_size_per_stage=[8, 4, 16, 8],
        global_attention_blocks=[23, 33, 43],
        window_positional_embedding_background_size=[7, 7],
    )
    vision = Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=[1152, 576, 288, 144])
    with torch.device(device):
        return Sam2Model(Sam2Config(vision_config=vision))


def count(model: Any) -> int:
    """Weights, tied ones once."""
    return sum(weight.numel() for weight in model.parameters())


def in_4_bits(model: Any) -> float:
    """Bytes of the weights with the layers of the language model as NF4, double quantized."""
    layers = quantized_layers(model, FAMILIES["qwen2_5_vl"])
    small = sum(model.get_submodule(name).weight.numel() for name in layers)
    return HALF * (count(model) - small) + BYTES_A_WEIGHT * small


def adapters(model: Any, rank: int = 16) -> int:
    """Weights of the adapters."""
    import re

    pattern = re.compile(TARGETS)
    layers = [module for name, module in model.named_modules() if pattern.fullmatch(name)]
    return sum(rank * (layer.in_features + layer.out_features) for layer in layers)


def layer_bytes(name: str, tokens: int = 64) -> float:
    """Bytes that one decoder layer with adapters keeps for its backward pass, a token, weights aside; on the CPU."""
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2_5_VLTextConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

    config = Qwen2_5_VLTextConfig(**{**text_settings(name), "num_hidden_layers": 1, "vocab_size": 8})
    model = Qwen2_5_VLTextModel(config).to(torch.bfloat16)
    adapters = LoraConfig(r=16, target_modules=TARGETS.replace(".*language_model", ""), lora_dropout=0.05)
    with warnings.catch_warnings():
        # PEFT asks for an attribute by a name that transformers 5.23 has deprecated.
        warnings.filterwarnings("ignore", r"`(is_)?gradient_checkpointing", FutureWarning)
        model = get_peft_model(model, adapters)
    embedded = torch.zeros(1, tokens, MODELS[name]["hidden"], dtype=torch.bfloat16, requires_grad=True)
    return kept_for_backward(model, lambda: model(inputs_embeds=embedded, use_cache=False)) / tokens


def card(name: str, step: Step) -> dict[str, float]:
    """GB on one card that trains adapters, part by part."""
    told, model = MODELS[name], build(name)
    tokens = step.completions * (step.prompt + step.answer)
    head = told["hidden"] // told["heads"]
    kv_bytes = 2 * told["layers"] * told["kv"] * head * HALF
    logits = step.completions * step.answer * told["vocab"]
    return {
        name_of: value / GB
        for name_of, value in {
            "weights in bfloat16": count(model) * HALF,
            "adapters, gradients and AdamW's moments in float32": adapters(model) * 4 * WHOLE,
            "SAM 2.1 large in float32": count(build_segmenter()) * WHOLE,
            "kept between layers (gradient checkpointing)": told["layers"] * tokens * told["hidden"] * HALF,
            "one layer, computed again": layer_bytes(name) * tokens,
            "logits of the answers: bfloat16, float32 and gradient": logits * (HALF + WHOLE + WHOLE),
            "KV cache while sampling": kv_bytes * step.sampled * (step.prompt + step.answer),
        }.items()
    }


def whole(name: str, stage: int, cards: int = 8) -> float:
    """GB a card when every weight is trained, with a reference in bfloat16 as KL needs it."""
    weights = count(build(name)) / GB
    spread = weights * (HALF + 3 * WHOLE)  # gradients; float32 weights and AdamW's two moments
    resident = weights * 2 * HALF  # the model and the reference that KL is measured from
    return resident + spread / cards if stage == 2 else (resident + spread) / cards


if __name__ == "__main__":
    main()
