"""Families of multimodal models: all that ThinkSeg has to know about models of one kind, in one object.

A family is known by the ``model_type`` of its ``config.json``, so a folder can have any name. `FAMILIES` is the table;
a family of your own needs no place in it: see `Family`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from PIL import Image

from thinkseg.errors import CheckpointError, InputError, ThinkSegError, reason_of
from thinkseg.extension import described, resolve
from thinkseg.models.frames import RULES, FrameRule, frame_by_rule
from thinkseg.types import Size


class Family:
    """What is true of all models of one kind, and the base of a family of your own.

    Every attribute and method has a sound default, for a model whose images are left to its processor. Say what
    differs, in a class of a file of yours, and name it as ``my_family.py:MyFamily`` wherever a family is named: with
    ``--family``, in `thinkseg.load`, as ``model.family`` of a recipe::

        from thinkseg.models.families import Family
        from thinkseg.types import Size

        class MyFamily(Family):
            '''Writes coordinates from 0 to 100, and is adapted in its attention alone.'''

            lora_targets = ".*language_model.*self_attn.*_proj"

            def frame_of(self, processor, size):
                return Size(100, 100)

    A family whose images come as a grid of patches, as Qwen's do, derives from `PatchGridFamily` instead. Objects of a
    family have no state: one serves every model.
    """

    frame_rule: FrameRule = FrameRule.RELATIVE_1000
    """How coordinates are measured, as far as `frame_of` goes by it."""

    vision_tokens: tuple[str, ...] = (
        "image_token_id",
        "video_token_id",
        "vision_start_token_id",
        "vision_end_token_id",
    )
    """Names under which the model's config or its processor has the tokens that stand for images."""

    image_token: str = "image_token_id"
    """Name under which the model's config has the token that stands for a piece of an image."""

    lora_targets: str = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
    """Regular expression over the names of the modules that get an adapter: the language model's projections."""

    vision_tower: str = r".*\b(visual|vision_tower|vision_model)\."
    """Regular expression that the names of the vision tower's weights begin with, the part that `freeze_vision` leaves
    as it is."""

    def frame_of(self, processor: Any, size: Size) -> Size:
        """The frame in which the model's text gives coordinates of an image.

        Args:
            processor: the model's, set up as for the model's input.
            size: the image's, in pixels.

        Returns:
            Width and height of the frame, in the units of the text; (1000, 1000) for coordinates relative to the image.

        Raises:
            ImageError: the processor refuses images of this shape (Qwen: an aspect ratio of 200 or more).
            CheckpointError: the rule needs a grid and the processor has none.
        """
        return frame_by_rule(self.frame_rule, processor, size)

    def vision_token_ids(self, config: Any, processor: Any) -> frozenset[int]:
        """Tokens that stand for images: one of them in a completion would break the next forward pass."""
        ids = {getattr(holder, name, None) for holder in (config, processor) for name in self.vision_tokens}
        return frozenset(token for token in ids if isinstance(token, int))

    def image_token_id(self, config: Any) -> int | None:
        """The token that stands for a piece of an image in a prompt; None where there is none."""
        token: int | None = getattr(config, self.image_token, None)
        return token

    def set_pixel_limits(self, processor: Any, min_pixels: int | None, max_pixels: int | None) -> None:
        """Make the processor resize images to between this many pixels in all (width × height), in place.

        Raises:
            InputError: the limits contradict each other, or this processor has no such limits.
        """
        if min_pixels is None and max_pixels is None:
            return
        images = processor.image_processor
        size = {key: value for key, value in dict(images.size or {}).items() if value is not None}
        merge = getattr(images, "merge_size", None)
        if set(size) != {"shortest_edge", "longest_edge"} or merge is None:
            raise InputError(
                f"min_pixels and max_pixels need a processor that resizes by pixel count (the Qwen families); "
                f"{type(images).__name__} has the sizes {size}"
            )
        # These two hold pixel counts in spite of their names.
        low = size["shortest_edge"] if min_pixels is None else min_pixels
        high = size["longest_edge"] if max_pixels is None else max_pixels
        smallest = (images.patch_size * merge) ** 2
        if not 0 < low <= high or high < smallest:
            raise InputError(
                f"an image's pixels must have 0 < min_pixels ≤ max_pixels and max_pixels ≥ {smallest} (one token), "
                f"found {low} and {high}"
            )
        images.size = {"shortest_edge": low, "longest_edge": high}

    def final_size(self, processor: Any, size: Size) -> Size | None:
        """The size that the processor resizes an image to, where it may be resized beforehand, which saves memory.

        Args:
            processor: the model's.
            size: the image's, in pixels.

        Returns:
            A size from which the processor, given the image resized by torchvision's antialiased bicubic filter, makes
            what it makes of the image itself; None where resizing has to be left to it.
        """
        return None

    def encoding_once(self, model: Any) -> AbstractContextManager[None]:
        """While this is open, the model encodes equal images of a batch once, if that can be done.

        Results and gradients stay the same. By default nothing is changed.
        """
        return nullcontext()


