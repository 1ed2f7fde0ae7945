"""What a run would be, before it begins: the recipe resolved, the data counted and tried, the steps, the memory.

No weight is read and nothing is written. What would refuse the run for its settings or its data refuses here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thinkseg.answers.base import AnswerFormat
from thinkseg.errors import RecipeError
from thinkseg.geometry import reference_of
from thinkseg.imaging import load_image
from thinkseg.models.checkpoint_config import resolve_config
from thinkseg.models.published.wording import wording_for
from thinkseg.rewards.rubric import Rubric
from thinkseg.training.checkpoints import finished_checkpoints
from thinkseg.training.config import Recipe
from thinkseg.training.holding_out import HeldOut, even_places, hold_out
from thinkseg.training.memory import estimate, prompt_seen, refuse_too_little
from thinkseg.training.rows import read_named
from thinkseg.training.runs import digests_of_code, quiet_libraries
from thinkseg.training.sections import MOST_ROWS
from thinkseg.training.sources import load_samples, source_in_words
from thinkseg.training.stage import Plan, Stage
from thinkseg.training.truths import refuse_missing_truth
from thinkseg.types import Sample, Size

TRIED = 8
"""Samples that are read, images and masks, spread evenly over all."""

_NOT_KNOWN = "not known, since the model's config cannot be had, or part of the run lies in the memory of the CPU"


def dry_run(recipe: Recipe, stage: Stage) -> list[tuple[str, str]]:
    """What a run of the recipe would be, as names and values in words.

    Args:
        recipe: what to train, how and on what.
        stage: of the recipe.

    Raises:
        InputError: the recipe or its data cannot be used.
    """
    import torch

    with quiet_libraries():
        args = stage.arguments(recipe)
        stage.check_servers(recipe, args, 0.0)
        held_out = hold_out(recipe, load_samples)
        plan = stage.plan(recipe, args, len(held_out.train))
        if max(plan.steps, plan.rows) > MOST_ROWS:
            raise RecipeError(f"a run can have at most {MOST_ROWS:,} rows; this one would have {plan.rows:,}")
        digests_of_code(recipe)
        config = resolve_config(recipe.model.path, recipe.checkpoint_config())
        if config.format is None:
            raise RecipeError(f"nothing says in which format '{recipe.model.path}' answers; give the recipe a 'format'")
        wording = wording_for(recipe.model.path, config, required=recipe.sentences is not None)
        largest = _try_samples(recipe, held_out, wording.answer_format)
        longest = max((held_out.train[place] for place in _tried(held_out.train)), key=lambda sample: len(sample.query))
        needed = estimate(recipe, args, prompt_seen(recipe.model.path, config, largest, wording.instruction(longest)))
        trouble: str | None = None
        if args.device.type == "cuda":
            trouble = refuse_too_little(needed, torch.cuda.get_device_properties(args.device).total_memory)
    told = {
        "model": recipe.model.path + _adapters_of(recipe),
        "format": wording.answer_format.name,
        "data": f"{len(held_out.train):,} samples of {source_in_words(recipe.data)}; "
        f"{min(TRIED, len(held_out.train))} were read",
        "held out": f"{len(held_out.validation)} samples: {held_out.told}" if len(held_out.validation) else "none",
        "steps": f"{plan.steps:,}, each with {_step(recipe, args)}",
        "in all": _in_all(recipe, args, plan),
        "checkpoints": f"every {recipe.save_every or plan.steps:,} steps; {recipe.keep} stay",
        "device": str(args.device),
        "memory": _NOT_KNOWN if needed is None else trouble or needed.in_words(),
        "folder": f"{recipe.output}, {_state_of(recipe.output)}",
    }
    return list(told.items())


def _adapters_of(recipe: Recipe) -> str:
    lora = recipe.model.lora
    if lora is None:
        return ""
    return f", adapters of rank {lora.r}" + ("" if lora.bits is None else f" on weights in {lora.bits} bits")


def _tried(samples: Sequence[Sample]) -> Sequence[int]:
    return even_places(len(samples), TRIED) if len(samples) else ()


def _try_samples(recipe: Recipe, held_out: HeldOut, answer_format: AnswerFormat) -> Size:
    """Read a few samples as a run would; the size of the largest image among them."""
    sizes = [_try(recipe, held_out.train, place, answer_format) for place in _tried(held_out.train)]
    for place in _tried(held_out.validation):
        if read_named(held_out.validation, place).target is None:
            raise RecipeError("held-out samples are measured by their masks: give 'validation.data' that have masks")
    if recipe.stage == "rl":
        refuse_missing_truth(Rubric(answer_format, recipe.rubric_weights), held_out.train)
    return max(sizes, key=lambda size: size.width * size.height)


def _try(recipe: Recipe, samples: Sequence[Sample], place: int, answer_format: AnswerFormat) -> Size:
    """Read a sample; the size of its image."""
    sample = read_named(samples, place)
    image = load_image(sample.image)
    if sample.target is not None and sample.target.shape != (image.height, image.width):
        raise RecipeError(f"the mask of sample '{sample.id}' should have the size of its image, and has not")
    if recipe.stage == "sft" and reference_of(sample, answer_format.points_per_object) is None:
        raise RecipeError(f"sample '{sample.id}' has neither a reference answer nor a mask to make one from")
    return Size(*image.size)


def _step(recipe: Recipe, args: Any) -> str:
    per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    if recipe.stage == "sft":
        return f"{per_step} samples"
    at_once = args.per_device_train_batch_size
    prompts = args.generation_batch_size // args.num_generations
    return (
        f"{per_step} completions, {at_once} at a time; {prompts} prompts × {args.num_generations} completions are "
        f"sampled together"
    )


def _in_all(recipe: Recipe, args: Any, plan: Plan) -> str:
    if recipe.stage == "sft":
        return f"{plan.rows:,} answers"
    return f"{plan.rows:,} prompts, {plan.rows * args.num_generations:,} completions"


def _state_of(output: Path) -> str:
    finished = finished_checkpoints(output)
    if finished:
        return f"which holds a run already ({finished[0][1].name}): --resume goes on with it"
    return "which is there" if output.exists() else "which is new"
