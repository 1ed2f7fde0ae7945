"""Reinforcement: TRL's `GRPOTrainer` with the segmenter inside the reward.

>>> from thinkseg.training.config import load_recipe
>>> final = train_rl(load_recipe("recipes/pocket/rl.yaml"))  # doctest: +SKIP

Each step samples a group of completions for each of a few prompts, scores every part of the reward, and moves the model
towards what scored above its group's mean. How the parts are weighed, normalised and clipped is TRL's business and is
said in the recipe. Rollouts are sampled without a repetition penalty; the prompt is never truncated; tokens that stand
for images cannot be sampled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.errors import RecipeError
from thinkseg.models.base import Segmenter
from thinkseg.models.segmenter import load_segmenter
from thinkseg.rewards.rubric import Rubric
from thinkseg.training import runs
from thinkseg.training.callbacks import OnStep
from thinkseg.training.config import Recipe
from thinkseg.training.policy import Policy, load_policy
from thinkseg.training.rows import RowBuilder, Rows, Schedule
from thinkseg.training.sources import load_samples
from thinkseg.training.trl_settings import never_sampled, refuse_missing_vllm
from thinkseg.training.vllm_rollouts import (
    collapse_image_tokens,
    refuse_grown_vocabulary,
    refuse_impossible_vllm,
    vllm_explained,
)
from thinkseg.types import Sample


def train_rl(
    recipe: Recipe,
    *,
    samples: Sequence[Sample] | None = None,
    segmenter: Segmenter | None = None,
    on_step: OnStep | None = None,
    resume: bool = False,
) -> Path:
    """Train a model by GRPO.

    Args:
        recipe: what to train, how and on what.
        samples: in place of the recipe's data.
        segmenter: in place of the recipe's segmenter, which is loaded only if a part of the reward looks at masks.
        on_step: called after every logged step with the step, the number of steps in all and the step's record (see
            `thinkseg.training.callbacks.Record`).
        resume: go on from the newest checkpoint in the recipe's output folder.

    Returns:
        The folder of the trained model.

    Raises:
        InputError: the recipe, a model or the data cannot be used.
        TrainingStopped: the run was interrupted and has saved itself.
    """
    if recipe.stage != "rl":
        raise RecipeError(f"this recipe is for {recipe.stage}, not for rl")
    with runs.quiet_libraries():
        return _train(recipe, samples, segmenter, on_step, resume)


def _train(
    recipe: Recipe,
    samples: Sequence[Sample] | None,
    segmenter: Segmenter | None,
    on_step: OnStep | None,
    resume: bool,
) -> Path:
    refuse_missing_vllm(recipe.trl)
    samples = load_samples(recipe.data) if samples is None else samples
    args = runs.trl_arguments(  # before any model is loaded, since it chooses this process's device
        recipe,
        temperature=recipe.generation.temperature,
        repetition_penalty=1.0,
        reward_weights=list(recipe.rewards.values()),
        shuffle_dataset=False,
    )
    refuse_impossible_vllm(args)
    plan = plan_run(recipe, args, len(samples))
    checkpoint = runs.open_run(recipe, resume)
    policy = load_policy(recipe)
    if args.use_vllm:
        refuse_grown_vocabulary(policy.reasoner.model)
    _complete(args, recipe, policy, plan)
    if segmenter is None and Rubric(policy.answer_format, recipe.rewards).needs_masks:
        segmenter = load_segmenter(recipe.segmenter, device=str(args.device))
    trainer = _create_trainer(recipe, args, policy, samples, segmenter, plan)
    with policy.reasoner.family.encoding_once(policy.reasoner.model):
        runs.run_trainer(trainer, recipe, policy, checkpoint, on_step, plan.resumable_every)
    return runs.save_final(trainer, policy, recipe.output)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is laid out."""

    steps: int
    """Optimiser steps in all."""
    rows: int
    """Prompts in all, each of which gets a group of completions."""
    resumable_every: int
    """After each so many steps all rollouts are used up, and the run can be resumed exactly."""


def plan_run(recipe: Recipe, args: Any, samples: int) -> Plan:
    """Lay out a run, so that the last sample of the last epoch is trained on, too.

    Args:
        recipe: how long to train.
        args: TRL's `GRPOConfig`, for its batch sizes.
        samples: how many there are.

    Raises:
        RecipeError: checkpoints are asked for at steps from which a run could not be resumed.
    """
    prompts = args.generation_batch_size // args.num_generations
    micro_steps = args.steps_per_generation * args.num_iterations  # forward passes that a set of rollouts serves
    per_step = args.gradient_accumulation_steps
    if recipe.steps is None:
        rollouts = math.ceil((recipe.epochs or 1.0) * samples / prompts)
        steps = max(1, rollouts * micro_steps // per_step)
    else:
        steps = recipe.steps
    rollouts = math.ceil(steps * per_step / micro_steps)
    resumable_every = micro_steps // math.gcd(micro_steps, per_step)
    if recipe.save_every is not None and recipe.save_every % resumable_every:
        raise RecipeError(
            f"'save_every' should be a multiple of {resumable_every}, the steps that a set of rollouts serves, so that "
            f"the run can be resumed exactly; found {recipe.save_every}"
        )
    return Plan(steps, rollouts * prompts, resumable_every)


def _complete(args: Any, recipe: Recipe, policy: Policy, plan: Plan) -> None:
    """Put what follows from the model and the plan into TRL's configuration."""
    args.max_steps = plan.steps
    args.save_steps = recipe.save_every or plan.steps
    args.max_completion_length = policy.reasoner.max_new_tokens
    never = never_sampled(args.use_vllm, sorted(policy.reasoner.vision_token_ids))
    args.generation_kwargs = {**never, **(args.generation_kwargs or {})}


def _create_trainer(
    recipe: Recipe, args: Any, policy: Policy, samples: Sequence[Sample], segmenter: Segmenter | None, plan: Plan
) -> Any:
    """TRL's trainer, with one reward function for each part that has a weight."""
    from trl import GRPOTrainer

    rubric = Rubric(policy.answer_format, recipe.rewards, segmenter)
    schedule = Schedule(len(samples), recipe.seed, recipe.data.shuffle)
    reasoner = policy.reasoner
    builder = RowBuilder(samples, schedule, policy.answer_format, reasoner)
    with vllm_explained(args.vllm_mode):
        trainer = GRPOTrainer(
            model=reasoner.model,
            processing_class=reasoner.processor,
            reward_funcs=rubric.reward_functions(),
            args=args,
            train_dataset=Rows(builder, plan.rows),
            peft_config=runs.lora_config(recipe.model.lora, reasoner.family),
        )
    if args.use_vllm and args.vllm_mode == "colocate":
        collapse_image_tokens(trainer.vllm_generation, reasoner.family.image_token_id(reasoner.model.config))
    return trainer
