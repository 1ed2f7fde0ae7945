"""A checkpoint's folder, looked through before transformers reads it: what is missing or damaged is named by its file.

transformers and what lies below it meet such files with words of their own, or with the model of their defaults, of
many gigabytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thinkseg.errors import CheckpointError
from thinkseg.models.shapes import without_weights

_INDEX = "model.safetensors.index.json"
_OBJECTS = (
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    _INDEX,
)
"""Files that hold a JSON object, where they are there."""
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")


def check_folder(source: str) -> None:
    """Refuse a folder of which a file is missing or cannot be read; of a hub id nothing is known yet.

    Args:
        source: a folder, or a hub id.

    Raises:
        CheckpointError: the sentence names the file.
    """
    folder = Path(source)
    if not folder.is_dir():
        return
    for name in _OBJECTS:
        if (folder / name).is_file():
            _read_object(folder / name)
    _check_one_of(folder, "processor", _PROCESSORS)
    _check_weights(folder)


def check_tokenizer(source: str) -> None:
    """Refuse a folder without a tokenizer, in whose place transformers makes one that knows nothing.

    Raises:
        CheckpointError: it has none.
    """
    if Path(source).is_dir():
        _check_one_of(Path(source), "tokenizer", _TOKENIZERS)


def _check_one_of(folder: Path, what: str, names: Sequence[str]) -> None:
    if not any((folder / name).is_file() for name in names):
        raise CheckpointError(
            f"'{folder}' has no {what} ({' or '.join(names[:2])}): copy it from the model that it was trained from"
        )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"'{path}' is not JSON ({reason}): it is damaged, copy it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"'{path}' should hold a JSON object, found {type(content).__name__}: it is damaged, copy it again"
        )
    return content


def _check_weights(folder: Path) -> None:
    """The files of weights are there and have headers that can be read; pickled ones are left to PyTorch."""
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if (folder / _INDEX).is_file() and not (folder / "model.safetensors").is_file():
        listed = _read_object(folder / _INDEX).get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
            raise CheckpointError(f"'{folder / _INDEX}' should hold a 'weight_map' of names of files: copy it again")
        missing = sorted(set(listed.values()) - {file.name for file in files})
        if missing:
            raise CheckpointError(f"'{folder}' lacks {missing[0]}, which its {_INDEX} names: copy it there")
    for file in files:
        try:
            with safe_open(file, framework="np") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            reason = str(error).removeprefix("Error while deserializing header: ")
            raise CheckpointError(
                f"'{file}' cannot be read ({reason}): it is damaged or was not downloaded whole, copy it again"
            ) from error
    pickles = sorted(path for path in folder.glob("*.bin") if path.name.startswith("pytorch_model"))
    empty = next((path for path in pickles if path.stat().st_size == 0), None)
    if empty is not None:
        raise CheckpointError(f"'{empty}' is empty: copy it again")
    if not files and not pickles:
        raise CheckpointError(
            f"the checkpoint folder '{folder}' cannot be read: it has no weights (model.safetensors), copy them there"
        )


def check_size(model_class: Any, source: str) -> None:
    """Refuse a folder whose config describes another model than its weights are of, before memory is taken for it.

    A config that lacks a size, or has a wrong one, describes the model of transformers' defaults, of many gigabytes.

    Args:
        model_class: an Auto class.
        source: a folder; of a hub id nothing is known yet.

    Raises:
        CheckpointError: the model has more than twice the weights that the files hold.
    """
    from safetensors import safe_open
    from transformers import AutoConfig

    files = sorted(Path(source).glob("*.safetensors")) if Path(source).is_dir() else []
    if not files:
        return
    held, tensors = 0, 0
    for file in files:
        with safe_open(file, framework="pt") as opened:
            names = list(opened.keys())
            held += sum(math.prod(opened.get_slice(name).get_shape()) for name in names)
            tensors += len(names)
    config = AutoConfig.from_pretrained(source)
    if getattr(config, "quantization_config", None):  # files hold several weights in one number
        return
    if any(layers > tensors for layers in _layer_counts(config.to_dict())):
        raise CheckpointError(
            f"the config.json of '{source}' describes more layers than its files have weights ({tensors}): it is of "
            "another model, or damaged"
        )
    with without_weights():
        described = sum(weight.numel() for weight in model_class.from_config(config).parameters())
    if described > 2 * held:
        raise CheckpointError(
            f"the config.json of '{source}' describes a model of {described:,} weights, and its files hold {held:,}: "
            "it is of another model, or lacks its sizes"
        )


def _layer_counts(config: Mapping[Any, Any]) -> Iterator[int]:
    """All numbers of layers in a config."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _layer_counts(value)
        elif isinstance(value, int) and name in ("num_hidden_layers", "depth", "num_layers"):
            yield value
