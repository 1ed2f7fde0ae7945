"""A model that is in training, written as a folder that describes itself: what `final` and `best` are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from thinkseg.models.loading import explained, load_weights
from thinkseg.models.merging import merge
from thinkseg.models.shapes import made_here
from thinkseg.training.checkpoints import saving_explained
from thinkseg.training.config import Recipe
from thinkseg.training.policy import Policy
from thinkseg.training.spread import is_spread, made_whole

FINAL = "final"
"""The folder of the trained model, inside the run's."""
_TRAINED, _MIXED = ".final.trained", ".final.mixed"
"""The folders of the trained model and of its mean with the start, until the latter is whole."""


def save_final(trainer: Any, policy: Policy, recipe: Recipe) -> Path:
    """Write the trained model, adapters merged and the start's share mixed in, as a folder that describes itself."""
    final, trained, mixed = (recipe.output / name for name in (FINAL, _TRAINED, _MIXED))
    with saving_explained(recipe.output, "the trained model"):
        if trainer.is_world_process_zero():
            for left in (trained, mixed):  # of a run that was killed here
                shutil.rmtree(left, ignore_errors=True)
        if not recipe.start_share:
            save_model(trainer, policy, final)
            return final
        save_model(trainer, policy, trained)
        if trainer.is_world_process_zero():
            with made_here():
                merge(trained, mixed, base=recipe.model.path, start_share=recipe.start_share)
            if final.is_symlink():
                final.unlink()
            shutil.rmtree(final, ignore_errors=True)
            mixed.rename(final)
            shutil.rmtree(trained)
        trainer.accelerator.wait_for_everyone()
    return final


def save_model(trainer: Any, policy: Policy, folder: Path) -> None:
    """Write a model that is in training as a folder that describes itself; its adapters stay adapters in memory.

    All processes of the run call it, since each may hold a part of the weights.

    Args:
        trainer: TRL's.
        policy: what is trained.
        folder: it is made.
    """
    from peft import PeftModel

    model = trainer.accelerator.unwrap_model(trainer.model)
    if isinstance(model, PeftModel) and getattr(model.get_base_model(), "is_loaded_in_4bit", False):
        if trainer.is_world_process_zero():
            plain_model(model).save_pretrained(folder)
            policy.reasoner.processor.save_pretrained(folder)
    elif isinstance(model, PeftModel):
        merged = merged_weights(model, keep=trainer.is_world_process_zero())
        if trainer.is_world_process_zero():
            model.get_base_model().save_pretrained(folder, state_dict=merged)
            policy.reasoner.processor.save_pretrained(folder)
    else:
        trainer.save_model(str(folder))  # gathers what is spread over several devices
    if trainer.is_world_process_zero():
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that only the trainer reads
        policy.write_config(folder)


def merged_weights(model: Any, keep: bool = True) -> dict[str, torch.Tensor]:
    """The weights of a model with its adapters added, under the names that they have without adapters.

    The sum is the one of PEFT's `merge_and_unload`, which would change the model that goes on training. What is spread
    over several processes is made whole layer by layer, for which all of them have to call this, and is handed out on
    the CPU.

    Args:
        model: of PEFT, with LoRA adapters.
        keep: false in a process that only takes part; it gets nothing.
    """
    base = model.get_base_model()
    merged: dict[str, torch.Tensor] = {}
    names: dict[int, str] = {}  # of weights that several layers share, and that are one in the files
    adapted = ""
    with torch.no_grad():
        for name, module in base.named_modules():
            if adapted and name.startswith(adapted):
                continue  # the parts of a layer that has been added up
            has_adapter = hasattr(module, "get_delta_weight")
            adapted = f"{name}." if has_adapter else ""
            to_cpu = is_spread(module, recurse=has_adapter)
            place = f"{name}." if name else ""
            shared = {place + key: names.setdefault(id(weight), place + key) for key, weight in _parameters(module)}
            with made_whole(module, recurse=has_adapter):
                weights = _added_up(module) if has_adapter else _own(module)
                if keep:
                    merged |= {place + key: value.cpu() if to_cpu else value for key, value in weights.items()}
                    merged |= {key: merged[first] for key, first in shared.items() if key in merged}
    return merged


def plain_model(model: Any) -> Any:
    """A model in 4 bits as one without them: the weights of its files, in the dtype it computes in, adapters added.

    The sum is formed in float32 and rounded once. What was lost by rounding to 4 bits, and what the adapters may have
    learnt to make up for, is not added.

    Args:
        model: of PEFT, with LoRA adapters on layers in 4 bits.
    """
    base = model.get_base_model()
    source = base.config.name_or_path
    with explained(source):
        plain = load_weights(type(base), source, dtype=base.dtype)
    with torch.no_grad():
        for name, layer in base.named_modules():
            if not hasattr(layer, "get_delta_weight"):
                continue
            weight = plain.get_submodule(name).weight
            added = weight.float()
            for adapter in layer.active_adapters:
                added = added + layer.get_delta_weight(adapter).float().to(weight.device)
            weight.copy_(added)
    plain.generation_config = base.generation_config
    return plain


def _parameters(module: Any) -> list[tuple[str, Any]]:
    """The weights that a module itself has, by name."""
    return [(name, weight) for name, weight in module._parameters.items() if weight is not None]


def _added_up(layer: Any) -> dict[str, torch.Tensor]:
    """What a layer with adapters has as one without, the adapters' weights added."""
    weights = _own(layer.get_base_layer())
    added = weights["weight"].clone()
    for adapter in layer.active_adapters:
        added += layer.get_delta_weight(adapter)
    return weights | {"weight": added}


def _own(module: Any) -> dict[str, torch.Tensor]:
    """What a module itself has of the state of its model, without that of its parts."""
    kept = {name: value for name, value in module._buffers.items() if name not in module._non_persistent_buffers_set}
    return {name: value.detach() for name, value in {**module._parameters, **kept}.items() if value is not None}
