"""Checkpoints in the layout in which Qwen2.5-VL's descendants and SAM 2 are published, shrunken to the size of a test.

The files are those of the hub: a flat ``config.json`` with ``torch_dtype`` and ``rope_scaling``, the image limits in
``preprocessor_config.json`` as ``min_pixels`` and ``max_pixels``, special tokens in their order after the vocabulary, a
chat template that puts a system turn first where there is none, a ``generation_config.json`` with a penalty, weights by
their older names in several safetensors files with an index. Patches of 14 pixels, merged by 2, and the limits are the
real ones; widths, depths and the vocabulary are not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from thinkseg.testing.tiny_segmenters import tiny_sam2_video

CHAT_TEMPLATE = """\
{%- if messages[0]['role'] != 'system' -%}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif -%}
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' or 'image' in part -%}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part['type'] == 'video' or 'video' in part -%}<|vision_start|><|video_pad|><|vision_end|>
{%- elif 'text' in part -%}{{ part['text'] }}{%- endif -%}
{%- endfor -%}
{%- endif -%}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}
"""
"""Gives the text that the published template gives, for turns of text and images."""

SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
"""In the published order; on the hub the first one is number 151,643."""
ADDED_TOKENS = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
    "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip
"""Those that come after them and count as text."""

MIN_PIXELS, MAX_PIXELS = 56 * 56, 3584 * 3584
_HIDDEN, _VISION = 64, 32


def write_published_qwen2_5_vl(folder: Path, *, seed: int = 0, max_shard_size: str = "150KB") -> Path:
    """Write a shrunken Qwen2.5-VL checkpoint in the published layout, weights in bfloat16.

    Args:
        folder: made if it does not exist.
        seed: of the random weights.
        max_shard_size: largest file of weights; small, so that there are several.

    Returns:
        The folder.
    """
    import torch
    from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    first = _write_tokenizer(folder)
    ids = {token: first + place for place, token in enumerate((*SPECIAL_TOKENS, *ADDED_TOKENS))}
    _write(folder / "config.json", _config(ids))
    _write(folder / "preprocessor_config.json", _preprocessor())
    config = AutoConfig.from_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config).to(torch.bfloat16)
    kept = {name: (folder / name).read_bytes() for name in ("config.json",)}
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    for name, content in kept.items():  # which has been written anew in today's layout
        (folder / name).write_bytes(content)
    ends = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    generation = {"bos_token_id": ends[1], "pad_token_id": ends[1], "eos_token_id": ends, "do_sample": True}
    generation |= {"repetition_penalty": 1.05, "temperature": 1e-06, "transformers_version": "4.49.0"}
    _write(folder / "generation_config.json", generation)
    return folder


def write_published_sam2(folder: Path, *, seed: int = 0) -> Path:
    """Write a tiny SAM 2 checkpoint in the published layout: the video model, of which images need a part.

    Args:
        folder: made if it does not exist.
        seed: of the random weights.

    Returns:
        The folder.
    """
    model, processor = tiny_sam2_video(seed=seed)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _config(ids: dict[str, int]) -> dict[str, Any]:
    """`config.json` as the hub has it: the language model's sizes at the top, the tower's in a part."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_token_id": ids["<|vision_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "hidden_act": "silu",
        "hidden_size": _HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": 128,
        "max_position_embeddings": 128000,
        "max_window_layers": 2,
        "model_type": "qwen2_5_vl",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.49.0",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": 2,
            "hidden_act": "silu",
            "hidden_size": _VISION,
            "intermediate_size": 64,
            "num_heads": 2,
            "in_chans": 3,
            "out_hidden_size": _HIDDEN,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
            "temporal_patch_size": 2,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "vocab_size": max(ids.values()) + 30,  # the published one has rows to spare, too
    }


def _preprocessor() -> dict[str, Any]:
    return {
        "min_pixels": MIN_PIXELS,
        "max_pixels": MAX_PIXELS,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    }


def _write_tokenizer(folder: Path) -> int:
    """The tokenizer's files; the number of the first special token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED_TOKENS])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "vocab.json", {letter: i for i, letter in enumerate(letters)})
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    added = {
        str(len(letters) + place): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": token in SPECIAL_TOKENS,
        }
        for place, token in enumerate((*SPECIAL_TOKENS, *ADDED_TOKENS))
    }
    settings = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    _write(folder / "tokenizer_config.json", settings)
    _write(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})
    return len(letters)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
