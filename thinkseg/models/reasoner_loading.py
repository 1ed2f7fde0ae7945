"""A reasoner from its checkpoint: with its weights, or as what is known of it without them.

>>> from thinkseg.models.reasoner_loading import load_reasoner
>>> reasoner = load_reasoner("Qwen/Qwen2.5-VL-3B-Instruct", device="cuda")  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from thinkseg.errors import CheckpointError
from thinkseg.models import loading
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.families import Family, family_of
from thinkseg.models.folders import check_folder, check_size, check_tokenizer
from thinkseg.models.frames import FrameRule, frame_rule, refuse_without_canvas
from thinkseg.models.quantizing import quantization
from thinkseg.models.reasoner import DEFAULT_MAX_NEW_TOKENS, TransformersReasoner, canvas_of

_SMALL_MODEL = 100_000_000
"""With fewer weights than that a step takes about as long for many prompts as for one."""


def load_reasoner(
    name: str | Path,
    config: CheckpointConfig | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    tokens_per_pass: int | None = None,
    in_4_bits: bool = False,
) -> TransformersReasoner:
    """Load a reasoner from a folder or from the hub.

    Args:
        name: ``"pocket"``, a checkpoint folder, or a hub id. The model's class follows from its `config.json`.
        config: its family, frame rule, canvas, limits of pixels and length of a completion; what is None is that of
            its kind and of the processor, and `DEFAULT_MAX_NEW_TOKENS`. (`resolve_config` has what the folder says.)
        device: ``"auto"`` (a GPU if there is one), or a torch device.
        dtype: ``"auto"`` (the checkpoint's on a GPU, float32 on a CPU), or the name of a torch dtype.
        batch_size: prompts decoded together; None is 8 on a GPU and 4 on a CPU, 32 for a small model.
        tokens_per_pass: tokens of prompts that are read together, in the place of `batch_size`.
        in_4_bits: keep the layers of the language model in 4 bits, to train adapters on them; takes bitsandbytes.

    Raises:
        CheckpointError: the folder is missing or incomplete, the hub cannot be reached, or the family is not known.
        InputError: a setting that this model cannot have.
    """
    from transformers import AutoModelForImageTextToText

    config = config or CheckpointConfig()
    target = loading.torch_device(device)
    source = loading.locate(name, "reasoner")
    check_folder(source)
    with loading.explained(source):
        processor, family, rule = _processor_and_family(source, config)
        check_size(AutoModelForImageTextToText, source)
        number = loading.torch_dtype(dtype, target)
        quantized = (
            {"quantization_config": quantization(source, family, number), "device_map": {"": target}}
            if in_4_bits
            else {}
        )
        model = loading.load_weights(AutoModelForImageTextToText, source, dtype=number, **quantized)
    return TransformersReasoner(
        (model if in_4_bits else model.to(target)).eval(),
        processor,
        family,
        rule=rule,
        max_new_tokens=config.max_new_tokens or DEFAULT_MAX_NEW_TOKENS,
        batch_size=_default_batch_size(model, target) if batch_size is None else batch_size,
        canvas=canvas_of(config),
        decoding=config.decoding or "greedy",
    ).filled(tokens_per_pass)


@dataclass(frozen=True)
class DescribedModel:
    """What is known of a model without its weights, in the place of one whose text is made elsewhere."""

    config: Any
    generation_config: Any

    @property
    def device(self) -> torch.device:
        """Where it would be: nowhere in particular."""
        return torch.device("cpu")


def described_parts(source: str, config: CheckpointConfig) -> tuple[DescribedModel, Any, dict[str, Any]]:
    """A reasoner's parts without weights: what its config says, its processor, and the options of its class.

    Args:
        source: a folder or a hub id.
        config: as for `load_reasoner`.

    Raises:
        CheckpointError, InputError: as `load_reasoner`.
    """
    from transformers import AutoConfig, GenerationConfig

    with loading.explained(source):
        processor, family, rule = _processor_and_family(source, config)
        own = AutoConfig.from_pretrained(source)
        try:
            generation = GenerationConfig.from_pretrained(source)
        except OSError:  # it has no file of it, and its config says where its text ends
            generation = GenerationConfig.from_model_config(own)
    options = {
        "family": family,
        "rule": rule,
        "max_new_tokens": config.max_new_tokens or DEFAULT_MAX_NEW_TOKENS,
        "canvas": canvas_of(config),
        "decoding": config.decoding or "greedy",
    }
    return DescribedModel(own, generation), processor, options


def describe_reasoner(source: str, config: CheckpointConfig) -> TransformersReasoner:
    """A reasoner without weights: it knows prompts, frames and sizes of images, and writes nothing; see above."""
    model, processor, options = described_parts(source, config)
    return TransformersReasoner(model, processor, **options)


def _processor_and_family(source: str, config: CheckpointConfig) -> tuple[Any, Family, FrameRule | None]:
    """The processor of a checkpoint with the limits of its images, its family, and its frame rule if one is said."""
    from transformers import AutoProcessor

    rule = None if config.frame is None else frame_rule(config.frame)
    refuse_without_canvas(rule, config.canvas)
    family = family_of(loading.model_type(source), config.family, frame=rule)
    check_tokenizer(source)
    processor = AutoProcessor.from_pretrained(source)
    _check_processor(processor, source)
    family.set_pixel_limits(processor, config.min_pixels, config.max_pixels)
    return processor, family, rule


def _check_processor(processor: Any, source: str) -> None:
    """Transformers hands out a part of a processor where the files of another one are missing."""
    for part, files in (("tokenizer", "tokenizer.json"), ("image_processor", "preprocessor_config.json")):
        if not hasattr(processor, part):
            raise CheckpointError(
                f"'{source}' has no {part.replace('_', ' ')} that belongs to its model: copy {files} and what lies "
                "beside it from the model that it was trained from"
            )


def _default_batch_size(model: Any, device: torch.device) -> int:
    if sum(parameter.numel() for parameter in model.parameters()) < _SMALL_MODEL:
        return 32
    return 4 if device.type == "cpu" else 8
