"""DeepSpeed's ZeRO shards: the float32 weights lie in the optimiser's files, a part of each in every process's file.

A folder ``global_stepN`` holds a ``…zero_pp_rank_R_mp_rank_00_optim_states.pt`` for each process R, and the names and
shapes of the weights in ``mp_rank_00_model_states.pt`` (stages 1 and 2) or in a
``zero_pp_rank_R_mp_rank_00_model_states.pt`` for each process (stage 3).

Stages 1 and 2: all weights of a group of parameters one after another make a vector, padded at its end, of which each
process has an equal part. Stage 3: each weight is such a vector by itself, and a process's vector is its parts of
all weights, one after another. Weights that are not trained are in the files of the model's state.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from thinkseg.errors import CheckpointError
from thinkseg.models.shards.reading import check_doubled, check_ranks, read_torch_file

Tensors = dict[str, torch.Tensor]
Shapes = Mapping[str, Sequence[int]]

_STAGE_2, _STAGE_3 = "single_partition_of_fp32_groups", "fp32_flat_groups"
"""Where a process's part of the weights is, by the stage."""

_OPTIMIZER = re.compile(r"(?:bf16_|fp16_)?zero_pp_rank_(\d+)_mp_rank_(\d+)_optim_states\.pt")
_MODEL = re.compile(r"(?:zero_pp_rank_(\d+)_)?mp_rank_(\d+)_model_states\.pt")


def zero_folder(folder: Path) -> Path | None:
    """Where the shards are: the folder itself, or the one that its file ``latest`` names; None for another layout."""
    if not folder.is_dir():
        return None
    if any(_OPTIMIZER.fullmatch(path.name) for path in folder.iterdir()):
        return folder
    latest = folder / "latest"
    named = folder / latest.read_text(encoding="utf-8").strip() if latest.is_file() else None
    return named if named is not None and named.is_dir() else None


def read_zero(folder: Path) -> tuple[Tensors, int]:
    """Every tensor by name, in float32 where it was trained, and how many processes they came from.

    Raises:
        CheckpointError: a file is missing, doubled or damaged, or the pieces do not fit together.
    """
    files = _by_rank(folder, _OPTIMIZER)
    if not files:
        raise CheckpointError(f"'{folder}' holds no optimiser states, in which DeepSpeed keeps the weights")
    optimizer = _part(read_torch_file(files[min(files)]), "optimizer_state_dict", files[min(files)])
    counts = optimizer.get("partition_count")
    # By what is there: the stage itself is written as an object of DeepSpeed's.
    key = next((name for name in (_STAGE_3, _STAGE_2) if name in optimizer), None)
    if key is None or not isinstance(counts, int | list):
        raise CheckpointError(f"'{files[min(files)]}' does not say how DeepSpeed has spread the weights")
    world = max(counts) if isinstance(counts, list) else counts
    paths = check_ranks(files, world, folder)
    states = [_part(read_torch_file(path), "optimizer_state_dict", path) for path in paths]
    groups = [_vectors(state, key, path) for state, path in zip(states, paths, strict=True)]
    check_doubled(groups, paths)
    models = _model_states(folder, world if key == _STAGE_3 else 1)
    padding = states[0].get("param_alignment_paddings")
    tensors = _stage_3(groups, models, folder) if key == _STAGE_3 else _stage_2(groups, models[0], padding, folder)
    for alias, name in (models[0].get("shared_params") or {}).items():
        if name in tensors:
            tensors[alias] = tensors[name]
    return tensors, world


