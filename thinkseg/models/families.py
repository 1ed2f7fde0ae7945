"""The frame in which each family of multimodal models writes coordinates: the commonest source of wrong masks.

A model never sees the image itself: the processor resizes it first. Some families write coordinates relative to the
image (0 to 1000 along each side), others in pixels of what is left *after* that resizing, whose size follows from
the image's and from the processor's settings (768 becomes 756 where sides are multiples of 28). So nothing here
computes a frame from a wish: the grid is read back from the processor itself.

A family is known by the ``model_type`` of its ``config.json``, so a folder can have any name. To add one, add a row to
`FAMILIES`; for a model of your own, write ``"frame"`` into the ``thinkseg.json`` beside its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


FAMILIES: Mapping[str, FrameRule] = {
    "qwen2_vl": FrameRule.RELATIVE_1000,
    "qwen2_5_vl": FrameRule.RESIZED_PIXELS,
    "qwen3_vl": FrameRule.RELATIVE_1000,
    "qwen3_vl_moe": FrameRule.RELATIVE_1000,
    "qwen3_5": FrameRule.RELATIVE_1000,
    "qwen3_5_moe": FrameRule.RELATIVE_1000,
    "internvl": FrameRule.RELATIVE_1000,
    # SmolVLM was not taught coordinates: relative ones are what ThinkSeg teaches it.
    "smolvlm": FrameRule.RELATIVE_1000,
}

_RELATIVE_FRAME = Size(1000, 1000)


def frame_rule(model_type: str, override: str | None = None) -> FrameRule:
    """The frame rule of a family, by the `model_type` of its config.

    Args:
        model_type: as in `config.json`, e.g. ``"qwen2_5_vl"``.
        override: a rule's name from a flag or from `thinkseg.json`; wins over the table.

    Raises:
        InputError: the override is not the name of a rule.
        CheckpointError: the family is not in the table and there is no override.
    """
    names = " or ".join(repr(rule.value) for rule in FrameRule)
    if override is not None:
        try:
            return FrameRule(override)
        except ValueError:
            raise InputError(f"a frame rule is {names}, found {override!r}") from None
    if model_type not in FAMILIES:
        raise CheckpointError(
            f"it is not known in which frame models of the kind {model_type!r} write coordinates (known: "
            f'{", ".join(FAMILIES)}); write "frame": {names} into the thinkseg.json of its folder'
        )
    return FAMILIES[model_type]


def frame_of(rule: FrameRule, processor: Any, size: Size) -> Size:
    """The frame of an image of this size.

    Args:
        rule: the family's rule.
        processor: the model's processor, set up as for the model's input.
        size: the image's size in pixels.

    Raises:
        ImageError: the processor refuses images of this shape (Qwen: an aspect ratio of 200 or more).
        CheckpointError: the rule needs a grid and the processor has none.
    """
    if rule is FrameRule.RELATIVE_1000:
        return _RELATIVE_FRAME
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


def set_pixel_limits(processor: Any, min_pixels: int | None, max_pixels: int | None) -> None:
    """Make the processor resize images to between this many pixels in all (width × height), in place.

    Raises:
        InputError: the limits contradict each other, or this processor has no such limits.
    """
    if min_pixels is None and max_pixels is None:
        return
    image_processor = processor.image_processor
    size = {key: value for key, value in dict(image_processor.size or {}).items() if value is not None}
    if set(size) != {"shortest_edge", "longest_edge"} or not hasattr(image_processor, "merge_size"):
        raise InputError(
            f"min_pixels and max_pixels need a processor that resizes by pixel count (the Qwen families); "
            f"{type(image_processor).__name__} has the sizes {size}"
        )
    # These two hold pixel counts in spite of their names.
    low = size["shortest_edge"] if min_pixels is None else min_pixels
    high = size["longest_edge"] if max_pixels is None else max_pixels
    smallest = (image_processor.patch_size * image_processor.merge_size) ** 2
    if not 0 < low <= high or high < smallest:
        raise InputError(
            f"an image's pixels must have 0 < min_pixels ≤ max_pixels and max_pixels ≥ {smallest} (one token), "
            f"found {low} and {high}"
        )
    image_processor.size = {"shortest_edge": low, "longest_edge": high}
