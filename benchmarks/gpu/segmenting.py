"""The segmenter on one card: images and prompts a second, in float32 and bfloat16, and what compiling it brings."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import torch
from measuring import seconds_of
from PIL import Image

from benchmarks.gpu.scale import Scale
from thinkseg.models.base import segment_images
from thinkseg.models.checkpoint_config import EncoderKind
from thinkseg.models.encoders import COMPILER, encoder_of
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.types import Answer, Box, ObjectPrompt, Size

HALF: EncoderKind = "bfloat16"
KINDS: tuple[EncoderKind, ...] = ("float32", HALF)
COMPILED: dict[EncoderKind, EncoderKind] = {"float32": "compiled", HALF: "compiled bfloat16"}


def segmenter(scale: Scale) -> dict[str, Any]:
    """Encoding alone, decoding alone, and both as a step of training does them."""
    made = PromptableSegmenter(*scale.segmenter())
    pixels = _pixels(made, scale)
    batch = pixels[: made.batch]
    half = encoder_of(made.model, HALF)
    with torch.inference_mode():
        encodings = {kind: made.model.get_image_embeddings(batch[:1]) for kind in ("float32",)}
        boxes = torch.tensor([[[0.0, 0.0, 0.5 * pixels.shape[-1], 0.5 * pixels.shape[-1]]] * made.chunk])
        boxes = boxes.to(made.device)

        def decode() -> None:
            made.model(image_embeddings=encodings["float32"], input_boxes=boxes, multimask_output=False)

        seconds = seconds_of(
            {
                "encoding, float32": lambda: made.model.get_image_embeddings(batch),
                f"encoding, {HALF}": lambda: half(batch),
                "decoding, float32": decode,
                "whole": lambda: segment_images(made, _asked(scale)),
            },
            scale.repeats,
        )
        close = _agreement(made, batch[:1], boxes)
    masks = scale.images * scale.prompts
    return {
        "side": int(pixels.shape[-1]),
        "batch": len(batch),
        "chunk": made.chunk,
        "images_per_second": {
            "float32": len(batch) / seconds["encoding, float32"],
            HALF: len(batch) / seconds[f"encoding, {HALF}"],
        },
        "prompts_per_second": made.chunk / seconds["decoding, float32"],
        "whole": {
            "images": scale.images,
            "prompts": masks,
            "seconds": seconds["whole"],
            "masks_per_second": masks / seconds["whole"],
        },
        "pixels_that_differ_in_bfloat16": close,
        "peak_gb": scale.peak(),
    }


def compiled(scale: Scale) -> dict[str, Any]:
    """Encoding with `torch.compile` and without, in both precisions."""
    made = PromptableSegmenter(*scale.segmenter())
    batch = _pixels(made, scale)[: made.batch]
    backend = "eager" if scale.small else COMPILER  # the first traces and compiles nothing
    rates, compiling = {}, {}
    for kind in KINDS:
        plain, faster = encoder_of(made.model, kind), encoder_of(made.model, COMPILED[kind], backend)
        with torch.inference_mode():
            began = time.perf_counter()
            faster(batch)
            scale.settle()
            compiling[kind] = time.perf_counter() - began
            seconds = seconds_of({"plain": partial(plain, batch), "compiled": partial(faster, batch)}, scale.repeats)
        rates[kind] = {way: len(batch) / spent for way, spent in seconds.items()}
    return {"backend": backend, "batch": len(batch), "images_per_second": rates, "compiling_seconds": compiling}


def _agreement(made: PromptableSegmenter, image: torch.Tensor, boxes: torch.Tensor) -> float:
    """Share of a mask's pixels, at the model's resolution, that an encoder in bfloat16 changes."""
    logits = []
    for kind in KINDS:
        levels = encoder_of(made.model, kind)(image)
        logits.append(made.model(image_embeddings=levels, input_boxes=boxes, multimask_output=False).pred_masks)
    return float(((logits[0] > 0) != (logits[1] > 0)).float().mean())


def _images(scale: Scale) -> list[Image.Image]:
    draw = np.random.default_rng(0)
    shape = (scale.pixels, scale.pixels, 3)
    return [Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)) for _ in range(scale.images)]


def _pixels(made: PromptableSegmenter, scale: Scale) -> torch.Tensor:
    """Images as the model takes them, on its device."""
    inputs = made.processor(images=_images(scale), return_tensors="pt")
    pixels: torch.Tensor = inputs["pixel_values"].to(made.device)
    return pixels


def _asked(scale: Scale) -> list[tuple[Image.Image, list[Answer]]]:
    """Boxes about each image, all of them different."""
    side = scale.pixels
    draw = np.random.default_rng(1)

    def answer() -> Answer:
        low, high = draw.uniform(0, side / 2, 2), draw.uniform(side / 2 + 1, side, 2)
        return Answer(Size(side, side), (ObjectPrompt(Box(*(float(value) for value in (*low, *high)))),))

    return [(image, [answer() for _ in range(scale.prompts)]) for image in _images(scale)]