def _by_rank(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """The files of a kind by rank."""
    files: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is None:
            continue
        rank = int(match[1] or 0)
        if int(match[2]):
            raise CheckpointError(f"'{path}' is of a model that was split over cards within its layers, too")
        if rank in files:
            raise CheckpointError(f"'{folder}' holds two shards of rank {rank}: {files[rank].name} and {path.name}")
        files[rank] = path
    return files


def _part(content: Any, key: str, path: Path) -> dict[str, Any]:
    part = content.get(key) if isinstance(content, dict) else None
    if not isinstance(part, dict):
        raise CheckpointError(f"'{path}' has no '{key}', so it is no shard of DeepSpeed")
    return part


def _vectors(state: Mapping[str, Any], key: str, path: Path) -> list[torch.Tensor]:
    """A process's vectors: one for each group of parameters, or several that count as one after another."""
    vectors = state.get(key)
    if not isinstance(vectors, list) or not all(isinstance(vector, torch.Tensor) for vector in vectors):
        raise CheckpointError(f"'{path}' has no list of vectors '{key}', in which the weights should be")
    return vectors


def _model_states(folder: Path, count: int) -> list[dict[str, Any]]:
    """What one process or all of them say of the model: names, shapes, buffers, weights that are not trained."""
    files = _by_rank(folder, _MODEL)
    if not files:
        raise CheckpointError(f"'{folder}' has no model states, which name the weights: copy them there")
    paths = check_ranks(files, count, folder)
    states = [read_torch_file(path) for path in paths]
    for state, path in zip(states, paths, strict=True):
        if not isinstance(state, dict) or not isinstance(state.get("param_shapes"), list):
            raise CheckpointError(f"'{path}' names no weights ('param_shapes')")
        if state["param_shapes"] != states[0]["param_shapes"]:
            raise CheckpointError(f"'{path}' names other weights than '{paths[0].name}'")
    return states


def _stage_2(groups: Sequence[Sequence[torch.Tensor]], model: Mapping[str, Any], padding: Any, folder: Path) -> Tensors:
    """Vectors of whole groups, each dealt out in equal parts."""
    tensors = _buffers(model)
    for name, values in (model.get("frozen_param_fragments") or {}).items():
        tensors[name] = values.reshape(tuple(model["frozen_param_shapes"][name]))
    shapes_by_group: list[Shapes] = model["param_shapes"]
    if any(len(own) != len(shapes_by_group) for own in groups):
        raise CheckpointError(f"the shards in '{folder}' hold other groups of weights than its model states name")
    for index, shapes in enumerate(shapes_by_group):
        vector = torch.cat([own[index] for own in groups])
        gaps = padding[index] if padding else [0] * len(shapes)
        position = 0
        for (name, shape), gap in zip(shapes.items(), gaps, strict=True):
            size = math.prod(shape)
            if position + size > len(vector):
                raise CheckpointError(f"the shards in '{folder}' end within '{name}': they are not whole")
            tensors[name] = vector[position : position + size].view(tuple(shape))
            position += size + gap
        # The vector is filled up to a multiple of twice the number of processes.
        if len(vector) - position > 2 * len(groups):
            raise CheckpointError(f"the shards in '{folder}' hold {len(vector) - position} values more than they name")
    return tensors


def _stage_3(groups: Sequence[Sequence[torch.Tensor]], models: Sequence[Mapping[str, Any]], folder: Path) -> Tensors:
    """Vectors of parts of all weights, one after another."""
    world = len(groups)
    tensors = _buffers(models[0])
    for name, shape in (models[0].get("frozen_param_shapes") or {}).items():
        parts = [model["frozen_param_fragments"][name].flatten() for model in models]
        tensors[name] = torch.cat(parts)[: math.prod(shape)].view(tuple(shape))
    vectors = [torch.cat([vector.flatten() for vector in own]) for own in groups]
    position = 0
    for name, shape in _all_shapes(models[0]["param_shapes"]):
        size = math.prod(shape)
        part = -(-size // world)
        if any(position + part > len(vector) for vector in vectors):
            raise CheckpointError(f"the shards in '{folder}' end within '{name}': they are not whole")
        joined = torch.cat([vector[position : position + part] for vector in vectors])
        tensors[name] = joined[:size].view(tuple(shape))
        position += part
    if any(len(vector) != position for vector in vectors):
        raise CheckpointError(f"the shards in '{folder}' hold more values than their model states name")
    return tensors


def _all_shapes(groups: Sequence[Shapes]) -> Iterator[tuple[str, Sequence[int]]]:
    for shapes in groups:
        yield from shapes.items()


def _buffers(model: Mapping[str, Any]) -> Tensors:
    """What the model holds beside its weights."""
    names = set(model.get("buffer_names") or ())
    return {name: value for name, value in (model.get("module") or {}).items() if name in names}
