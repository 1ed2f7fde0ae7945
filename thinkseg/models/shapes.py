"""Models without their weights, of which only the shapes are known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_weights() -> Iterator[None]:
    """While this is open, models are made on the meta device, and whole.

    Under DeepSpeed's ZeRO 3 transformers spreads each model that it makes over the processes of the run, and fills it,
    which a model without weights cannot be.
    """
    import torch
    from transformers.integrations import deepspeed

    reference = getattr(deepspeed, "_hf_deepspeed_config_weak_ref", None)
    spreading = None if reference is None else reference()
    deepspeed.unset_hf_deepspeed_config()
    try:
        with torch.device("meta"):
            yield
    finally:
        if spreading is not None:
            deepspeed.set_hf_deepspeed_config(spreading)
