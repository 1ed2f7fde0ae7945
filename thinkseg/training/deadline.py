"""A run that has so many seconds in place of so many steps: the speed of its first steps says how many it will be.

From then on the learning rate falls linearly, to nothing at the last of them, as it would in a run of so many steps.
"""

from __future__ import annotations

import time
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from thinkseg.meter import Clock
from thinkseg.results.record import counted
from thinkseg.training.checkpoints import Warn, warn

MEASURED_STEPS = 3
"""Steps after the first by which the speed is measured; the first one also warms everything up."""

FEW_STEPS = 10
"""Below so many, a run that ends by its time says that it had too little of it."""


class Deadline(TrainerCallback):
    """Ends a run, as if its last step had come, before its time is up. At least one step is done.

    Args:
        seconds: from the start of this process's training on.
        say: is told how many steps there will be, once that is known.
        clock: tells the time.
    """

    def __init__(self, seconds: float, say: Warn = warn, clock: Clock = time.monotonic) -> None:
        self._seconds = seconds
        self._say = say
        self._clock = clock
        self._ends: list[float] = []
        self._began = clock()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._began, self._ends = self._clock(), []

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        lr_scheduler: Any = None,
        **kwargs: Any,
    ) -> None:
        """Measure, plan, and stop where another step would end too late."""
        self._ends.append(self._clock())
        if len(self._ends) <= 1:
            pace = self._ends[0] - self._began
        else:
            last = self._ends[-MEASURED_STEPS - 1 :]
            pace = (last[-1] - last[0]) / (len(last) - 1)
        left = self._seconds - (self._ends[-1] - self._began)
        more = int(left / pace) if pace > 0 else state.max_steps
        if len(self._ends) == MEASURED_STEPS + 1 and state.global_step + more < state.max_steps:
            state.max_steps = state.global_step + max(more, 0)
            let_fall(lr_scheduler, state.global_step, state.max_steps)
            self._say(
                f"a step takes {pace:.1f} s: about {state.max_steps} steps in the {self._seconds:.0f} s that there are"
            )
        if more < 1:
            if state.global_step < FEW_STEPS:
                self._say(
                    f"only {counted(state.global_step, 'step')} fitted into the {self._seconds:.0f} s that there are, "
                    f"at {pace:.1f} s each: too few to learn much; more time gives more"
                )
            state.max_steps = state.global_step
            control.should_training_stop = True


def let_fall(scheduler: Any, start: int, end: int) -> None:
    """Let the learning rate of a schedule fall linearly from one step to another, where it is 0.

    Args:
        scheduler: PyTorch's `LambdaLR`, as transformers makes them, or what Accelerate wraps it in; others are left.
        start: the last step that has the schedule's own rate.
        end: the step where it is 0.
    """
    inner = getattr(scheduler, "scheduler", scheduler)
    if not isinstance(inner, LambdaLR) or end <= start:
        return

    def falling(rate: Any) -> Any:
        return lambda step: rate(step) * min(1.0, max(0.0, (end - step) / (end - start)))

    inner.lr_lambdas = [falling(rate) for rate in inner.lr_lambdas]
