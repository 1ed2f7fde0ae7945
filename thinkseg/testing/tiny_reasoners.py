"""Tiny real reasoners: models and processors of transformers, built from configs, with random weights.

Each function returns the model, in evaluation mode (float32, CPU), and its processor. `seed` is that of the weights,
which are large enough for the text to depend on the image; `max_pixels` is how large the processor leaves an image.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- else -%}{{ part['text'] }}{%- endif -%}
{%- endfor -%}
{%- endif -%}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}
"""
"""The chat layout of the Qwen families: turns between markers, an image as one placeholder between two more."""

BARE_CHAT_TEMPLATE = CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<|image_pad|>")
"""For processors that write the markers around an image themselves: InternVL, SmolVLM."""

_SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_TOKEN_IDS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
_INTERNVL_TOKENS = {
    "start_image_token": "<|vision_start|>",
    "end_image_token": "<|vision_end|>",
    "context_image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
}
_SMOLVLM_TOKENS = {
    "fake_image_token": "<|vision_start|>",
    "global_image_token": "<|vision_end|>",
    "image_token": "<|image_pad|>",
    "end_of_utterance_token": "<|im_end|>",
}
_SPREAD = 0.4
"""Standard deviation of random weights: much larger than in training, so that different inputs give different texts."""

Parts = dict[str, Any]


def tiny_qwen2_vl(*, max_pixels: int = 112 * 112, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `Qwen2VLForConditionalGeneration` and its processor."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor

    tokenizer = tiny_tokenizer()
    vision: Parts = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2}
    config = Qwen2VLConfig(text_config=_text_config(tokenizer), vision_config=vision, **_token_ids(tokenizer))
    processor = _qwen_processor(Qwen2VLProcessor, tokenizer, patch_size=14, max_pixels=max_pixels)
    return _seeded(Qwen2VLForConditionalGeneration, config, seed), processor


def tiny_qwen2_5_vl(*, max_pixels: int = 112 * 112, seed: int = 0, heads: int = 4) -> tuple[Any, Any]:
    """A tiny `Qwen2_5_VLForConditionalGeneration` and its processor.

    Args:
        max_pixels: how large the processor leaves an image.
        seed: of the weights.
        heads: of attention, 1, 2 or 4; with 1 a head has the 32 numbers that engines ask for at least.
    """
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

    tokenizer = tiny_tokenizer()
    vision = _qwen_vision() | {"window_size": 56, "fullatt_block_indexes": [1]}
    config = Qwen2_5_VLConfig(text_config=_text_config(tokenizer, heads), vision_config=vision, **_token_ids(tokenizer))
    processor = _qwen_processor(Qwen2_5_VLProcessor, tokenizer, patch_size=14, max_pixels=max_pixels)
    return _seeded(Qwen2_5_VLForConditionalGeneration, config, seed), processor


