"""A model that is in training, written as a folder that describes itself: what `final` and `best` are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from thinkseg.training.policy import Policy


def save_model(trainer: Any, policy: Policy, folder: Path) -> None:
    """Write a model that is in training as a folder that describes itself; its adapters stay adapters in memory.

    Args:
        trainer: TRL's.
        policy: what is trained.
        folder: it is made.
    """
    from peft import PeftModel

    model = trainer.accelerator.unwrap_model(trainer.model)
    if isinstance(model, PeftModel):
        if trainer.is_world_process_zero():
            model.get_base_model().save_pretrained(folder, state_dict=merged_weights(model))
            policy.reasoner.processor.save_pretrained(folder)
    else:
        trainer.save_model(str(folder))  # gathers what is spread over several devices
    if trainer.is_world_process_zero():
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that only the trainer reads
        policy.write_config(folder)


def merged_weights(model: Any) -> dict[str, torch.Tensor]:
    """The weights of a model with its adapters added, under the names that they have without adapters.

    The sum is the one of PEFT's `merge_and_unload`, which would change the model that goes on training.

    Args:
        model: of PEFT, with LoRA adapters.
    """
    base = model.get_base_model()
    layers = {name: layer for name, layer in base.named_modules() if hasattr(layer, "get_delta_weight")}
    merged: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for name, weight in base.state_dict().items():
            owner, inside, rest = name.rpartition(".base_layer.")
            if not inside:
                if not any(name.startswith(f"{layer}.") for layer in layers):
                    merged[name] = weight
                continue
            added = weight
            if rest == "weight":
                added = weight.clone()
                for adapter in layers[owner].active_adapters:
                    added += layers[owner].get_delta_weight(adapter)
            merged[f"{owner}.{rest}"] = added
    return merged
