"""Which kernels the attention of packed rows takes on one card, and how long it then takes.

Six layers of Qwen2.5-VL-3B's shape: log-probabilities of one group with their backward pass.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from measuring import kept_for_backward, seconds_of
from reasoners import Proportions
from shared_prefix import create_trainer, rows

from benchmarks.gpu.scale import Scale
from thinkseg.models.sharing.images import images_encoded_once
from thinkseg.training.runs import quiet_libraries

LAYERS = 6
PACKED, OWN = "prompt once", "each its own prompt"


def attention(scale: Scale) -> dict[str, Any]:
    """Seconds, memory and agreement by attention and kernel; a kernel that refuses the shapes is told so."""
    proportions = dataclasses.replace(scale.three_billion, layers=min(LAYERS, scale.three_billion.layers))
    found: dict[str, Any] = {}
    for name in ("sdpa", "eager"):
        found |= _with(scale, proportions, name)
    return {"layers": proportions.layers, "case": str(scale.case), "ways": found}


def _with(scale: Scale, proportions: Proportions, name: str) -> dict[str, Any]:
    """One kind of attention: both ways, and by each kernel where there are several."""
    from trl import GRPOTrainer

    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        trainer = create_trainer(proportions, folder, dtype=scale.dtype, attention=name)
    trainer._measured = True  # what is compared here is told, not refused
    model = trainer.model.train()
    call, options = rows(scale.case, trainer.processing_class.tokenizer, trainer.args.device)
    options["pixel_values"] = options["pixel_values"].to(model.dtype)

    def forward(way: str) -> torch.Tensor:
        compute: Callable[..., Any] = (
            type(trainer) if way == PACKED else GRPOTrainer
        )._get_per_token_logps_and_entropies
        with images_encoded_once(model):
            logps: torch.Tensor = compute(trainer, model, *call, **options)[0]
        return logps

    def step(way: str) -> None:
        model.zero_grad()
        forward(way).sum().backward()

    def told(way: str) -> dict[str, Any]:
        with torch.no_grad():
            off = (forward(way) - forward(OWN)).abs()
        return {
            "seconds": seconds_of({way: lambda: step(way)}, scale.repeats)[way],
            "kept_gb": kept_for_backward(model, lambda: forward(way)) / 1e9,
            "logps_off": {"mean": float(off.mean()), "most": float(off.max())},
        }

    found = {f"{name}, {way}": told(way) for way in (PACKED, OWN)}
    if name == "sdpa":
        for kernels, backends in _kernels(scale).items():
            found[f"{name}, {PACKED}, {kernels}"] = _by(backends, lambda: told(PACKED))
    return found


def _kernels(scale: Scale) -> dict[str, list[Any]]:
    """Kernels to which it is kept, by name."""
    from torch.nn.attention import SDPBackend

    plain = {"math alone": [SDPBackend.MATH]}
    if scale.device == "cpu":
        return plain | {"flash or math": [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]}
    return plain | {
        "flash or math": [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH],
        "flash or efficient": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION],
        "efficient alone": [SDPBackend.EFFICIENT_ATTENTION],
        "cuDNN alone": [SDPBackend.CUDNN_ATTENTION],
    }


def _by(backends: list[Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is found with these kernels, or that they refuse."""
    from torch.nn.attention import sdpa_kernel

    try:
        with sdpa_kernel(backends):
            return work()
    except RuntimeError as error:
        return {"refused": str(error).splitlines()[0][:200]}
