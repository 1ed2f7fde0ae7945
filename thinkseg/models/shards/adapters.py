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

_OLDER = (
    (re.compile(r"(base_model\.model\.)model\.(?!visual|language_model)"), r"\1model.language_model."),
    (re.compile(r"(base_model\.model\.)visual\."), r"\1model.visual."),
)
"""Where the Qwen families had their parts in older releases, and where they have them."""


def adapter_folder(folder: Path) -> Path | None:
    """The folder itself if it holds an adapter."""
    return folder if (folder / CONFIG).is_file() else None


def base_of(folder: Path) -> str:
    """The model that an adapter says it adapts.

    Raises:
        CheckpointError: it says none, or a folder that is not there.
    """
    name = _config(folder).base_model_name_or_path
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
        CheckpointError: the adapter lacks a tensor, has one that the base has no place for, or does not fit it.
    """
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from transformers import AutoConfig, AutoModelForImageTextToText

    with loading.explained(base):
        own_dtype = AutoConfig.from_pretrained(base).dtype
        model = loading.load_weights(AutoModelForImageTextToText, base, dtype=torch.float32)
    config = _config(folder)
    config.inference_mode = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r"`(is_)?gradient_checkpointing", FutureWarning
            )  # PEFT's use of old names
            adapted = get_peft_model(model, config)
    except ValueError as error:
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
    merged = adapted.merge_and_unload(safe_merge=True)
    return merged.to(dtype or own_dtype or torch.float32).eval()


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
