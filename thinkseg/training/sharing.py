"""Encode a picture once, however many rows of a batch show it.

The completions of a group are about the same picture, and transformers would run the vision tower for each of them. For
8 completions a prompt that is most of the tower's work done eight times, forward and backward, in the rollout too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def pictures_encoded_once(model: Any) -> Iterator[None]:
    """While this is open, the model encodes equal pictures of a batch once; results and gradients stay the same.

    Args:
        model: of `AutoModelForImageTextToText`. A family whose pictures do not come with a grid is left as it is.
    """
    core: Any = getattr(model, "model", None)
    encode = getattr(core, "get_image_features", None)
    if encode is None or not hasattr(getattr(core, "visual", None), "spatial_merge_size"):
        yield
        return

    def encode_distinct(pixel_values: Any, image_grid_thw: Any = None, **options: Any) -> Any:
        pictures = torch.split(pixel_values, image_grid_thw.prod(-1).tolist())
        first, position = _distinct(pictures, image_grid_thw.tolist())
        if len(first) == len(pictures):
            return encode(pixel_values, image_grid_thw, **options)
        output = encode(torch.cat([pictures[index] for index in first]), image_grid_thw[first], **options)
        tokens = [len(picture) for picture in output.pooler_output]
        output.pooler_output = _spread(output.pooler_output, tokens, position)
        levels = getattr(output, "deepstack_features", None)
        if levels is not None:
            output.deepstack_features = [_spread(level, tokens, position) for level in levels]
        return output

    core.get_image_features = encode_distinct
    try:
        yield
    finally:
        del core.get_image_features


def _spread(features: Any, tokens: Sequence[int], position: Sequence[int]) -> Any:
    """Features of the distinct pictures, one after another or in a tuple, spread over all pictures in the same form."""
    if isinstance(features, torch.Tensor):
        pieces = torch.split(features, list(tokens))
        return torch.cat([pieces[index] for index in position])
    return tuple(features[index] for index in position)


def _distinct(pictures: Sequence[torch.Tensor], grids: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """The index of each different picture's first appearance, and for each picture its place among those."""
    sums = torch.stack([picture.sum(dtype=torch.float64) for picture in pictures]).tolist()
    alike: dict[tuple[float, ...], list[int]] = {}
    first: list[int] = []
    position: list[int] = []
    for index, (picture, total, grid) in enumerate(zip(pictures, sums, grids, strict=True)):
        candidates = alike.setdefault((total, *grid), [])
        found = next((place for place in candidates if torch.equal(pictures[first[place]], picture)), None)
        if found is None:
            found = len(first)
            first.append(index)
            candidates.append(found)
        position.append(found)
    return first, position
