"""Folders of `torch.distributed.checkpoint`: FSDP's sharded state, as Accelerate and PyTorch write it.

``.metadata`` says where each piece of each tensor lies in the ``__RANK_N.distcp`` files beside it. It is a pickle,
which PyTorch reads with all the powers of one; here it is read by an unpickler that builds that description alone.
"""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from thinkseg.errors import CheckpointError

Tensors = dict[str, torch.Tensor]

METADATA = ".metadata"
_DESCRIBING = ("torch.distributed.checkpoint.", "pathlib.")
_PLAIN = {"torch.Size", "torch.serialization._get_layout", "collections.OrderedDict"}


def read_distributed(folder: Path) -> tuple[Tensors, int]:
    """Every tensor of the model by name, and how many files they came from.

    Raises:
        CheckpointError: a file is missing, left over or damaged, or the pieces of a tensor leave gaps or overlap.
    """
    metadata = _read_metadata(folder)
    named = metadata.storage_data or {}
    needed = {info.relative_path for info in named.values()}
    _check_files(folder, needed)
    wanted: dict[str, str] = {}
    for key, stored in metadata.state_dict_metadata.items():
        path = (metadata.planner_data or {}).get(key, (key,))
        if isinstance(stored, TensorStorageMetadata) and _is_of_the_model(path, metadata):
            _check_cover(key, stored)
            wanted[key] = str(path[-1])
    if not wanted:
        raise CheckpointError(f"'{folder}' holds no tensors of a model")
    whole = {key: _empty(metadata.state_dict_metadata[key]) for key in wanted}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # which is what is wanted
            load(dict(whole), storage_reader=_Reader(folder), no_dist=True)
    except (RuntimeError, OSError, ValueError, KeyError, EOFError, pickle.UnpicklingError,
            CheckpointException) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the shards in '{folder}' cannot be read, copy them again: {reason}") from error
    return {wanted[key]: tensor for key, tensor in whole.items()}, len(needed)


class _Describer(pickle.Unpickler):
    """Builds what describes a checkpoint, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _PLAIN or (module + ".").startswith(_DESCRIBING):
            return super().find_class(module, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise pickle.UnpicklingError(f"it names {full}, which describes no checkpoint")


class _Reader(FileSystemReader):
    """PyTorch's reader, with the description read as above."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def read_metadata(self, *_: Any, **__: Any) -> Metadata:
        metadata = _read_metadata(self._folder)
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


def _read_metadata(folder: Path) -> Metadata:
    path = folder / METADATA
    try:
        with path.open("rb") as file:
            metadata = _Describer(file).load()
    except (OSError, EOFError, ValueError, AttributeError, ImportError, TypeError, KeyError, IndexError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise CheckpointError(f"'{path}' cannot be read: {error}") from error
    if not isinstance(metadata, Metadata):
        raise CheckpointError(f"'{path}' describes no checkpoint of PyTorch, found {type(metadata).__name__}")
    return metadata


def _is_of_the_model(path: Sequence[Any], metadata: Metadata) -> bool:
    """Whether a value belongs to the model: where optimisers lie beside it, each has a branch of its own."""
    branches = {str(other[0]) for other in (metadata.planner_data or {}).values() if len(other) > 1}
    return len(path) == 1 or "model" not in branches or path[0] == "model"


def _check_files(folder: Path, needed: set[str]) -> None:
    present = {path.name for path in folder.glob("*.distcp")}
    missing = sorted(needed - present)
    if missing:
        raise CheckpointError(f"'{folder}' lacks the shard {missing[0]} ({len(needed)} belong there): copy it there")
    surplus = sorted(present - needed)
    if surplus:
        raise CheckpointError(
            f"'{folder}' holds {surplus[0]}, which does not belong to this checkpoint: it may be of another run"
        )


def _check_cover(key: str, stored: TensorStorageMetadata) -> None:
    """The pieces of a tensor fill it: none is missing, none is there twice."""
    boxes = [tuple(zip(chunk.offsets, chunk.sizes, strict=True)) for chunk in stored.chunks]
    boxes = [box for box in boxes if all(size for _, size in box)]
    size = tuple(stored.size)
    volume = sum(math.prod(length for _, length in box) for box in boxes)
    inside = all(start + length <= limit for box in boxes for (start, length), limit in zip(box, size, strict=True))
    overlap = any(_overlap(first, second) for i, first in enumerate(boxes) for second in boxes[:i])
    if overlap or not inside or volume != math.prod(size):
        fault = "overlap" if overlap else "do not fill it"
        raise CheckpointError(f"the shards' pieces of '{key}' {fault}: the checkpoint was not written to its end")


def _overlap(first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]]) -> bool:
    return all(a < b + n and b < a + m for (a, m), (b, n) in zip(first, second, strict=True))


def _empty(stored: Any) -> torch.Tensor:
    return torch.empty(stored.size, dtype=stored.properties.dtype)
