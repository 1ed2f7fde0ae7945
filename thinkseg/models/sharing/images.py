"""Encode an image once, however many rows of a batch show it.

The completions of a group are about the same image, and transformers would run the vision tower for each of them. For
8 completions a prompt that is most of the tower's work done eight times, forward and backward, in the rollout too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from thinkseg.models.layout import channels_last
from thinkseg.models.sharing.distinct import distinct


@contextmanager
def images_encoded_once(model: Any) -> Iterator[None]:
    """While this is open, the model encodes equal images of a batch once; results and gradients stay the same.

    Args:
        model: of `AutoModelForImageTextToText`, of a family whose images come with a grid of patches, or as one square
            each.
    """
    core: Any = model.model
    encode = core.get_image_features

    def encode_distinct(pixel_values: Any, image_grid_thw: Any = None, **options: Any) -> Any:
        if image_grid_thw is None:
            return _encode_squares(encode, pixel_values, **options)
        images = torch.split(pixel_values, image_grid_thw.prod(-1).tolist())
        first, position = distinct(images, [tuple(grid) for grid in image_grid_thw.tolist()])
        if len(first) == len(images):
            return encode(pixel_values, image_grid_thw, **options)
        output = encode(torch.cat([images[index] for index in first]), image_grid_thw[first], **options)
        tokens = [len(image) for image in output.pooler_output]
        output.pooler_output = _spread(output.pooler_output, tokens, position)
        if "deepstack_features" in output:  # what the tower's early layers see, of Qwen3-VL
            output.deepstack_features = [_spread(level, tokens, position) for level in output.deepstack_features]
        return output

    outer = vars(core).get("get_image_features")  # of training, while a validation asks the same model
    core.get_image_features = encode_distinct
    try:
        yield
    finally:
        if outer is None:
            del core.get_image_features
        else:
            core.get_image_features = outer


def _encode_squares(encode: Callable[..., Any], pixel_values: torch.Tensor, **options: Any) -> Any:
    """Images of one size (images, channels, height, width); the output has a row for each of them."""
    first, position = distinct(pixel_values.unbind(), [None] * len(pixel_values))
    if len(first) == len(pixel_values):
        return encode(pixel_values=channels_last(pixel_values), **options)
    output = encode(pixel_values=channels_last(pixel_values[first]), **options)
    output.pooler_output = output.pooler_output[position]
    return output


def _spread(features: Any, tokens: Sequence[int], position: Sequence[int]) -> Any:
    """Features of the distinct images, one after another or in a tuple, spread over all images in the same form."""
    if isinstance(features, torch.Tensor):
        pieces = torch.split(features, list(tokens))
        return torch.cat([pieces[index] for index in position])
    return tuple(features[index] for index in position)
