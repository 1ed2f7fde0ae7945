"""A training stage from its recipe to the folder of the trained model: the same steps for imitation and reinforcement.

>>> from thinkseg.training.config import load_recipe
>>> final = train_recipe(load_recipe("recipes/pocket/rl.yaml"))  # doctest: +SKIP

What differs between the two is a `Stage`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from thinkseg.errors import RecipeError
from thinkseg.imaging import load_image
from thinkseg.models.base import Segmenter
from thinkseg.models.prompting import prompted
from thinkseg.models.segmenter import load_segmenter
from thinkseg.training import runs
from thinkseg.training.callbacks import IOU, OnStep
from thinkseg.training.checkpoints import warn
from thinkseg.training.config import Recipe
from thinkseg.training.deadline import Deadline
from thinkseg.training.endings import machine_told
from thinkseg.training.holding_out import HeldOut, hold_out
from thinkseg.training.memory import estimate, refuse_too_little
from thinkseg.training.next_step import next_command
from thinkseg.training.policy import load_policy
from thinkseg.training.resuming import Layout, claimed, from_main_process, record_kept
from thinkseg.training.run_page import RunPage, run_facts
from thinkseg.training.saving import FINAL, save_final
from thinkseg.training.sections import MOST_ROWS
from thinkseg.training.sheets import SampleSheets
from thinkseg.training.sources import load_samples
from thinkseg.training.stage import CreateTrainer, PreparedRun, Stage
from thinkseg.training.trackers import show_sheet
from thinkseg.training.validation import Validated, Validator
from thinkseg.training.watching import Validating, end_of_exhausted
from thinkseg.types import Sample

CreateValidating = Callable[[PreparedRun, Sequence[Sample]], Validating]
"""What makes the validation of a run from its held-out samples."""


@dataclass(frozen=True, slots=True)
class Making:
    """What makes the parts of a run; None for what is usual."""

    trainer: CreateTrainer | None = None
    """In place of TRL's class."""
    validating: CreateValidating | None = None
    """In place of `create_validating`."""


def train_recipe(
    recipe: Recipe,
    *,
    samples: Sequence[Sample] | HeldOut | None = None,
    segmenter: Segmenter | None = None,
    on_step: OnStep | None = None,
    resume: bool = False,
    allow: Collection[str] = (),
    making: Making | None = None,
    seconds: float | None = None,
) -> Path:
    """Train a model.

    Args:
        recipe: what to train, how and on what.
        samples: in place of the recipe's data. For sft, one without a reference answer gets the boxes and points of its
            masks. A `HeldOut` has those to validate on, too.
        segmenter: in place of the recipe's segmenter, which is loaded only if a part of the reward looks at masks, or
            held-out samples are.
        on_step: called after every logged step with the step, the number of steps in all and the step's record (see
            `thinkseg.training.callbacks.LogEntry`).
        resume: go on from the newest whole checkpoint in the recipe's output folder.
        allow: dotted names of settings that may be others than those the run began with, when it goes on.
        making: makes parts of the run in place of what is usual.
        seconds: after which training ends, if the recipe's steps have not ended it before; None for no limit. The
            model is saved as at the recipe's own end.

    Returns:
        The folder of the trained model.

    Raises:
        InputError: the recipe, a model or the data cannot be used.
        TrainingStopped: the run was interrupted and has saved itself.
        TrainingDiverged: a loss, a gradient or a weight is not finite.
        RewardDead: the reward has taught nothing for too long, and the run has saved itself.
        ThinkSegError: the disk or the memory is full, or another process of the run is gone.
    """
    stage, making = stage_of(recipe), making or Making()
    with runs.quiet_libraries():
        args = stage.arguments(recipe)
        held_out = hold_out(recipe, load_samples, samples)
        plan = stage.plan(recipe, args, len(held_out.train))
        if max(plan.steps, plan.rows) > MOST_ROWS:
            raise RecipeError(
                f"a run can have at most {MOST_ROWS:,} rows; this one would have {plan.rows:,} in {plan.steps:,} "
                "steps: ask for fewer 'steps' or 'epochs', or for smaller batches"
            )
        args.max_steps, args.save_steps = plan.steps, recipe.save_every or plan.steps
        batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        sampled = getattr(args, "generation_batch_size", None)
        layout = Layout(plan.steps, len(held_out.train), args.world_size, batch, sampled)
        is_main = runs.is_main_process()
        if args.device.type == "cuda":  # in every process, or the others would wait for the one that is refused
            _tell_memory(recipe, args, is_main)
        with ExitStack() as kept:
            # What refuses the main process refuses all, or the others would wait for it.
            from_main_process(lambda: kept.enter_context(claimed(recipe.output)), is_main)
            begin = kept.enter_context(record_kept(recipe.output)) if is_main else None
            kept.enter_context(machine_told(recipe.output))
            checkpoint = from_main_process(lambda: runs.open_run(recipe, resume, allow, layout), is_main)
            ended = end_of_exhausted(recipe.validation, checkpoint)
            if ended is not None:  # its final folder is all that is left to be written
                plan = stage.plan(recipe.replaced(steps=ended, epochs=None, save_every=None), args, len(held_out.train))
                args.max_steps = plan.steps
            stage.check_servers(recipe, args, getattr(args, "vllm_server_timeout", 0.0))
            policy = load_policy(recipe, str(args.device))
            if recipe.validation is not None and segmenter is None:  # one for the rewards and for this
                segmenter = prompted(load_segmenter(recipe.segmenter, device=str(args.device)), policy.config)
            prepared = PreparedRun(recipe, args, plan, policy, held_out.train, segmenter)
            with runs.trl_explained(stage.trainer):
                ready = stage.create_trainer(prepared, making.trainer or _trl(stage.trainer))
            watching = _watching(prepared, held_out, making, on_step)
            with watching.page.kept_up() if is_main else nullcontext():
                if seconds is not None:
                    ready.add_callback(Deadline(seconds))
                with stage.while_training(policy.reasoner):
                    runs.run_trainer(
                        ready,
                        recipe,
                        policy,
                        checkpoint,
                        watching.on_step,
                        plan.resumable_every,
                        partial(_begin, watching.page, begin),
                        watching.validating,
                    )
                return save_final(ready, policy, recipe)


