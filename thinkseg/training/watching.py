"""What happens at a validation, in this order: it is logged, the best model is kept, and whoever watches is shown it.

A validation comes before the first step, after each so many steps and after the last one, behind the log of its step
and before its checkpoint. Which model was the best and how long ago is worked out from the history that a checkpoint
keeps, so that a run that is killed and goes on ends with the same ``best`` and stops at the same step.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from thinkseg.training.best import forget_best, mend_best, write_best
from thinkseg.training.checkpoints import Warn, warn
from thinkseg.training.config import Recipe
from thinkseg.training.contents import STATE
from thinkseg.training.policy import Policy
from thinkseg.training.sections import Validation
from thinkseg.training.validation import Validated, best_of, is_exhausted, scores_of

Validate = Callable[[Any, int], Validated]
"""As `thinkseg.training.validation.Validator`: measures the model of a trainer after a step."""


Watcher = Callable[[Any, Validated], None]
"""Is shown the trainer and each validation, in the process that writes."""


class Validating(TrainerCallback):
    """Validates at its steps, keeps the best model, and ends a training that gets no better.

    Args:
        recipe: what is said under `validation`, and the run's folder.
        policy: what is trained.
        validate: measures the model.
        resumable_every: a run can be resumed exactly after each so many steps, and stops only there.
        say: tells the user.
    """

    def __init__(
        self,
        recipe: Recipe,
        policy: Policy,
        validate: Validate,
        resumable_every: int = 1,
        say: Warn = warn,
    ) -> None:
        assert recipe.validation is not None
        self._settings: Validation = recipe.validation
        self._output = recipe.output
        self._policy = policy
        self._validate = validate
        self._watchers: list[Watcher] = []
        self._resumable_every = resumable_every
        self._say = say
        self._trainer: Any = None

    def shown_by(self, watcher: Watcher) -> None:
        """Show every validation to it."""
        self._watchers.append(watcher)

    def watch(self, trainer: Any) -> None:
        """Let a trainer validate where it would evaluate."""
        self._trainer = trainer
        trainer.evaluate = self.evaluate

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure what training starts from."""
        is_start = state.global_step == 0
        if state.is_world_process_zero:
            (forget_best if is_start else mend_best)(self._output)
        if is_start:
            self.evaluate()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for a validation where one is due, and for the end where there is no more to be gained."""
        control.should_evaluate = state.global_step % self._settings.every == 0 or state.global_step >= state.max_steps
        self._stop_if_exhausted(state, control)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Validate now; in place of the trainer's own evaluation."""
        trainer, state = self._trainer, self._trainer.state
        trainer.control.should_evaluate = False  # or the end of the epoch would do it once more
        before = best_of(scores_of(state.log_history))
        validated = self._validate(trainer, state.global_step)
        # Not TRL's own method, which would show the completions of the step once more.
        Trainer.log(trainer, dict(validated.metrics))
        best = best_of(scores_of(state.log_history))
        assert best is not None
        if self._settings.best and before is not None and best != before:
            write_best(trainer, self._policy, self._output, validated)
        if state.is_world_process_zero:
            for watcher in self._watchers:
                watcher(trainer, validated)
        if is_exhausted(scores_of(state.log_history), self._settings.patience) and state.is_world_process_zero:
            self._say(
                f"no validation since step {best[0]} (mean IoU {best[1]:.3f}) was better, for "
                f"{self._settings.patience} in succession ('validation.patience'): training ends here"
            )
        self._stop_if_exhausted(state, trainer.control)
        return dict(validated.metrics)

    def _stop_if_exhausted(self, state: TrainerState, control: TrainerControl) -> None:
        if state.global_step % self._resumable_every or not state.global_step:
            return
        if is_exhausted(scores_of(state.log_history), self._settings.patience):
            control.should_save = control.should_training_stop = True


def end_of_exhausted(settings: Validation | None, checkpoint: Path | None) -> int | None:
    """The step at which a run that goes on has ended already, since it got no better; None where it has not.

    Args:
        settings: of the recipe.
        checkpoint: that the run goes on from, or None.
    """
    if settings is None or checkpoint is None:
        return None
    state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    exhausted = is_exhausted(scores_of(state.get("log_history", [])), settings.patience)
    return int(state["global_step"]) if exhausted else None
