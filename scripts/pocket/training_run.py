"""What the two pocket trainings share: a log, a rate that falls over minutes or steps, and a state to go on from."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch


class TrainingRun:
    """A training of so many minutes or steps that can be stopped at any time and gone on with.

    Args:
        out: folder for `log.txt` and `state.pt`.
        length: in all, over every start of it.
        parts: what has a state, by name: models, optimisers.
        unit: "minutes" or "steps" of the length.
        save_every: seconds between two saves.

    Attributes:
        used: minutes used so far; those of evaluating do not count.
        step: steps so far.
    """

    def __init__(
        self, out: Path, length: float, parts: dict[str, Any], unit: str = "minutes", save_every: float = 300
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.length, self.parts, self.unit, self.save_every = out, length, parts, unit, save_every
        self.used, self.step = 0.0, 0
        self._state_file = out / "state.pt"
        if self._state_file.exists():
            state = torch.load(self._state_file, weights_only=True)
            for name, part in parts.items():
                part.load_state_dict(state[name])
            self.used, self.step = state["used"], state["step"]
        self.start_clock()

    def start_clock(self) -> None:
        """What was before this does not count."""
        self._last = self._saved = time.time()

    @property
    def share(self) -> float:
        """Of the length that is used up, 0…1."""
        return min(1.0, (self.step if self.unit == "steps" else self.used) / self.length)

    @property
    def over(self) -> bool:
        return self.share >= 1.0

    def rate(self, highest: float, warm_up: int) -> float:
        """A linear rise over so many steps, then half a cosine to 2 % over the length."""
        return float(highest * min(1.0, (self.step + 1) / warm_up) * (0.02 + 0.49 * (1 + np.cos(np.pi * self.share))))

    def tick(self) -> bool:
        """Count a step and its time; whether it is time to evaluate and save."""
        now = time.time()
        self.used, self._last, self.step = self.used + (now - self._last) / 60, now, self.step + 1
        return now - self._saved > self.save_every or self.over

    def save(self) -> None:
        """Keep the state, in one move, so that a stop at any moment leaves a whole one."""
        state = {name: part.state_dict() for name, part in self.parts.items()} | {"used": self.used, "step": self.step}
        fresh = self._state_file.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self._state_file)
        self.start_clock()

    def log(self, text: str) -> None:
        line = f"step {self.step}, {self.used:.1f} min: {text}\n"
        with (self.out / "log.txt").open("a", encoding="utf-8") as stream:
            stream.write(line)
        sys.stdout.write(line)
        sys.stdout.flush()


@torch.no_grad()
def average_into(average: torch.nn.Module, model: torch.nn.Module, step: int, keep: float) -> None:
    """An exponential moving average of weights, which keeps less while it is young; counters are copied."""
    keep = min(keep, (step + 1) / (step + 10))
    for mine, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1 - keep)
        else:
            mine.copy_(theirs)
