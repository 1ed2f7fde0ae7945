"""What is measured on a GPU, in the order of its worth."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.gpu.scale import Scale


@dataclass(frozen=True)
class Section:
    """A part of the measurements."""

    where: str
    """Module and function, which is given a `Scale` and gives what goes into the JSON."""
    needs: float
    """Seconds that it is thought to take on an H100, loading aside."""
    title: str

    def load(self) -> Callable[[Scale], dict[str, Any]]:
        """Its function; what it imports is heavy."""
        module, name = self.where.split(":")
        found: Callable[[Scale], dict[str, Any]] = getattr(importlib.import_module(f"benchmarks.gpu.{module}"), name)
        return found


SECTIONS: Mapping[str, Section] = {
    "card": Section("card:card", 8, "The card"),
    "step": Section("steps:step_3b", 75, "A step of GRPO, Qwen2.5-VL-3B, every weight"),
    "segmenter": Section("segmenting:segmenter", 30, "The segmenter, SAM 2.1 large"),
    "tests": Section("checks:tests", 90, "Tests marked gpu"),
    "adapters": Section("steps:adapters_3b", 55, "A step of GRPO, Qwen2.5-VL-3B, adapters of rank 16"),
    "rollouts": Section("rollouts:rollouts", 40, "Rollouts, Qwen2.5-VL-3B"),
    "attention": Section("attending:attention", 30, "Attention of packed rows"),
    "larger": Section("steps:step_7b", 60, "A step of GRPO, Qwen2.5-VL-7B, every weight"),
    "compile": Section("segmenting:compiled", 80, "The segmenter's encoder, compiled"),
}
