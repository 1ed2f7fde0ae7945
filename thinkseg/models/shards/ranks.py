"""A file per process: actor checkpoints of EasyR1 and veRL, and FSDP's where Accelerate writes them so.

``model_world_size_8_rank_0.pt`` to ``…_rank_7.pt`` each hold the same names. A value is a `DTensor`, which knows how
the whole is spread over the processes, or a plain tensor, which every process has in full. Rows are dealt out as
`torch.chunk` does it: the last processes may have fewer, or none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, Replicate

from thinkseg.errors import CheckpointError
from thinkseg.models.shards.reading import check_doubled, check_ranks, read_torch_file

Tensors = dict[str, torch.Tensor]

_ACTOR = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")
_ACCELERATE = re.compile(r"pytorch_model_fsdp_0_rank(\d+)\.bin")


def rank_files(folder: Path) -> list[Path]:
    """The files of this layout in a folder, none where it is another one."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in paths if _ACTOR.fullmatch(path.name) or _ACCELERATE.fullmatch(path.name))


def read_rank_files(folder: Path) -> tuple[Tensors, int]:
    """Every tensor by name, and how many files they came from.

    Raises:
        CheckpointError: a file is missing, doubled or damaged, or the pieces do not fit together.
    """
    files, world = _files_by_rank(folder)
    if world is None:
        world = _world_of(read_torch_file(files[min(files)]), len(files))
    paths = check_ranks(files, world, folder)
    shards: list[Mapping[str, Any]] = [read_torch_file(path) for path in paths]
    for path, shard in zip(paths, shards, strict=True):
        if not isinstance(shard, dict) or not all(isinstance(value, torch.Tensor) for value in shard.values()):
            raise CheckpointError(f"'{path}' should hold tensors by name and does not: it is no shard of a model")
        odd = sorted(shard.keys() ^ shards[0].keys())
        if odd:
            raise CheckpointError(f"'{path.name}' and '{paths[0].name}' in '{folder}' differ in having '{odd[0]}'")
    _check_places(shards, paths)
    tensors = {name: _whole(name, [shard[name] for shard in shards]) for name in shards[0]}
    return tensors, world


def _files_by_rank(folder: Path) -> tuple[dict[int, Path], int | None]:
    """The files by rank, and the number of processes where the names say it."""
    files: dict[int, Path] = {}
    worlds: set[int] = set()
    for path in rank_files(folder):
        actor, other = _ACTOR.fullmatch(path.name), _ACCELERATE.fullmatch(path.name)
        rank = int(actor[2]) if actor else int(other[1]) if other else 0
        worlds |= {int(actor[1])} if actor else set()
        if len(worlds) > 1:
            sizes = " and ".join(str(world) for world in sorted(worlds))
            raise CheckpointError(f"'{folder}' holds shards of runs on {sizes} processes: leave those of one run there")
        if rank in files:
            raise CheckpointError(f"'{folder}' holds two shards of rank {rank}: {files[rank].name} and {path.name}")
        files[rank] = path
    return files, next(iter(worlds), None)


def _world_of(shard: Mapping[str, Any], otherwise: int) -> int:
    """Over how many processes a shard says that it is spread."""
    spread = next((value for value in shard.values() if isinstance(value, DTensor)), None)
    return otherwise if spread is None else spread._spec.mesh.mesh.numel()


