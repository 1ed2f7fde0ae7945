"""A model whose large layers are kept in 4 bits, to train adapters on it: QLoRA (arXiv:2305.14314).

The layers of the language model are kept as NF4 with quantized constants, and computed with in another dtype; the
vision tower, the embeddings and the output layer stay as they are. It takes the package bitsandbytes.

TRL quantizes a model only where it is given by name, and does so by handing the quantization to `from_pretrained`. That
is done here, since the model is prepared before a trainer gets it; TRL knows a quantized model when it sees one.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from thinkseg.models.families import Family
from thinkseg.models.shapes import without_weights

BYTES_A_WEIGHT = 0.5 + 1 / 64 + 4 / (64 * 256)
"""4 bits, a constant of 8 bits for 64 of them, and one of 32 bits for 256 constants."""


def quantized_layers(model: Any, family: Family) -> list[str]:
    """The names of the layers that are kept in 4 bits: all linear ones but those of the vision tower and the output.

    Args:
        model: with or without its weights.
        family: of the model.
    """
    head = model.get_output_embeddings()
    tower = re.compile(family.vision_tower)
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head and not tower.match(f"{name}.weight")
    ]


def quantization(source: str, family: Family, dtype: Any) -> Any:
    """What `from_pretrained` is to make of the weights.

    Args:
        source: folder or hub id of the model.
        family: of the model.
        dtype: that is computed with.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, BitsAndBytesConfig

    with without_weights():
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(source))
    in_4_bits = set(quantized_layers(model, family))
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        # Of 4 bits, too, whatever its name says.
        llm_int8_skip_modules=[name for name in linear if name not in in_4_bits],
    )
