"""Where the seconds of a run's steps go: the setting `profile` of a recipe, ``thinkseg train … --profile``.

TRL's trainer is told nothing of it. Its methods are wrapped while a run is profiled, each by what it does; one that a
release of TRL does not have is part of the rest. On a GPU it is waited for before and after each part, so that a part
has its own seconds; that makes a step a little longer.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from thinkseg.machine import usable_cpus
from thinkseg.stopwatch import Stopwatch, timed
from thinkseg.training.checkpoints import write_whole

PROFILE = "profile.json"
"""Where it is written, inside the run's folder."""

METHODS: Mapping[str, str] = {
    "_generate": "sampling",
    "_calculate_rewards": "rubric",
    "_get_per_token_logps_and_entropies": "log-probabilities",
    "compute_loss": "loss",
    "_go_back": "backward",
}
"""Methods of trainers, and what their time is called. The forward pass of imitation is part of its loss."""

REST = "the rest"


@contextmanager
def profiled(trainer: Any, folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """While this is open, the trainer's parts are timed; then they are told, and written to `PROFILE`.

    Args:
        trainer: TRL's, ready to train.
        folder: of the run.
        say: tells the user.
    """
    device = trainer.args.device
    watch = Stopwatch(settle=torch.cuda.synchronize if device.type == "cuda" else lambda: None)
    before = trainer.state.global_step
    with _watched(trainer), watch.running():
        yield
    steps = trainer.state.global_step - before
    if steps < 1 or not trainer.is_world_process_zero():
        return
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{usable_cpus()} CPUs"
    found = {
        "steps": steps,
        "seconds": round(watch.total, 4),
        "parts": shares(watch.seconds, watch.total),
        "device": where,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    write_whole(folder / PROFILE, json.dumps(found, indent=2) + "\n")
    say(in_words(found))


@contextmanager
def _watched(trainer: Any) -> Iterator[None]:
    """While this is open, what the trainer does has names."""
    optimising = _Optimising()
    trainer.add_callback(optimising)
    with ExitStack() as wrapped:
        for method, part in METHODS.items():
            wrapped.enter_context(_named(trainer, method, part))
        wrapped.enter_context(_named(trainer.accelerator, "backward", "backward"))
        try:
            yield
        finally:
            trainer.remove_callback(optimising)


@contextmanager
def _named(owner: Any, method: str, part: str) -> Iterator[None]:
    """While this is open, a method's time is a part's."""
    work = getattr(owner, method, None)
    if work is None:
        yield
        return

    @wraps(work)
    def within(*args: Any, **options: Any) -> Any:
        with timed(part):
            return work(*args, **options)

    setattr(owner, method, within)
    try:
        yield
    finally:
        delattr(owner, method)


class _Optimising(TrainerCallback):
    """Times the optimiser, between what the trainer calls before and after it."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """It begins."""
        self._open.enter_context(timed("optimiser"))

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """It is done."""
        self._open.close()


def shares(seconds: Mapping[tuple[str, ...], float], total: float) -> list[dict[str, Any]]:
    """Parts with their seconds, share of all and own parts, the longest first; what is in none of them is the rest.

    Args:
        seconds: of each part, by its name behind those of the parts that it is within; parts within it included.
        total: seconds of all.
    """
    return _parts(seconds, (), total, total)


def _parts(
    seconds: Mapping[tuple[str, ...], float], within: tuple[str, ...], here: float, total: float
) -> list[dict[str, Any]]:
    own = {part: spent for part, spent in seconds.items() if part[:-1] == within}
    if not own:
        return []
    parts: list[dict[str, Any]] = []
    for part, spent in sorted(own.items(), key=lambda pair: -pair[1]):
        told = {"name": part[-1], "seconds": round(spent, 4), "share": round(spent / total, 4)}
        inner = _parts(seconds, part, spent, total)
        parts.append(told | ({"parts": inner} if inner else {}))
    rest = max(here - sum(own.values()), 0.0)
    return [*parts, {"name": REST, "seconds": round(rest, 4), "share": round(rest / total, 4)}]


def in_words(found: Mapping[str, Any]) -> str:
    """A profile as lines of text: what `PROFILE` holds, in seconds a step."""
    steps, rows = found["steps"], list(_rows(found["parts"], 1))
    width = max(len(name) for name, _ in rows)
    head = f"a step took {found['seconds'] / steps:.2f} s on average of {steps}, on {found['device']}:"
    lines = [f"{name:{width}}  {part['seconds'] / steps:8.3f} s  {100 * part['share']:5.1f} %" for name, part in rows]
    return "\n".join([head, *lines])


def _rows(parts: list[dict[str, Any]], depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in parts:
        yield "  " * depth + part["name"], part
        yield from _rows(part.get("parts", []), depth + 1)
