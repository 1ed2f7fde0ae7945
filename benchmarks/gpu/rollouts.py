"""Sampling by transformers: tokens a second with a prompt read once for its group, and for each completion."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from measuring import seconds_of
from PIL import Image
from reasoners import create_reasoner

from benchmarks.gpu.scale import Scale
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.models.sharing.images import images_encoded_once
from thinkseg.models.sharing.prefill import prompts_read_once
from thinkseg.types import Instruction, Request

GROUPS = 4


def rollouts(scale: Scale) -> dict[str, Any]:
    """Four groups, images encoded once in both ways."""
    case = scale.case
    model, processor = create_reasoner(
        scale.three_billion, dtype=scale.dtype, device=scale.device, max_pixels=scale.pixels**2
    )
    model.eval()
    processor.image_processor.size = {"shortest_edge": scale.pixels**2, "longest_edge": scale.pixels**2}
    draw = np.random.default_rng(0)
    shape = (scale.pixels, scale.pixels, 3)
    images = [Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)) for _ in range(GROUPS)]
    asked = [Request(image, Instruction("Find it.")) for image in images for _ in range(case.group)]
    inputs = TransformersReasoner(model, processor, max_new_tokens=case.completion).inputs(asked)
    lengths = {"first token": 1, "all": case.completion}

    def sample(count: int, *, once: bool) -> None:
        torch.manual_seed(0)
        with torch.inference_mode(), images_encoded_once(model), prompts_read_once(model) if once else nullcontext():
            model.generate(**inputs, do_sample=True, max_new_tokens=count, min_new_tokens=count)

    seconds = seconds_of(
        {
            f"{name}, {way}": lambda count=count, way=way: sample(count, once=way == "prompt once")
            for name, count in lengths.items()
            for way in ("prompt once", "each its own prompt")
        },
        1,
    )
    sampled = GROUPS * case.group * case.completion
    return {
        "prompts": GROUPS,
        "group": case.group,
        "prompt": int(inputs["input_ids"].shape[1]),
        "completion": case.completion,
        "first_token_seconds": {way: seconds[f"first token, {way}"] for way in ("prompt once", "each its own prompt")},
        "tokens_per_second": {way: sampled / seconds[f"all, {way}"] for way in ("prompt once", "each its own prompt")},
        "peak_gb": scale.peak(),
    }
