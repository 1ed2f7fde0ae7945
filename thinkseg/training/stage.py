"""What a training stage does its own way: `thinkseg.training.sft` and `thinkseg.training.grpo` hold one each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from thinkseg.models.base import Segmenter
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.training.config import Recipe
from thinkseg.training.policy import Policy
from thinkseg.types import Sample

CreateTrainer = Callable[..., Any]
"""What makes a trainer from the named arguments of TRL's: its class, or a stand-in."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is laid out."""

    steps: int
    """Optimiser steps in all."""
    rows: int
    """Rows of training data in all: prompts, each of which gets a group of completions in rl."""
    resumable_every: int = 1
    """After each so many steps all rollouts are used up, and the run can be resumed exactly."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """All that a trainer is made of."""

    recipe: Recipe
    args: Any
    """TRL's configuration."""
    plan: Plan
    policy: Policy
    samples: Sequence[Sample]
    segmenter: Segmenter | None
    """In place of the recipe's, or None."""


def _nothing_open(reasoner: TransformersReasoner) -> AbstractContextManager[None]:
    return nullcontext()


def _no_servers(recipe: Recipe, args: Any, patience: float) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage does its own way."""

    trainer: str
    """The name of TRL's trainer."""
    arguments: Callable[[Recipe], Any]
    """TRL's configuration, its steps still open. It chooses this process's device, so that it comes before a model."""
    plan: Callable[[Recipe, Any, int], Plan]
    """The plan of a run, from the recipe, TRL's configuration and the number of samples."""
    create_trainer: Callable[[PreparedRun, CreateTrainer], Any]
    """The trainer, ready to train."""
    check_servers: Callable[[Recipe, Any, float], None] = _no_servers
    """Refuses what the run would reach over the network, before a model is loaded: recipe, TRL's configuration, and
    seconds to wait for what is still starting."""
    while_training: Callable[[TransformersReasoner], AbstractContextManager[None]] = _nothing_open
    """What is open while the model trains."""
