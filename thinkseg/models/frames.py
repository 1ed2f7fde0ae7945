"""Frames of coordinates: the commonest source of wrong masks.

A model never sees the image itself: the processor resizes it first. Some families write coordinates relative to the
image (0 to 1000 along each side), others in pixels of what is left *after* that resizing, whose size follows from
the image's and from the processor's settings (768 becomes 756 where sides are multiples of 28). So nothing here
computes a frame from a wish: the grid is read back from the processor itself. Only a model that was taught in pixels of
the square that it was handed, whatever became of it, is read in that square.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from PIL import Image

from thinkseg.errors import CheckpointError, ImageError, InputError
from thinkseg.types import Size


class FrameRule(StrEnum):
    """How a family's coordinates are measured."""

    RELATIVE_1000 = "relative-1000"
    """0…1000 along each side of the image, whatever its shape."""
    RESIZED_PIXELS = "resized-pixels"
    """Pixels of the image after the processor has resized it, read back from its `image_grid_thw`."""
    CANVAS = "canvas"
    """Pixels of the square that is handed to the processor, whatever the processor makes of it: Seg-R1's rewards and
    evaluations measure so, in 768 or 1,024, while their processor sees 756 or 1,036."""


RULES = ", ".join(repr(rule.value) for rule in list(FrameRule)[:-1]) + f" or {list(FrameRule)[-1].value!r}"
"""Their names, for sentences."""

_RELATIVE_FRAME = Size(1000, 1000)


def frame_rule(name: str) -> FrameRule:
    """The frame rule of this name, from a flag or from a `thinkseg.json`.

    Raises:
        InputError: there is none.
    """
    try:
        return FrameRule(name)
    except ValueError:
        raise InputError(f"a frame rule is {RULES}, found {name!r}") from None


def refuse_without_canvas(rule: FrameRule | None, canvas: int | None) -> None:
    """Refuse to measure in a square that there is not.

    Raises:
        InputError: the rule is `canvas`, and no image is stretched to one.
    """
    if rule is FrameRule.CANVAS and canvas is None:
        raise InputError(
            f"the frame rule {rule.value!r} measures in the square that images are stretched to, and there is none: "
            "give its pixels a side as 'canvas' too, such as 768"
        )


def frame_by_rule(rule: FrameRule, processor: Any, size: Size) -> Size:
    """The frame of an image of this size.

    Args:
        rule: how the model measures.
        processor: the model's processor, set up as for the model's input.
        size: in pixels, of the image that is handed to the processor: the canvas where there is one.

    Raises:
        ImageError: the processor refuses images of this shape (Qwen: an aspect ratio of 200 or more).
        CheckpointError: the rule needs a grid and the processor has none.
    """
    if rule is FrameRule.RELATIVE_1000:
        return _RELATIVE_FRAME
    if rule is FrameRule.CANVAS:
        return size
    grid = _grid_thw(processor.image_processor, size)
    if grid is None:
        raise CheckpointError(
            f"the frame rule {rule.value!r} needs a processor that returns image_grid_thw, and "
            f"{type(processor.image_processor).__name__} does not; use {FrameRule.RELATIVE_1000.value!r}"
        )
    return frame_of_grid(processor, grid)


def frame_of_grid(processor: Any, grid_thw: Sequence[int]) -> Size:
    """The size of the resized image: its grid of patches (time, height, width) times the processor's patch size."""
    patch = int(processor.image_processor.patch_size)
    _, rows, columns = grid_thw
    return Size(int(columns) * patch, int(rows) * patch)


def _grid_thw(image_processor: Any, size: Size) -> list[int] | None:
    """The grid (time, height, width) that the image processor makes of an image of this size, or None."""
    import torch

    # The real processor runs, so the answer cannot disagree with what the model gets to see; on the meta device a
    # tensor is a shape without pixels, so that a photograph of 12 megapixels costs milliseconds and not a second.
    image: Any = torch.empty((3, size.height, size.width), dtype=torch.uint8, device="meta")
    try:
        try:
            features = image_processor(images=[image], return_tensors="pt")
        except (NotImplementedError, RuntimeError, TypeError):
            # Processors that work with PIL or NumPy cannot take a tensor without pixels.
            features = image_processor(images=[Image.new("RGB", size.wh)], return_tensors="pt")
    except ValueError as error:
        raise ImageError(f"the model's processor refuses an image of {size.width}×{size.height}: {error}") from error
    if "image_grid_thw" not in features:
        return None
    grid: list[int] = features["image_grid_thw"][0].tolist()
    return grid