def tiny_qwen3_vl(*, max_pixels: int = 128 * 128, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `Qwen3VLForConditionalGeneration` and its processor."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

    tokenizer = tiny_tokenizer()
    vision = _qwen_vision() | {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    text = _text_config(tokenizer) | {"head_dim": 8}
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **_token_ids(tokenizer))
    processor = _qwen_processor(Qwen3VLProcessor, tokenizer, patch_size=16, max_pixels=max_pixels)
    return _seeded(Qwen3VLForConditionalGeneration, config, seed), processor


def tiny_qwen3_5(*, max_pixels: int = 128 * 128, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `Qwen3_5ForConditionalGeneration` and its processor."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration, Qwen3VLProcessor

    tokenizer = tiny_tokenizer()
    text = _text_config(tokenizer) | {
        "head_dim": 32,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
    }
    vision = _qwen_vision() | {"num_position_embeddings": 64}
    config = Qwen3_5Config(text_config=text, vision_config=vision, **_token_ids(tokenizer))
    processor = _qwen_processor(Qwen3VLProcessor, tokenizer, patch_size=16, max_pixels=max_pixels)
    return _seeded(Qwen3_5ForConditionalGeneration, config, seed), processor


def tiny_internvl(*, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `InternVLForConditionalGeneration` and its processor, which cuts an image into tiles of 56 pixels."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    tokenizer = tiny_tokenizer(_INTERNVL_TOKENS)
    text = _text_config(tokenizer) | {"model_type": "qwen2", "rope_parameters": _rope(10_000.0)}
    config = InternVLConfig(
        text_config=text,
        vision_config=_tile_vision() | {"image_size": [56, 56]},
        image_token_id=_token_ids(tokenizer)["image_token_id"],
    )
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size={"height": 56, "width": 56}, max_patches=4),
        tokenizer,
        InternVLVideoProcessor(),
        image_seq_length=4,
        chat_template=BARE_CHAT_TEMPLATE,
    )
    return _seeded(InternVLForConditionalGeneration, config, seed), processor


def tiny_fast_vlm(*, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `FastVlmForConditionalGeneration` and its processor, which makes every image 64 by 64 pixels."""
    from transformers import CLIPImageProcessor, FastVlmConfig, FastVlmForConditionalGeneration, LlavaProcessor

    tokenizer = tiny_tokenizer()
    text = _text_config(tokenizer) | {"model_type": "qwen2", "rope_parameters": _rope(10_000.0)}
    vision: Parts = {
        "model_type": "timm_wrapper",
        "architecture": "test_efficientnet",
        "hidden_size": 256,
        "num_classes": 0,
        "do_pooling": False,
        "model_args": {},
    }
    config = FastVlmConfig(
        text_config=text, vision_config=vision, image_token_index=_token_ids(tokenizer)["image_token_id"]
    )
    square = {"height": 64, "width": 64}
    processor = LlavaProcessor(
        CLIPImageProcessor(size=square, crop_size=square, do_center_crop=False),
        tokenizer,
        patch_size=32,
        vision_feature_select_strategy="full",
        image_token="<|image_pad|>",
        chat_template=CHAT_TEMPLATE,
    )
    model = _seeded(FastVlmForConditionalGeneration, config, seed)
    _let_through(model.model.vision_tower, seed)
    return model, processor


def _let_through(tower: Any, seed: int) -> None:
    """Convolutions that keep the spread of what they are given; as they are made, almost nothing would come out."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for module in tower.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, generator=generator)


def tiny_smolvlm(*, seed: int = 0) -> tuple[Any, Any]:
    """A tiny `SmolVLMForConditionalGeneration` and its processor (tiles of 56 pixels); it needs `num2words`."""
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    tokenizer = tiny_tokenizer(_SMOLVLM_TOKENS)
    config = SmolVLMConfig(
        text_config=_text_config(tokenizer) | {"model_type": "llama", "rope_parameters": _rope(10_000.0)},
        vision_config=_tile_vision() | {"image_size": 56, "patch_size": 14},
        image_token_id=_token_ids(tokenizer)["image_token_id"],
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
    )
    # Not its usual LANCZOS, which torchvision has from 0.27 on only, and which is replaced before that.
    images = SmolVLMImageProcessor(
        size={"longest_edge": 112}, max_image_size={"longest_edge": 56}, resample=Image.Resampling.BICUBIC
    )
    processor = SmolVLMProcessor(
        images,
        tokenizer,
        SmolVLMVideoProcessor(),
        image_seq_len=4,
        chat_template=BARE_CHAT_TEMPLATE,
    )
    return _seeded(SmolVLMForConditionalGeneration, config, seed), processor


def tiny_tokenizer(extra_special_tokens: dict[str, str] | None = None) -> Any:
    """A tokenizer of bytes with the Qwen families' special tokens; pads on the left with a token that is not eos.

    Args:
        extra_special_tokens: roles of special tokens that a processor asks the tokenizer for.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        extra_special_tokens=extra_special_tokens or {},
    )


def _text_config(tokenizer: Any, heads: int = 4) -> Parts:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 2),
        "max_position_embeddings": 4096,
        "rope_parameters": _rope(10_000.0) | {"mrope_section": [part * 4 // heads for part in (1, 1, 2)]},
        "initializer_range": _SPREAD,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _rope(theta: float) -> Parts:
    return {"rope_type": "default", "rope_theta": theta}


def _qwen_vision() -> Parts:
    return {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "initializer_range": _SPREAD,
    }


def _tile_vision() -> Parts:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "initializer_range": _SPREAD,
    }


def _token_ids(tokenizer: Any) -> dict[str, int]:
    return {role: tokenizer.convert_tokens_to_ids(token) for role, token in _TOKEN_IDS.items()}


def _qwen_processor(processor_class: Any, tokenizer: Any, *, patch_size: int, max_pixels: int) -> Any:
    from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    video_class = Qwen3VLVideoProcessor if processor_class is Qwen3VLProcessor else Qwen2VLVideoProcessor
    size = {"shortest_edge": (4 * patch_size) ** 2, "longest_edge": max_pixels}
    image_processor = Qwen2VLImageProcessor(size=size, patch_size=patch_size, merge_size=2)
    return processor_class(image_processor, tokenizer, video_class(), chat_template=CHAT_TEMPLATE)


def _seeded(model_class: Any, config: Any, seed: int) -> Any:
    """A model with random weights that depend on the seed alone, in evaluation mode."""
    import torch

    config.initializer_range = _SPREAD
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config).eval()