def _tell_memory(recipe: Recipe, args: Any, is_main: bool) -> None:
    """Hold what the run needs on each card against what this one has, before a model is loaded.

    Raises:
        RecipeError: it is clearly too little.
    """
    import torch

    needed = estimate(recipe, args)
    trouble = refuse_too_little(needed, torch.cuda.get_device_properties(args.device).total_memory)
    if needed is not None and is_main:
        warn(trouble or f"memory of the card: {needed.in_words()}")


@dataclass(frozen=True, slots=True)
class _Watching:
    """What shows a run while it goes on."""

    page: RunPage
    on_step: OnStep
    validating: Validating | None


def _watching(run: PreparedRun, held_out: HeldOut, making: Making, on_step: OnStep | None) -> _Watching:
    recipe, settings = run.recipe, run.recipe.validation
    count = 0 if settings is None else settings.shown
    sheets = SampleSheets(recipe.output, held_out.validation, count, run.policy.answer_format)
    final = recipe.output / FINAL
    page = RunPage(recipe.output, run_facts(run, held_out), sheets, lambda: next_command(recipe, final))
    validating = None
    if settings is not None:
        validating = (making.validating or create_validating)(run, held_out.validation)
        validating.shown_by(partial(_show, sheets, page))
    return _Watching(page, page.following(on_step), validating)


def _show(sheets: SampleSheets, page: RunPage, trainer: Any, validated: Validated) -> None:
    """Show a validation in all places where the run is watched."""
    sheet = sheets.draw(validated)
    if sheet is not None:
        caption = f"step {validated.step}: mean IoU {validated.metrics[IOU]:.3f}"
        show_sheet(trainer, load_image(sheet), caption)
    page.write("running")


def _begin(page: RunPage, begin: Callable[[], None] | None) -> None:
    page.begin()
    if begin is not None:
        begin()


def create_validating(run: PreparedRun, samples: Sequence[Sample]) -> Validating:
    """What validates a run on held-out samples."""
    settings = run.recipe.validation
    assert settings is not None
    assert run.segmenter is not None
    validate = Validator(run.policy, run.segmenter, samples, settings.batch_size)
    return Validating(run.recipe, run.policy, validate, resumable_every=run.plan.resumable_every)


def stage_of(recipe: Recipe) -> Stage:
    """The stage that a recipe is for."""
    from thinkseg.training import grpo, sft

    return grpo.STAGE if recipe.stage == "rl" else sft.STAGE


def _trl(name: str) -> CreateTrainer:
    import trl

    trainer: CreateTrainer = getattr(trl, name)
    return trainer
