"""What a served model gets to see: the size at which an image is sent, so that its coordinates are in a known frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from thinkseg.errors import CheckpointError
from thinkseg.models.canvas import Canvas
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.frames import FrameRule, frame_rule, refuse_without_canvas
from thinkseg.models.reasoner import TransformersReasoner, canvas_of, opened_thinking
from thinkseg.models.resizing import ImageResizer
from thinkseg.types import Instruction, Size

GREEDY = {"temperature": 0.0, "top_p": 1.0}


@runtime_checkable
class Sight(Protocol):
    """How images and prompts reach a model, as far as that is known here."""

    def frame_of(self, image: Image.Image) -> Size:
        """The frame of an image's coordinates."""
        ...

    def shown(self, image: Image.Image) -> Image.Image:
        """The image as it is sent."""
        ...

    def opened(self, instruction: Instruction) -> str:
        """Thinking that the chat template opens for the model. Refuses a query with control tokens in it."""
        ...

    def tokens_of(self, shown: Image.Image, instruction: Instruction) -> int | None:
        """Of how many tokens the prompt has to be, if the frame depends on it."""
        ...

    def decoding(self) -> dict[str, Any]:
        """How text is drawn: ``temperature``, ``top_p`` and what else the checkpoint's settings say."""
        ...

    def never_written(self) -> frozenset[int]:
        """Tokens that no completion has."""
        ...

    def asked_as(self, config: CheckpointConfig) -> Sight:
        """The same by other settings."""
        ...


class ProcessorSight:
    """By the checkpoint's own processor, which is at hand.

    Args:
        reasoner: one without weights, as `describe_reasoner` gives it.
    """

    def __init__(self, reasoner: TransformersReasoner) -> None:
        self.reasoner = reasoner
        self._resizer = ImageResizer(reasoner)

    def frame_of(self, image: Image.Image) -> Size:
        """As the processor makes it."""
        return self.reasoner.frame_of(image)

    def shown(self, image: Image.Image) -> Image.Image:
        """At the size that the processor brings it to, where another one leaves it then."""
        return self._resizer.resize(image)

    def opened(self, instruction: Instruction) -> str:
        """By the checkpoint's chat template."""
        return opened_thinking(self.reasoner.prompt(instruction))

    def tokens_of(self, shown: Image.Image, instruction: Instruction) -> int | None:
        """As the processor counts, where coordinates are pixels of what it makes of an image."""
        rule = self.reasoner.family.frame_rule if self.reasoner.rule is None else self.reasoner.rule
        if rule is not FrameRule.RESIZED_PIXELS:
            return None
        prompt = self.reasoner.prompt(instruction)
        return len(self.reasoner.processor(images=[[shown]], text=[prompt])["input_ids"][0])

    def decoding(self) -> dict[str, Any]:
        """As the checkpoint's settings say, in the words of servers."""
        return sampling_of(self.reasoner.own_decoding())

    def never_written(self) -> frozenset[int]:
        """Tokens that stand for images."""
        return self.reasoner.vision_token_ids

    def asked_as(self, config: CheckpointConfig) -> ProcessorSight:
        """The same processor, by other settings."""
        return ProcessorSight(self.reasoner.asked_as(config))


def sampling_of(decoding: dict[str, Any]) -> dict[str, Any]:
    """What transformers' `generate` is told, in the words of vLLM and of servers."""
    penalty = {"repetition_penalty": float(decoding["repetition_penalty"])}
    if not decoding["do_sample"]:
        return GREEDY | {"top_k": -1} | penalty
    return {
        "temperature": float(decoding["temperature"]),
        "top_p": float(decoding["top_p"]),
        "top_k": int(decoding["top_k"]) or -1,
        "seed": 0,
    } | penalty


@dataclass(frozen=True)
class RuleSight:
    """By a rule that needs no processor: coordinates are relative, or pixels of a square that is sent."""

    rule: FrameRule
    canvas: Canvas | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None

    @classmethod
    def of(cls, config: CheckpointConfig, model: str) -> RuleSight:
        """By what a caller says.

        Raises:
            CheckpointError: nothing says in which frame the model writes, or how its own settings decode.
        """
        rule = None if config.frame is None else frame_rule(config.frame)
        if rule is None or rule is FrameRule.RESIZED_PIXELS:
            raise CheckpointError(
                f"no checkpoint '{model}' is at hand, so nothing says in which frame it writes coordinates: name its "
                "folder or hub id with --model, or say --frame relative-1000, or --frame canvas with --canvas PX"
            )
        refuse_without_canvas(rule, config.canvas)
        if config.decoding not in (None, "greedy"):
            raise CheckpointError(
                f"no checkpoint '{model}' is at hand, so nothing says how it is decoded '{config.decoding}': name its "
                "folder or hub id with --model, or leave out --decoding"
            )
        return cls(rule, canvas_of(config), config.min_pixels, config.max_pixels)

    def frame_of(self, image: Image.Image) -> Size:
        """1000 × 1000, or the square."""
        if self.rule is FrameRule.CANVAS and self.canvas is not None:
            return self.canvas.size
        return Size(1000, 1000)

    def shown(self, image: Image.Image) -> Image.Image:
        """Stretched to the square, if there is one, or brought between the limits of pixels, its shape kept."""
        if self.canvas is not None:
            return self.canvas.stretch(image)
        pixels = image.width * image.height
        wanted = min(max(pixels, self.min_pixels or 0), self.max_pixels or max(pixels, self.min_pixels or 0))
        if wanted == pixels:
            return image
        scale, rounded = math.sqrt(wanted / pixels), math.floor if wanted < pixels else math.ceil
        size = (max(1, rounded(image.width * scale)), max(1, rounded(image.height * scale)))
        return image.resize(size, Image.Resampling.BICUBIC)

    def opened(self, instruction: Instruction) -> str:
        """Not known; nothing."""
        return ""

    def tokens_of(self, shown: Image.Image, instruction: Instruction) -> int | None:
        """Not known, and of no account."""
        return None

    def decoding(self) -> dict[str, Any]:
        """Greedy."""
        return dict(GREEDY)

    def never_written(self) -> frozenset[int]:
        """Not known; none."""
        return frozenset()

    def asked_as(self, config: CheckpointConfig) -> RuleSight:
        """By other settings, the limits of pixels kept."""
        return replace(self.of(config, "of this pipeline"), min_pixels=self.min_pixels, max_pixels=self.max_pixels)
