"""LoRA adapters in PEFT's form: ``adapter_config.json`` and ``adapter_model.safetensors``, to be added to a base."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from thinkseg.errors import CheckpointError
from thinkseg.models import loading
from thinkseg.models.shards.reading import read_torch_file

Tensors = dict[str, torch.Tensor]

CONFIG = "adapter_config.json"

_VERL = "lora_adapter"
"""veRL's folder of an adapter; the shards around it hold the base as well, under names that no model has."""

_Sums = dict[str, tuple[float, float]]

_OLDER = (
    (re.compile(r"(base_model\.model\.)model\.(?!visual|language_model)"), r"\1model.language_model."),
    (re.compile(r"(base_model\.model\.)visual\."), r"\1model.visual."),
)
"""Where the Qwen families had their parts in older releases, and where they have them."""


def adapter_folder(folder: Path) -> Path | None:
    """The folder itself if it holds an adapter, or the one in which veRL puts an adapter beside its shards."""
    near = (folder, folder / _VERL, folder / "actor" / _VERL)
    return next((place for place in near if (place / CONFIG).is_file()), None)


def base_of(folder: Path) -> str:
    """The model that an adapter says it adapts.

    Raises:
        CheckpointError: it says none, or a folder that is not there; or it would add nothing to any.
    """
    config = _config(folder)
    _refuse_scale_of_zero(folder, config)
    name = config.base_model_name_or_path
    if not name:
        raise CheckpointError(f"the adapter in '{folder}' does not say which model it adapts: say it with --base")
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise CheckpointError(f"the adapter in '{folder}' adapts '{name}', which is not there: say with --base where")
    return str(name)


def read_adapted(folder: Path, base: str, dtype: Any = None) -> Any:
    """The base with the adapter merged into its weights.

    The sum is formed in float32 and rounded once.

    Args:
        folder: the adapter's.
        base: folder or hub id of the model that it adapts.
        dtype: of the merged weights; None for the base's own.

    Raises:
        CheckpointError: the adapter lacks a tensor, has one that the base has no place for, does not fit it, or
            changes none of its weights.
    """
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = _config(folder)
    config.inference_mode = True
    _refuse_scale_of_zero(folder, config)
    with loading.explained(base):
        own_dtype = AutoConfig.from_pretrained(base).dtype
        model = loading.load_weights(AutoModelForImageTextToText, base, dtype=torch.float32)
    dtype = dtype or own_dtype or torch.float32
    before = _sums(model, dtype)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r"`(is_)?gradient_checkpointing", FutureWarning
            )  # PEFT's use of old names
            adapted = get_peft_model(model, config)
    except (ValueError, TypeError, AttributeError, re.error, ZeroDivisionError) as error:
        raise CheckpointError(f"the adapter in '{folder}' does not fit '{base}': {error}") from error
    places = get_peft_model_state_dict(adapted)
    tensors = _renamed(_tensors(folder), places)
    for kind, names in (("lacks", places.keys() - tensors.keys()), ("has, and its base not,", tensors.keys() - places)):
        if names:
            raise CheckpointError(f"the adapter in '{folder}' {kind} '{min(names)}' ({len(names)} such; base '{base}')")
    for name, tensor in tensors.items():
        if tensor.shape != places[name].shape:
            raise CheckpointError(
                f"'{name}' of the adapter in '{folder}' is {tuple(tensor.shape)} and should be "
                f"{tuple(places[name].shape)}: '{base}' is not the model that it adapts"
            )
    set_peft_model_state_dict(adapted, tensors)
    loading.check_finite(tensors, f"the adapter in '{folder}'")
    merged = adapted.merge_and_unload()
    if _sums(merged, dtype) == before:
        zero = not any(tensor.any() for name, tensor in tensors.items() if "lora_A" not in name)
        reason = (
            "its weights are zero, as before training"
            if zero
            else f"what it adds is lost where it is rounded to {str(dtype).removeprefix('torch.')}"
            + ("; say --dtype float32" if dtype != torch.float32 else "")
        )
        raise CheckpointError(f"the adapter in '{folder}' changes no weight of '{base}': {reason}")
    return merged.to(dtype).eval()


def _refuse_scale_of_zero(folder: Path, config: Any) -> None:
    """LoRA adds its weights times alpha / r, which is nothing where alpha is 0, as older releases of veRL write it."""
    scales = [getattr(config, "lora_alpha", None), *(getattr(config, "alpha_pattern", None) or {}).values()]
    if all(scale == 0 for scale in scales) and not getattr(config, "use_dora", False):
        raise CheckpointError(
            f"the adapter in '{folder}' has a lora_alpha of 0, so it would change no weight of its base: write the "
            f"lora_alpha that it was trained with into '{folder / CONFIG}'"
        )


def _sums(model: Any, dtype: Any) -> _Sums:
    """Two sums of each weight as it would be written, by which a changed one is told."""
    sums: _Sums = {}
    for name, weight in model.named_parameters():
        written = weight.detach().to(dtype)
        sums[name] = (
            float(written.sum(dtype=torch.float64)),
            float(torch.linalg.vector_norm(written, dtype=torch.float64)),
        )
    return sums


def _config(folder: Path) -> Any:
    from peft import PeftConfig

    try:
        return PeftConfig.from_pretrained(str(folder))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise CheckpointError(f"'{folder / CONFIG}' cannot be read: {' '.join(str(error).split())[:200]}") from error


def _tensors(folder: Path) -> Tensors:
    whole, pickled = folder / "adapter_model.safetensors", folder / "adapter_model.bin"
    if whole.is_file():
        with loading.explained(str(folder)):
            return load_file(whole)
    if not pickled.is_file():
        raise CheckpointError(f"'{folder}' has no adapter_model.safetensors, only its configuration: copy it there")
    tensors: Tensors = read_torch_file(pickled)
    return tensors


def _renamed(tensors: Tensors, places: Tensors) -> Tensors:
    """The tensors by the names that they have today, where the adapter is of an older release."""
    named: Tensors = {}
    for name, tensor in tensors.items():
        own = name
        if own not in places:
            for older, newer in _OLDER:
                own = older.sub(newer, own)
        named[own] = tensor
    return named
