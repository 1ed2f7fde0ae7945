"""Models that each process makes whole, with weights or without, of which only the shapes are known then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def made_here() -> Iterator[None]:
    """While this is open, a process makes its models by itself, and whole.

    Under DeepSpeed's ZeRO 3 transformers spreads each model that it makes over the processes of the run, for which all
    of them have to make it.
    """
    from transformers.integrations import deepspeed

    reference = getattr(deepspeed, "_hf_deepspeed_config_weak_ref", None)
    spreading = None if reference is None else reference()
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if spreading is not None:
            deepspeed.set_hf_deepspeed_config(spreading)


@contextmanager
def without_weights() -> Iterator[None]:
    """While this is open, models are made on the meta device, and whole: without weights none can be spread."""
    import torch

    with made_here(), torch.device("meta"):
        yield
