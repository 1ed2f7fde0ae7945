"""The model in training, measured on held-out samples by the very path that an evaluation takes: text, masks, records.

Nothing of it is left in the training: random numbers, the model's mode and its weights are what they were. The
segmenter is loaded once and keeps its encodings, so that a validation costs the reasoner's answers and little more. Of
several processes each measures its part of the samples.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from thinkseg.evaluation.records import PredictionRecord, RunHeader
from thinkseg.evaluation.run import Run, evaluate
from thinkseg.models.base import Reasoner, Segmenter
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.prompting import remembering
from thinkseg.stopwatch import timed, unheard
from thinkseg.training.callbacks import IOU, SECONDS
from thinkseg.training.holding_out import SamplesAt
from thinkseg.training.policy import Policy
from thinkseg.types import Completion, Request, Sample, Size

MEASURES: Mapping[str, str] = {
    "giou": IOU,
    "s_measure": "eval_s_measure",
    "parse_failures": "eval_parse_failures",
    "correct_abstentions": "eval_correct_abstentions",
    "false_abstentions": "eval_false_abstentions",
}
"""What is measured, and the name that the log has it by."""


@dataclass(frozen=True, slots=True)
class Validated:
    """One validation."""

    step: int
    """After which optimiser step; 0 is the model that training starts from."""
    metrics: Mapping[str, float]
    """By the names of `MEASURES`, `eval_iou/TASK` where there are several tasks, and `SECONDS`."""
    records: Sequence[PredictionRecord]
    """One per sample, in order."""


class Validator:
    """Measures the model on the held-out samples.

    Args:
        policy: what is trained.
        segmenter: turns its answers into masks, as an evaluation would.
        samples: with masks.
        batch_size: how many are answered at a time.
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        policy: Policy,
        segmenter: Segmenter,
        samples: Sequence[Sample],
        batch_size: int = 16,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._segmenter = remembering(segmenter)
        self.samples = samples
        self._batch_size = batch_size
        self._clock = clock

    def __call__(self, trainer: Any, step: int) -> Validated:
        """Measure the model as it is now.

        Args:
            trainer: TRL's, which knows where the weights are.
            step: after which optimiser step.

        Raises:
            InputError: a sample cannot be used, such as one without a mask.
        """
        began = self._clock()
        rank, processes = trainer.accelerator.process_index, trainer.accelerator.num_processes
        mine = range(rank, len(self.samples), processes)
        header = RunHeader("validation", "the model in training", "", "", 0)
        with timed("validation"), unheard(), randomness_kept(), in_use(trainer):
            reasoner = _Reasoning(self._policy.reasoner, trainer.accelerator.autocast)
            pipeline = Pipeline(
                reasoner, self._segmenter, self._policy.answer_format, self._policy.wording, self._policy.config
            )
            samples = SamplesAt(self.samples, mine)
            run = evaluate(pipeline, samples, None, header, batch_size=self._batch_size, measures=tuple(MEASURES))
        records = _gathered(list(zip(mine, run.records, strict=True)), processes)
        run = Run.from_records(header, records, tuple(MEASURES))
        return Validated(step, _metrics(run) | {SECONDS: round(self._clock() - began, 3)}, records)


def _metrics(run: Run) -> dict[str, float]:
    found = {logged: run.metrics[name].value for name, logged in MEASURES.items() if name in run.metrics}
    if len(run.by_task) > 1:
        found |= {f"{IOU}/{task}": measured["giou"].value for task, measured in run.by_task.items()}
    return found


def _gathered(mine: list[tuple[int, PredictionRecord]], processes: int) -> list[PredictionRecord]:
    """The records of all processes, in the order of the samples."""
    if processes > 1:
        from accelerate.utils import gather_object

        mine = gather_object(mine)
    return [record for _, record in sorted(mine, key=lambda pair: pair[0])]


@dataclass(frozen=True, slots=True)
class _Reasoning:
    """The reasoner in training: its forward passes run in the training's precision, the segmenter's do not."""

    reasoner: Reasoner
    autocast: Callable[[], AbstractContextManager[Any]]

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order."""
        with self.autocast():
            return self.reasoner.complete(requests)

    def frame_of(self, image: Image.Image) -> Size:
        """The frame of this image's coordinates."""
        return self.reasoner.frame_of(image)


@contextmanager
def randomness_kept() -> Iterator[None]:
    """While this is open, random numbers may be drawn; afterwards all generators go on where they were."""
    python, arrays = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)


@contextmanager
def in_use(trainer: Any) -> Iterator[None]:
    """While this is open, the model that is trained writes answers: whole in each process, and in evaluation mode."""
    from trl.models import unwrap_model_for_generation

    model, was_training = trainer.model, trainer.model.training
    how = getattr(trainer.args, "gradient_checkpointing_kwargs", None)
    with (
        unwrap_model_for_generation(
            trainer.model_wrapped, trainer.accelerator, gradient_checkpointing_kwargs=how
        ) as whole,
        _gathered_weights(trainer),
    ):
        whole.eval()
        try:
            yield
        finally:
            model.train(was_training)
            whole.train(was_training)


def _gathered_weights(trainer: Any) -> AbstractContextManager[Any]:
    """As TRL's own rollouts have it: what PyTorch's FSDP has spread over the processes is whole in each."""
    if not trainer.is_fsdp_enabled:
        return nullcontext()
    from torch.distributed.fsdp import FullyShardedDataParallel

    whole: AbstractContextManager[Any] = FullyShardedDataParallel.summon_full_params(
        trainer.model_wrapped, recurse=False
    )
    return whole


def scores_of(history: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Step and mean IoU of each validation that a trainer's state remembers, in order."""
    return [(entry["step"], entry[IOU]) for entry in history if IOU in entry]


def best_of(scores: Sequence[tuple[int, float]]) -> tuple[int, float] | None:
    """The highest of them, the first one of equal ones; None of none."""
    return max(scores, key=lambda score: score[1], default=None)


def is_exhausted(scores: Sequence[tuple[int, float]], patience: int | None) -> bool:
    """Whether so many validations in succession, up to the last one, have brought no higher mean IoU."""
    best = best_of(scores)
    if patience is None or best is None:
        return False
    return len(scores) - 1 - scores.index(best) >= patience
