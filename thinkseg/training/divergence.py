"""A run stops at the step at which a number of it is not finite: nothing is learnt from there, and nothing is saved.

The loss of each part of a step, the gradients before they are applied and the weights after it are looked at. What was
saved before stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from thinkseg.errors import CheckpointError, ThinkSegError
from thinkseg.training.callbacks import any_process
from thinkseg.training.checkpoints import finished_checkpoints

_ADVICE = "try a lower learning rate (trl.learning_rate), a longer warm-up or gradients cut off at trl.max_grad_norm 1"


class TrainingDiverged(ThinkSegError):
    """Training came to numbers that are not finite, and was stopped there.

    Attributes:
        step: at which.
        checkpoint: the last one that was saved before, or None.
    """

    def __init__(self, step: int, what: str, checkpoint: Path | None) -> None:
        kept = (
            "no checkpoint was saved before it"
            if checkpoint is None
            else f"'{checkpoint}' is the last good checkpoint and stays as it is"
        )
        super().__init__(f"training diverged at step {step}: {what}; {kept}; {_ADVICE}")
        self.step = step
        self.checkpoint = checkpoint


class FiniteOnly(TrainerCallback):
    """Stops a run whose loss, gradients or weights are not finite.

    Args:
        folder: of the run, for the checkpoint that is named.
        scaled: whether gradients are scaled up (float16), so that some steps overflow, which the scaler leaves out.
    """

    def __init__(self, folder: Path, *, scaled: bool = False) -> None:
        self._folder = folder
        self._scaled = scaled
        self._losses: list[torch.Tensor] = []

    def watch(self, trainer: Any) -> None:
        """Keep the losses of a trainer, which it hides from its log where they are not finite."""
        step = trainer.training_step

        def training_step(*args: Any, **options: Any) -> Any:
            loss = step(*args, **options)
            self._losses.append(loss.detach())
            return loss

        trainer.training_step = training_step

    @contextmanager
    def explaining(self, state: Any) -> Iterator[None]:
        """While this is open, completions that cannot be drawn, since no probability is a number, end the run as well.

        Args:
            state: gives the trainer's state, a callable.
        """
        try:
            yield
        except RuntimeError as error:
            if "probability tensor contains" not in str(error):
                raise
            what = "the probabilities of the next token are not finite"
            raise self._diverged(state().global_step + 1, what) from error

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refuse a model that is broken before it is trained."""
        found = first_not_finite(kwargs["model"].named_parameters())
        if any_process(found is not None, args.device):
            raise CheckpointError(
                f"the model holds weights that are not finite before its first step ({_named(found)}), so that it "
                "cannot be trained; take another checkpoint"
            )

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the losses and the gradients of a step."""
        losses, self._losses = self._losses, []
        values = [float(value) for value in torch.stack(losses).flatten().tolist()] if losses else []
        wrong = [value for value in values if not math.isfinite(value)]
        if any_process(bool(wrong), args.device):
            raise self._diverged(state.global_step + 1, f"the loss is {wrong[0] if wrong else 'not finite'}")
        if self._scaled:
            return
        gradients = ((name, p.grad) for name, p in kwargs["model"].named_parameters() if p.grad is not None)
        found = first_not_finite(gradients)
        if any_process(found is not None, args.device):
            raise self._diverged(state.global_step + 1, f"the gradient is not finite ({_named(found)})")

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the weights that a step has made."""
        found = first_not_finite((name, p) for name, p in kwargs["model"].named_parameters() if p.requires_grad)
        if any_process(found is not None, args.device):
            raise self._diverged(state.global_step + 1, f"weights are not finite ({_named(found)})")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the gradients' norm, which overflows before they do, and makes nothing of a step."""
        norm = (logs or {}).get("grad_norm")
        if norm is not None and not math.isfinite(norm) and not self._scaled:
            raise self._diverged(state.global_step, f"the norm of the gradient is {norm}")

    def _diverged(self, step: int, what: str) -> TrainingDiverged:
        kept = [path for number, path in finished_checkpoints(self._folder) if number < step]
        return TrainingDiverged(step, what, kept[0] if kept else None)


def first_not_finite(tensors: Iterable[tuple[str, Any]]) -> str | None:
    """The name of the first tensor with an element that is not finite, or None. Nothing is copied."""
    names, largest = [], []
    for name, tensor in tensors:
        values = tensor.detach()
        values = values.to_local() if hasattr(values, "to_local") else values  # one process's part of it
        if values.numel() and values.is_floating_point():
            names.append(name)
            largest.append(torch.linalg.vector_norm(values, ord=math.inf).float())
    if not largest:
        return None
    device = largest[0].device
    finite = torch.isfinite(torch.stack([value.to(device) for value in largest])).tolist()
    return next((name for name, good in zip(names, finite, strict=True) if not good), None)


def _named(name: str | None) -> str:
    return f"'{name}'" if name is not None else "in another process"