class PatchGridFamily(Family):
    """Families whose processor resizes an image to a whole number of patches, and says which grid: the Qwen line."""

    def final_size(self, processor: Any, size: Size) -> Size | None:
        """Patches in pixels, where resizing the resized image would leave it as it is."""
        if processor.image_processor.resample != Image.Resampling.BICUBIC:
            return None
        try:
            final = frame_by_rule(FrameRule.RESIZED_PIXELS, processor, size)
            again = frame_by_rule(FrameRule.RESIZED_PIXELS, processor, final)
        except InputError:
            return None
        # With tight limits a resized image can be resized once more (300×448 to 84×112 to 112×140).
        return final if again == final else None

    def encoding_once(self, model: Any) -> AbstractContextManager[None]:
        """Equal images have equal patches: each is encoded where it comes first."""
        from thinkseg.models.sharing.images import images_encoded_once

        return images_encoded_once(model)


class ResizedPixelsFamily(PatchGridFamily):
    """Qwen2.5-VL, which measures in pixels of the image that it sees."""

    frame_rule = FrameRule.RESIZED_PIXELS


class SquareImageFamily(Family):
    """FastVLM, which sees every image at one size: with relative coordinates, unless the checkpoint has a canvas."""

    def encoding_once(self, model: Any) -> AbstractContextManager[None]:
        """Equal images are equal tensors: each is encoded where it comes first."""
        from thinkseg.models.sharing.images import images_encoded_once

        return images_encoded_once(model)


class SmolVLMFamily(Family):
    """SmolVLM, which was not taught coordinates: relative ones are what ThinkSeg teaches it."""

    lora_targets = r".*text_model.*\.(q|k|v|o|gate|up|down)_proj"


FAMILIES: Mapping[str, Family] = {
    "qwen2_vl": PatchGridFamily(),
    "qwen2_5_vl": ResizedPixelsFamily(),
    "qwen3_vl": PatchGridFamily(),
    "qwen3_vl_moe": PatchGridFamily(),
    "qwen3_5": PatchGridFamily(),
    "qwen3_5_moe": PatchGridFamily(),
    "internvl": Family(),
    "fast_vlm": SquareImageFamily(),
    "smolvlm": SmolVLMFamily(),
}
"""Every family that is known, by the `model_type` of its config."""


def family_of(model_type: str, name: str | None = None, *, frame: FrameRule | None = None) -> Family:
    """The family of a model.

    Args:
        model_type: as in the model's `config.json`, e.g. ``"qwen2_5_vl"``.
        name: a name in `FAMILIES` or a reference to one of the user's own (``FILE.py:NAME``), where the model_type
            is not to decide.
        frame: the frame rule that the reasoner is to go by, if any; with it a model of an unknown kind can be used.

    Raises:
        InputError: there is no family of this name, or it breaks the contract of `Family`.
        CheckpointError: the kind of model is not in the table, and nothing says in which frame it writes.
    """
    if name is not None:
        return resolve(name, FAMILIES, "family of models", check_family)
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    if frame is None:
        raise CheckpointError(
            f"it is not known in which frame models of the kind {model_type!r} write coordinates (known: "
            f'{", ".join(FAMILIES)}); write "frame": {RULES} into the thinkseg.json of its folder, or name a family '
            "with --family: one of these, or FILE.py:NAME for one of your own"
        )
    return Family()


def check_family(value: Any, name: str) -> Family:
    """The family that a reference names, held against the contract.

    Args:
        value: what it names.
        name: the reference, for the sentence.

    Raises:
        InputError: it is no `Family`, or an attribute is of the wrong kind.
    """
    family = value
    if isinstance(value, type) and issubclass(value, Family):
        try:
            family = value()
        except TypeError as error:
            raise InputError(f"the family '{name}' should be made without arguments: {error}") from error
    if not isinstance(family, Family):
        raise InputError(
            f"expected a family of models at '{name}', a subclass of thinkseg.models.families.Family or an object of "
            f"one, found {described(value)}"
        )
    if not isinstance(family.frame_rule, FrameRule):
        raise InputError(
            f"'frame_rule' of the family '{name}' should be a FrameRule, found {described(family.frame_rule)}"
        )
    tokens = family.vision_tokens
    if not isinstance(tokens, tuple) or not all(isinstance(token, str) for token in tokens):
        raise InputError(f"'vision_tokens' of the family '{name}' should be a tuple of names, found {tokens!r}")
    for attribute in ("lora_targets", "vision_tower"):
        pattern = getattr(family, attribute)
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise InputError(
                f"'{attribute}' of the family '{name}' should be a regular expression, found {pattern!r}: {error}"
            ) from error
    _check_frame_of(family, name)
    return family


def _check_frame_of(family: Family, name: str) -> None:
    """See that `frame_of` can be called; what it gives is seen with the first image: `frame_by_family`."""
    try:
        inspect.signature(family.frame_of).bind(None, Size(1, 1))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"'frame_of' of the family '{name}' should be a function of (self, processor, size): {error}"
        ) from error


def frame_by_family(family: Family, processor: Any, size: Size) -> Size:
    """The frame that a family gives, whose code may be the user's own, held against the contract.

    Raises:
        InputError: `frame_of` fails, or gives something else than a size.
    """
    what = f"'frame_of' of the family '{type(family).__name__}'"
    try:
        frame: Any = family.frame_of(processor, size)
    except ThinkSegError:
        raise
    except Exception as error:
        if type(family).frame_of is Family.frame_of:
            raise
        raise InputError(f"{what} fails for an image of {size.width}×{size.height}: {reason_of(error)}") from error
    if not isinstance(frame, Size):
        raise InputError(
            f"{what} should give a thinkseg.types.Size, such as Size(1000, 1000), found {described(frame)}"
        )
    return frame
