"""Weights that lie spread over the processes of a run, whole for a moment: those of FSDP 2 and of DeepSpeed's ZeRO 3.

Both make them whole only where all processes ask for the same ones in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from types import SimpleNamespace
from typing import Any

import torch


def is_spread(module: torch.nn.Module, *, recurse: bool = True) -> bool:
    """Whether a weight of a module is not whole in this process.

    Args:
        module: of a model that trains.
        recurse: whether the weights of its parts count, too.
    """
    return any(_is_zero(weight) or _is_dtensor(weight) for weight in module.parameters(recurse=recurse))


def add_up_head(model: Any) -> None:
    """Let gradients of a head that FSDP 2 has spread be averaged over processes, as those of all other weights are.

    TRL's fused head takes the head's weight as a whole tensor, past FSDP. Its gradient then comes back as if it were
    the same in all processes, so that each keeps its part of what its own rows say.

    Args:
        model: of transformers, with TRL's fused head; one whose head is not spread computes as before.
    """
    forward = model.forward

    @wraps(forward)
    def with_whole_head(*args: Any, **options: Any) -> Any:
        if not options.get("fused_lm_head"):
            return forward(*args, **options)
        with _head_made_whole(model):
            return forward(*args, **options)

    model.forward = with_whole_head


@contextmanager
def _head_made_whole(model: Any) -> Iterator[None]:
    head = model.get_output_embeddings()
    if not _is_dtensor(head.weight):
        yield
        return
    model.get_output_embeddings = lambda: SimpleNamespace(weight=_averaged(head.weight), bias=_averaged(head.bias))
    try:
        yield
    finally:
        del model.get_output_embeddings


def _averaged(weight: Any) -> Any:
    """A spread weight as a whole, whose gradient is the mean of those that processes find."""
    from torch.distributed.tensor import Partial

    return None if weight is None else weight.full_tensor(grad_placements=[Partial("avg")] * weight.device_mesh.ndim)


@contextmanager
def made_whole(module: torch.nn.Module, *, recurse: bool = True) -> Iterator[None]:
    """While this is open, the weights of a module are whole in every process. All processes have to open it.

    What is changed in the meantime is lost.

    Args:
        module: of a model that trains.
        recurse: whether the weights of its parts are made whole, too.
    """
    spread: list[tuple[torch.nn.Module, str, Any]] = []
    with _gathered([weight for weight in module.parameters(recurse=recurse) if _is_zero(weight)]):
        for owner in module.modules() if recurse else (module,):
            for name, weight in list(owner._parameters.items()):
                if _is_dtensor(weight):
                    spread.append((owner, name, weight))
        whole = {id(weight): weight.full_tensor() for _, _, weight in spread}  # each once, also where it is tied
        try:
            for owner, name, weight in spread:
                owner._parameters[name] = torch.nn.Parameter(whole[id(weight)], requires_grad=False)
            yield
        finally:
            for owner, name, weight in spread:
                owner._parameters[name] = weight


def _gathered(weights: list[Any]) -> AbstractContextManager[None]:
    if not weights:
        return nullcontext()
    from deepspeed.zero import GatheredParameters

    gathered: AbstractContextManager[None] = GatheredParameters(weights)
    return gathered


def _is_zero(weight: Any) -> bool:
    """Whether ZeRO 3 has spread it, which names such weights so."""
    return hasattr(weight, "ds_id")


def _is_dtensor(weight: Any) -> bool:
    return hasattr(weight, "full_tensor")
