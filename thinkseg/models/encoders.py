"""How a segmenter's encoder computes: in float32 or in bfloat16, compiled or not. Prompts and masks stay in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

import torch

from thinkseg.errors import CheckpointError, InputError, reason_of
from thinkseg.models.checkpoint_config import EncoderKind
from thinkseg.models.encodings import mapped

COMPILER = "inductor"
"""What `torch.compile` hands its graphs to."""

Embed = Callable[[torch.Tensor], Any]


def encoder_of(model: Any, kind: EncoderKind, compiler: str | Callable[..., Any] = COMPILER) -> Embed:
    """What makes embeddings of pixels, in float32 whatever they were computed in.

    Products and convolutions are in bfloat16 where the kind says so; weights, norms and all that comes behind the
    encoder, coordinates above all, stay in float32.

    Args:
        model: a segmenter of transformers in float32, on its device.
        kind: how it computes.
        compiler: a backend of `torch.compile`, or its name; its first call takes minutes for a large model, and so does
            a first batch of another size.

    Raises:
        InputError: there is no such kind, the device has no bfloat16, or nothing compiles here.
    """
    kinds = get_args(EncoderKind)
    if kind not in kinds:
        raise InputError(f"a segmenter's encoder computes in one of {', '.join(map(repr, kinds))}, found {kind!r}")
    device = model.device
    half, compiled = kind.endswith("bfloat16"), kind.startswith("compiled")
    if half and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError(
            f"the segmenter's encoder cannot compute in bfloat16 on '{torch.cuda.get_device_name(device)}', which has "
            "none: leave 'bfloat16' out of 'segmenter_encoder'"
        )
    if compiled and compiler == COMPILER:
        _try_compiler(device.type)
    embed: Embed = model.get_image_embeddings
    if compiled:
        embed = torch.compile(embed, backend=compiler)

    def encode(pixels: torch.Tensor) -> Any:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            try:
                return mapped(torch.Tensor.float, embed(pixels))
            except Exception as error:
                if not compiled or isinstance(error, MemoryError | torch.OutOfMemoryError):
                    raise
                raise CheckpointError(_refusal(error)) from error  # an InputError would be a failure of the image

    return model.get_image_embeddings if kind == "float32" else encode


@cache
def _try_compiler(device: str) -> None:
    """Refuse a machine on which nothing compiles, before a model is at work."""
    try:
        torch.compile(lambda numbers: numbers + 1)(torch.zeros(2, device=device))
    except Exception as error:
        raise InputError(_refusal(error)) from error


def _refusal(error: Exception) -> str:
    return (
        f"the segmenter's encoder cannot be compiled here ({reason_of(error)}): install a C++ compiler such as g++, or "
        "leave 'compiled' out of 'segmenter_encoder'"
    )
