"""Files of `torch.save`, read without running what they say.

PyTorch's ``weights_only`` reader builds tensors and plain containers and refuses every other name. Checkpoints of
trainers hold more: DeepSpeed's have objects of its own, which are of no use here and become inert stand-ins, so that
neither the package is needed nor any of its code runs. Names that no trainer needs are refused.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, Replicate, Shard

from thinkseg.errors import CheckpointError

_OF_TRAINERS = ("accelerate", "argparse", "deepspeed", "numpy", "omegaconf", "peft", "torch", "transformers", "verl")
"""Packages whose objects may lie in a checkpoint beside its tensors."""

_RENAMED: Mapping[str, Any] = {
    "torch.distributed._tensor.DTensor": DTensor,
    "torch.distributed._tensor.api.DTensor": DTensor,
    "torch.distributed._tensor.placement_types.Replicate": Replicate,
    "torch.distributed._tensor.placement_types.Shard": Shard,
}
"""Where older releases of PyTorch had the classes of distributed tensors."""


def read_torch_file(path: Path) -> Any:
    """The content of a file of `torch.save`; tensors are mapped from the file, not copied.

    Raises:
        CheckpointError: the file is damaged, of the old format, or names what no checkpoint needs.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        foreign = [name for name in names if name.partition(".")[0] not in _OF_TRAINERS]
        if foreign:
            raise CheckpointError(
                f"'{path}' names {foreign[0]}, which no checkpoint needs and which is not run; get it from elsewhere"
            )
        known: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
            (_RENAMED.get(name) or _stand_in(name), name) for name in names
        ]
        with torch.serialization.safe_globals(known), _no_word_about_process_groups():
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, OSError, ValueError, EOFError, KeyError, TypeError, AttributeError,
            pickle.UnpicklingError) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"'{path}' cannot be read, copy it again or save it anew: {reason}") from error


def check_ranks(files: Mapping[int, Path], world: int, folder: Path) -> list[Path]:
    """The files of ranks 0…world-1 in order.

    Raises:
        CheckpointError: one is missing, or there are more.
    """
    missing = [rank for rank in range(world) if rank not in files]
    if missing:
        example = next(iter(files.values())).name
        raise CheckpointError(
            f"'{folder}' should hold {world} shards and lacks that of rank {missing[0]} (it has {len(files)}, "
            f"such as {example}): copy it there"
        )
    surplus = [files[rank].name for rank in files if rank >= world]
    if surplus:
        raise CheckpointError(
            f"'{folder}' should hold {world} shards and has {surplus[0]} besides, perhaps of another run: move it away"
        )
    return [files[rank] for rank in range(world)]


def check_doubled(
    pieces: Sequence[Sequence[torch.Tensor]], files: Sequence[Path], places: Sequence[Any] | None = None
) -> None:
    """Refuse two ranks that should hold different pieces and hold the same piece of every tensor.

    Args:
        pieces: for each rank its piece of each tensor that is spread over ranks.
        files: for each rank, for the message.
        places: for each rank which piece it should hold; None where all differ.
    """
    places = range(len(files)) if places is None else places
    for second in range(1, len(files)):
        for first in range(second):
            if places[first] == places[second]:
                continue
            pairs = [pair for pair in zip(pieces[first], pieces[second], strict=True) if pair[0].numel()]
            if pairs and all(torch.equal(*pair) for pair in pairs):
                raise CheckpointError(
                    f"'{files[first].name}' and '{files[second].name}' in '{files[first].parent}' hold the same "
                    "shard: one of them is a copy under a wrong name"
                )


def _stand_in(name: str) -> type:
    """A class that takes any arguments and any state and does nothing."""

    def take(self: object, *_: Any, **__: Any) -> None:
        return None

    return type(name.rpartition(".")[2], (), {"__init__": take, "__setstate__": take, "__module__": __name__})


@contextmanager
def _no_word_about_process_groups() -> Iterator[None]:
    """A mesh of devices says, when it is read, that its process groups are not there; they are not needed."""
    logger = logging.getLogger("torch.distributed.device_mesh")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