def _check_places(shards: Sequence[Mapping[str, Any]], paths: Sequence[Path]) -> None:
    """Refuse a shard that is not the one that its name says, and two that are one."""
    names = [name for name, value in shards[0].items() if isinstance(value, DTensor) and _is_spread(value)]
    if not names:
        return
    spec = shards[0][names[0]]._spec
    if spec.mesh.mesh.numel() != len(paths):
        raise CheckpointError(
            f"'{paths[0]}' is one of {spec.mesh.mesh.numel()} shards, and there are {len(paths)}: they are of two runs"
        )
    spread = [dim for dim, placement in enumerate(spec.placements) if not isinstance(placement, Replicate)]
    at = {int(rank): place for place, rank in _places(spec.mesh.mesh)}
    pieces = [[_local(shard[name]) for name in names] for shard in shards]
    check_doubled(pieces, paths, [tuple(at[rank][dim] for dim in spread) for rank in range(len(paths))])
    for rank, (shard, path) in enumerate(zip(shards, paths, strict=True)):
        said = getattr(shard[names[0]]._spec.mesh, "_coordinate_on_dim", None)  # not every release of PyTorch says it
        if said is not None and tuple(said) != at[rank]:
            raise CheckpointError(f"'{path}' holds the shard of rank {int(spec.mesh.mesh[tuple(said)])}, not its own")


def _places(mesh: torch.Tensor) -> list[tuple[tuple[int, ...], int]]:
    """Where in a mesh each rank is."""
    return [(tuple(place), int(mesh[tuple(place)])) for place in torch.ones_like(mesh).nonzero().tolist()]


def _is_spread(value: DTensor) -> bool:
    return not all(isinstance(placement, Replicate) for placement in value._spec.placements)


def _whole(name: str, pieces: Sequence[torch.Tensor]) -> torch.Tensor:
    """One tensor from what each process has of it."""
    first = pieces[0]
    if not isinstance(first, DTensor):
        if any(isinstance(piece, DTensor) for piece in pieces):
            raise CheckpointError(f"'{name}' is spread over the processes in some shards and whole in others")
        return _same(name, pieces)
    spec = first._spec
    layout = [(piece._spec.placements, piece._spec.shape) for piece in pieces if isinstance(piece, DTensor)]
    if layout != [(spec.placements, spec.shape)] * len(pieces):
        raise CheckpointError(f"the shards do not agree on how '{name}' is spread over the processes")
    joined = _join(name, spec.mesh.mesh, spec.placements, [_local(piece) for piece in pieces])
    return _without_padding(name, joined, tuple(spec.shape), len(pieces))


def _local(piece: torch.Tensor) -> torch.Tensor:
    local: torch.Tensor = piece._local_tensor if isinstance(piece, DTensor) else piece
    return local


def _join(name: str, ranks: torch.Tensor, placements: Sequence[Any], pieces: Sequence[torch.Tensor]) -> torch.Tensor:
    """Join along the dimensions of a mesh of ranks; the first one split the tensor first, so it is joined last."""
    if not placements:
        return pieces[int(ranks)]
    parts = [_join(name, inner, placements[1:], pieces) for inner in ranks]
    kind = type(placements[0]).__name__
    if kind == "Replicate":
        return _same(name, parts)
    if kind == "Shard":
        return torch.cat(parts, dim=placements[0].dim)
    raise CheckpointError(f"'{name}' is spread over the processes by {placements[0]}, which cannot be undone here")


def _same(name: str, pieces: Sequence[torch.Tensor]) -> torch.Tensor:
    """What every process has in full."""
    if not all(torch.equal(piece, pieces[0]) for piece in pieces[1:]):
        raise CheckpointError(f"'{name}' should be the same in every shard and is not: they are of different runs")
    return pieces[0]


def _without_padding(name: str, joined: torch.Tensor, shape: tuple[int, ...], world: int) -> torch.Tensor:
    """Cut off the rows that fill the last shards up, where there are any."""
    if tuple(joined.shape) == shape:
        return joined
    odd = [dim for dim, size in enumerate(shape) if dim >= joined.ndim or joined.shape[dim] != size]
    if joined.ndim == len(shape) and len(odd) == 1 and joined.shape[odd[0]] == -(-shape[odd[0]] // world) * world:
        return joined.narrow(odd[0], 0, shape[odd[0]])
    raise CheckpointError(f"the shards of '{name}' make {tuple(joined.shape)} together and should make {shape}")
