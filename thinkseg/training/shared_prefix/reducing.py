"""Gradients that PyTorch's DDP adds up over processes, of a pass whose forward pass could not say so.

DDP is told in a forward pass whether the backward pass behind it adds up; `no_sync` says no for every micro-batch of a
step but its last one. A pass of several micro-batches goes forward with the first of them and back with the last one,
so that it has to be said in between. There is no public way: Accelerate's `trigger_sync_in_backward` goes by the same
method of the reducer, but does not tell it which outputs there are, which it needs to find weights without a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

SEAM_OF_DDP = ("reducer", "prepare_for_backward")
"""What of `DistributedDataParallel` this goes by: an attribute, and a method of what it holds."""


def moved_reducer(model: Any) -> str | None:
    """What of the parts of DDP that this goes by is not as it was; None if nothing, or if a model is not of DDP's.

    Args:
        model: as it is called.
    """
    attribute, method = SEAM_OF_DDP
    if not isinstance(model, DistributedDataParallel):
        return None
    reducer = getattr(model, attribute, None)
    if reducer is None:
        return f"there is no '{attribute}'"
    return None if callable(getattr(reducer, method, None)) else f"there is no '{attribute}.{method}'"


def add_up_next(model: Any, outputs: Sequence[torch.Tensor]) -> None:
    """Let DDP add up the gradients of the backward pass that comes now; nothing where a model is not of DDP's.

    Args:
        model: as it is called; `moved_reducer` has found nothing.
        outputs: where the backward pass begins.
    """
    if isinstance(model, DistributedDataParallel):
        model.reducer.prepare_for_backward(list(outputs))
