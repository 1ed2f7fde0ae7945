"""How many actors a Ray cluster takes, and what each asks for, so that all of them can be scheduled.

Ray counts CPUs by what tasks say they need, not by what they use. Reading rows, leaving out those that are done, and
writing results take one each; a pool of actors that takes all of them leaves a pipeline that waits for ever. So actors
get what these leave, in fractions where that is little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thinkseg.errors import InputError

RESERVED = 3
"""CPUs for reading, leaving out what is done, and writing."""
_LEAST = 0.01
"""The smallest part of a CPU that an actor asks for."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of actors."""

    actors: int
    cpus: float
    """Of each."""
    gpus: float
    """Of each."""


def fit_pool(nodes: Sequence[Mapping[str, float]], actors: int | None, *, on_gpu: bool | None) -> Pool:
    """A pool that the cluster can schedule.

    Args:
        nodes: the resources of each machine, as Ray tells them: ``CPU``, and ``GPU`` where there is one.
        actors: how many are wanted; None for one a GPU, or one where there is none.
        on_gpu: whether each needs a GPU; None where it takes one if there are any.

    Raises:
        InputError: the cluster can never hold it; the sentence says what it lacks.
    """
    cpus, gpus = sum(node.get("CPU", 0) for node in nodes), int(sum(node.get("GPU", 0) for node in nodes))
    on_gpu = gpus > 0 if on_gpu is None else on_gpu
    wanted = actors or (max(1, gpus) if on_gpu else 1)
    if on_gpu and wanted > gpus:
        raise InputError(
            f"{wanted} actors need a GPU each, and the Ray cluster has {gpus}: say --processes {max(1, gpus)}, "
            "or --device cpu"
        )
    if cpus < RESERVED + 1:
        raise InputError(
            f"the Ray cluster has {cpus:g} CPUs, and a labelling needs {RESERVED + 1} at least: one each for reading, "
            "leaving out what is done and writing, and one for the models; start it with ray start --num-cpus 4"
        )
    share = min(1.0, int((cpus - RESERVED) / wanted / _LEAST) * _LEAST)
    if share < _LEAST:
        raise InputError(f"{wanted} actors are too many for the {cpus:g} CPUs of the Ray cluster")
    pool = Pool(wanted, round(share, 2), 1.0 if on_gpu else 0.0)
    if (room := sum(_room(node, pool) for node in nodes)) < wanted:
        raise InputError(
            f"the machines of the Ray cluster have room for {room} actors of {pool.cpus:g} CPUs"
            f"{' and a GPU' if on_gpu else ''}, and {wanted} are wanted: say --processes {max(1, room)}"
        )
    return pool


def _room(node: Mapping[str, float], pool: Pool) -> int:
    """How many actors a machine holds."""
    by_cpu = int((node.get("CPU", 0) + 1e-9) / pool.cpus)
    return min(by_cpu, int(node.get("GPU", 0) / pool.gpus)) if pool.gpus else by_cpu
