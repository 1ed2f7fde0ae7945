"""Which of some tensors are the same, without comparing each with each."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch


def distinct(tensors: Sequence[torch.Tensor], keys: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """Find equal ones.

    Args:
        tensors: any shapes.
        keys: one each; tensors are the same only where their keys are equal, too.

    Returns:
        The index of each different one's first appearance, in order, and for each tensor its place among those.
    """
    if not tensors:
        return [], []
    # Only to find candidates quickly; and not in float64, which GPUs by Apple do not have.
    sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in tensors]).tolist()
    alike: dict[Hashable, list[int]] = {}
    first: list[int] = []
    position: list[int] = []
    for index, (tensor, total, key) in enumerate(zip(tensors, sums, keys, strict=True)):
        candidates = alike.setdefault((total, key), [])
        found = next((place for place in candidates if torch.equal(tensors[first[place]], tensor)), None)
        if found is None:
            found = len(first)
            first.append(index)
            candidates.append(found)
        position.append(found)
    return first, position
