"""A training stage from its recipe to the folder of the trained model: the same steps for imitation and reinforcement.

>>> from thinkseg.training.config import load_recipe
>>> final = train_recipe(load_recipe("recipes/pocket/rl.yaml"))  # doctest: +SKIP

What differs between the two is a `Stage`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

from thinkseg.errors import RecipeError
from thinkseg.models.base import Segmenter
from thinkseg.training import runs
from thinkseg.training.callbacks import OnStep
from thinkseg.training.config import MOST_ROWS, Recipe
from thinkseg.training.deadline import Deadline
from thinkseg.training.policy import load_policy
from thinkseg.training.resuming import Layout, claimed, from_main_process, record_kept
from thinkseg.training.sources import load_samples
from thinkseg.training.stage import CreateTrainer, PreparedRun, Stage
from thinkseg.types import Sample


def train_recipe(
    recipe: Recipe,
    *,
    samples: Sequence[Sample] | None = None,
    segmenter: Segmenter | None = None,
    on_step: OnStep | None = None,
    resume: bool = False,
    allow: Collection[str] = (),
    trainer: CreateTrainer | None = None,
    seconds: float | None = None,
) -> Path:
    """Train a model.

    Args:
        recipe: what to train, how and on what.
        samples: in place of the recipe's data. For sft, one without a reference answer gets the boxes and points of its
            masks.
        segmenter: in place of the recipe's segmenter, which is loaded only if a part of the reward looks at masks.
        on_step: called after every logged step with the step, the number of steps in all and the step's record (see
            `thinkseg.training.callbacks.LogEntry`).
        resume: go on from the newest whole checkpoint in the recipe's output folder.
        allow: dotted names of settings that may be others than those the run began with, when it goes on.
        trainer: makes the trainer in place of TRL's class.
        seconds: after which training ends, if the recipe's steps have not ended it before; None for no limit. The
            model is saved as at the recipe's own end.

    Returns:
        The folder of the trained model.

    Raises:
        InputError: the recipe, a model or the data cannot be used.
        TrainingStopped: the run was interrupted and has saved itself.
        TrainingDiverged: a loss, a gradient or a weight is not finite.
    """
    stage = _stage_of(recipe)
    with runs.quiet_libraries():
        args = stage.arguments(recipe)
        samples = load_samples(recipe.data) if samples is None else samples
        plan = stage.plan(recipe, args, len(samples))
        if max(plan.steps, plan.rows) > MOST_ROWS:
            raise RecipeError(
                f"a run can have at most {MOST_ROWS:,} rows; this one would have {plan.rows:,} in {plan.steps:,} "
                "steps: ask for fewer 'steps' or 'epochs', or for smaller batches"
            )
        args.max_steps, args.save_steps = plan.steps, recipe.save_every or plan.steps
        layout = Layout(plan.steps, len(samples), args.world_size)
        is_main = runs.is_main_process()
        with claimed(recipe.output) if is_main else nullcontext():
            with record_kept(recipe.output) if is_main else nullcontext() as begin:
                checkpoint = from_main_process(lambda: runs.open_run(recipe, resume, allow, layout), is_main)
                policy = load_policy(recipe)
                prepared = PreparedRun(recipe, args, plan, policy, samples, segmenter)
                with runs.trl_explained(stage.trainer):
                    ready = stage.create_trainer(prepared, trainer or _trl(stage.trainer))
                with stage.while_training(policy.reasoner):
                    if seconds is not None:
                        ready.add_callback(Deadline(seconds))
                    runs.run_trainer(ready, recipe, policy, checkpoint, on_step, plan.resumable_every, on_begin=begin)
            return runs.save_final(ready, policy, recipe.output)


def _stage_of(recipe: Recipe) -> Stage:
    from thinkseg.training import grpo, sft

    return grpo.STAGE if recipe.stage == "rl" else sft.STAGE


def _trl(name: str) -> CreateTrainer:
    import trl

    trainer: CreateTrainer = getattr(trl, name)
    return trainer
