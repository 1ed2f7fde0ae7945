"""Reinforcement: TRL's `GRPOTrainer` with the segmenter inside the reward.

Each step samples a group of completions for each of a few prompts, scores every part of the reward, and moves the model
towards what scored above its group's mean. How the parts are weighed, normalised and clipped is TRL's business and is
said in the recipe. Rollouts are sampled without a repetition penalty; the prompt is never truncated; tokens that stand
for images cannot be sampled.
"""

from __future__ import annotations

import importlib.util
import math
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from thinkseg.errors import RecipeError
from thinkseg.models.pipeline import pattern_of
from thinkseg.models.prompting import prompted, remembering
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.models.segmenter import load_segmenter
from thinkseg.rewards.rubric import Rubric
from thinkseg.training import runs
from thinkseg.training.config import Recipe
from thinkseg.training.ordering import create_schedule
from thinkseg.training.rows import RowBuilder, Rows
from thinkseg.training.spread import add_up_head
from thinkseg.training.stage import CreateTrainer, Plan, PreparedRun, Stage
from thinkseg.training.trl_settings import FindSpec, never_sampled, refuse_missing_vllm
from thinkseg.training.truths import refuse_missing_truth, tell_unused_masks
from thinkseg.training.vllm_rollouts import (
    collapse_image_tokens,
    refuse_grown_vocabulary,
    refuse_impossible_vllm,
    vllm_explained,
)
from thinkseg.training.vllm_server import check_server


def arguments(recipe: Recipe, find: FindSpec = importlib.util.find_spec) -> Any:
    """The recipe as TRL's `GRPOConfig`.

    Args:
        recipe: the recipe.
        find: finds an installed package by its name.

    Raises:
        RecipeError: TRL refuses it, or settings of it do not go together.
    """
    refuse_missing_vllm(recipe.trl, find)
    args = runs.trl_arguments(
        recipe,
        temperature=recipe.generation.temperature,
        repetition_penalty=1.0,
        reward_weights=list(recipe.reward_weights.values()),
        shuffle_dataset=False,
    )
    refuse_impossible_vllm(args)
    refuse_impossible_passes(recipe.tokens_per_pass, args)
    return args


def refuse_impossible_passes(tokens: int | None, args: Any) -> None:
    """Refuse passes filled by tokens where what spreads a run goes back through each micro-batch by itself.

    Args:
        tokens: `tokens_per_pass` of the recipe.
        args: TRL's `GRPOConfig`.

    Raises:
        RecipeError: DeepSpeed spreads the run.
    """
    if tokens is not None and args.deepspeed_plugin is not None:
        raise RecipeError(
            "'tokens_per_pass' does not go with DeepSpeed, which counts backward passes itself: leave it out, or "
            "launch with recipes/accelerate/fsdp2.yaml"
        )


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
        steps = math.ceil(rollouts * micro_steps / per_step)
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


def create_trainer(run: PreparedRun, create: CreateTrainer) -> Any:
    """TRL's trainer, with one reward function for each part that has a weight."""
    from thinkseg.training.shared_prefix.trainer import sharing

    recipe, args, reasoner = run.recipe, run.args, run.policy.reasoner
    if args.use_vllm:
        refuse_grown_vocabulary(reasoner.model)
    if recipe.generation.enforce_format:  # a policy's prompts open no thinking, so the whole is written
        args.vllm_structured_outputs_regex = pattern_of(run.policy.answer_format).whole
    args.max_completion_length = reasoner.max_new_tokens
    never = never_sampled(args.use_vllm, sorted(reasoner.vision_token_ids))
    args.generation_kwargs = {**never, **(args.generation_kwargs or {})}
    schedule = create_schedule(recipe, run.samples)
    builder = RowBuilder(run.samples, schedule, run.policy.answer_format, reasoner, wording=run.policy.wording)
    with vllm_explained(args.vllm_mode):
        trainer = sharing(create, recipe.shared_prefix, recipe.tokens_per_pass)(
            model=reasoner.model,
            processing_class=reasoner.processor,
            reward_funcs=_rubric(run).reward_functions(),
            args=args,
            train_dataset=Rows(builder, run.plan.rows),
            peft_config=runs.lora_config(recipe.model.lora, reasoner.family),
        )
    add_up_head(reasoner.model)
    if args.use_vllm and args.vllm_mode == "colocate":
        collapse_image_tokens(trainer.vllm_generation, reasoner.family.image_token_id(reasoner.model.config))
    return trainer


def _rubric(run: PreparedRun) -> Rubric:
    """The rubric, whose segmenter is loaded only where a part of the reward looks at masks.

    Raises:
        RecipeError: a part finds nothing in the samples to be scored against.
    """
    rubric = Rubric(run.policy.answer_format, run.recipe.rubric_weights, run.segmenter)
    refuse_missing_truth(rubric, run.samples)
    tell_unused_masks(rubric, run.samples)
    if rubric.segmenter is None and rubric.needs_masks:
        segmenter = load_segmenter(run.recipe.segmenter, device=str(run.args.device))
        rubric = replace(rubric, segmenter=prompted(segmenter, run.policy.config))
    if rubric.segmenter is not None and run.plan.rows > len(run.samples) and run.recipe.segmenter_memory:
        rubric = replace(rubric, segmenter=remembering(rubric.segmenter, run.recipe.segmenter_memory * 2**20))
    return rubric


def _images_encoded_once(reasoner: TransformersReasoner) -> AbstractContextManager[None]:
    return reasoner.family.encoding_once(reasoner.model)


def _check_servers(recipe: Recipe, args: Any, patience: float) -> None:
    check_server(recipe.model.path, args, patience)


STAGE = Stage("GRPOTrainer", arguments, plan_run, create_trainer, _check_servers, _images_encoded_once)
"""Reinforcement."""
