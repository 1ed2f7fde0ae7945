"""A whole step of GRPO with the segmenter inside the reward: plain TRL with the published reward, and ThinkSeg.

    python benchmarks/train_step.py                   # the pocket's recipe, minutes on two cores
    python benchmarks/train_step.py --nine-million    # a larger model with SAM 2's smallest configuration
    python benchmarks/train_step.py --small           # whether it runs at all
    python benchmarks/train_step.py --json            # for a program

Two ways of the same recipe on the same prompts:

- `plain`: TRL's `GRPOTrainer` as it comes. The same parts of the reward, the segmenter built once, and each completion
  read and segmented on its own, with an encoding of its image for each, as published code does;
- `thinkseg`: `thinkseg.train`'s own trainer.

A way's seconds are the median over its steps, the first of which is left out. The two take turns in `--rounds`. What
they sample differs after the first step by rounding, and with it the work, which is why steps are not compared one by
one. Beside the ratio stands the one of multiplications, of one more step of each way.

The larger model is the one of `shared_prefix.py`, with random weights: two prompts of about 600 tokens, most of them an
image of 616 pixels a side, 8 completions of 100 tokens each, and a segmenter at 1,024 pixels. Its answers are read by
`drawn.py`, as two boxes each.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch
from counting import flops_of
from measuring import at_least_one
from reasoners import NINE_MILLION, create_reasoner
from reward_engine import hiera_tiny
from transformers import PrinterCallback, TrainerCallback

from thinkseg.models.base import Segmenter
from thinkseg.models.prompting import prompted
from thinkseg.models.segmenter import load_segmenter
from thinkseg.rewards.reward_input import RewardInput
from thinkseg.rewards.rubric import Rubric
from thinkseg.rewards.trainer_batch import LatestBatch
from thinkseg.testing import save, tiny_qwen2_5_vl, tiny_sam2
from thinkseg.training import grpo
from thinkseg.training.config import Recipe, load_recipe, recipe_from_settings, replace_settings
from thinkseg.training.policy import Policy, load_policy
from thinkseg.training.rows import RowBuilder, Rows, Schedule
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.sources import load_samples
from thinkseg.training.stage import PreparedRun
from thinkseg.training.trl_settings import never_sampled

PLAIN, OURS = "plain", "thinkseg"
DRAWN = f"{Path(__file__).with_name('drawn.py')}:Drawn"
"""Reads what random weights write."""


class Clock(TrainerCallback):
    """The seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """It begins."""
        self._began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """It is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self._began)


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="A whole step of GRPO, plain and ThinkSeg's.")
    parser.add_argument("--small", action="store_true", help="tiny models, two steps")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--recipe", default="pocket/rl", help="a file or a name (default: pocket/rl)")
    parser.add_argument("--steps", type=at_least_one, default=6, help="of each way in a round (default: 6)")
    parser.add_argument("--rounds", type=at_least_one, default=2, help="in which the ways take turns (default: 2)")
    parser.add_argument("--nine-million", action="store_true", help="the larger model, in place of a recipe")
    options = parser.parse_args(words)
    seconds: dict[str, list[float]] = {PLAIN: [], OURS: []}
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        steps, rounds = (2, 1) if options.small else (options.steps, options.rounds)
        changes = {"steps": steps, "save_every": None, "output": str(Path(folder) / "run")}
        if options.small or options.nine_million:
            recipe = made(Path(folder), changes, small=options.small)
        else:
            recipe = load_recipe(options.recipe, changes)
        for _ in range(rounds):
            for way in seconds:
                seconds[way] += steps_of(prepared(recipe), way)[1:]
        one = replace_settings(recipe, {"steps": 1})
        flops = {way: flops_of(lambda way=way: steps_of(prepared(one), way)) for way in seconds}
    middle = {way: median(own) for way, own in seconds.items()}
    result = {
        "recipe": "tiny" if options.small else "nine million" if options.nine_million else str(options.recipe),
        "completions": recipe.trl["per_device_train_batch_size"] * recipe.trl.get("gradient_accumulation_steps", 1),
        "group": recipe.trl["num_generations"],
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "median": middle,
        "speedup": middle[PLAIN] / middle[OURS],
        "allowed": flops[PLAIN] / flops[OURS],
    }
    print(json.dumps(result) if options.json else table(result))


def made(folder: Path, changes: dict[str, Any], *, small: bool) -> Recipe:
    """A recipe of models with random weights, written into a folder: tiny ones on small scenes, or larger ones."""
    side = 64 if small else 616
    asked = {"max_new_tokens": 8 if small else 100, "max_pixels": 112**2 if small else side**2}
    reasoner = tiny_qwen2_5_vl() if small else create_reasoner(NINE_MILLION)
    segmenter = tiny_sam2() if small else hiera_tiny()
    group = 4 if small else 8
    data = {"source": "scenes", "split": "train", "size": side, "count": 16, "shuffle": False}
    return recipe_from_settings(
        {
            "stage": "rl",
            "model": {"path": str(save(folder / "start", reasoner, asked))},
            "segmenter": str(save(folder / "segmenter", segmenter)),
            "format": DRAWN,
            "data": data | {"tasks": {"referring": 1.0}},
            "rewards": {"segment": 1.0, "format": 0.5},
            "device": "cpu",
            "trl": grpo_settings(2 * group, group),
        }
        | changes
    )


def grpo_settings(completions: int, group: int) -> dict[str, Any]:
    """TRL's settings of one step over so many completions in groups of so many."""
    plain: dict[str, Any] = {"num_iterations": 1, "beta": 0.0, "loss_type": "grpo", "scale_rewards": "group"}
    sizes = {"per_device_train_batch_size": completions, "num_generations": group}
    return plain | sizes | {"epsilon": 0.2, "learning_rate": 1e-5}


def prepared(recipe: Recipe, policy: Policy | None = None, segmenter: Segmenter | None = None) -> PreparedRun:
    """A run that begins anew, of the recipe's models or of those that are given."""
    args = grpo.arguments(recipe)
    samples = load_samples(recipe.data)
    plan = grpo.plan_run(recipe, args, len(samples))
    args.max_steps, args.save_strategy = plan.steps, "no"
    return PreparedRun(recipe, args, plan, policy or load_policy(recipe), samples, segmenter)


def steps_of(run: PreparedRun, way: str) -> list[float]:
    """Seconds of each of its steps."""
    from trl import GRPOTrainer

    trainer = grpo.create_trainer(run, GRPOTrainer) if way == OURS else plain_trainer(run)
    clock = Clock()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)
    with grpo.STAGE.while_training(run.policy.reasoner) if way == OURS else nullcontext():
        trainer.train()
    return clock.seconds


def plain_trainer(run: PreparedRun) -> Any:
    """TRL's own, with the reward of one completion after another."""
    from trl import GRPOTrainer

    recipe, args, reasoner = run.recipe, run.args, run.policy.reasoner
    args.max_completion_length = reasoner.max_new_tokens
    args.generation_kwargs = never_sampled(False, sorted(reasoner.vision_token_ids))
    segmenter = prompted(load_segmenter(recipe.segmenter, device=str(args.device)), run.policy.config)
    rubric = Rubric(run.policy.answer_format, recipe.rubric_weights, segmenter)

    def one_by_one(completions: Any, truths: Any, frames: Any) -> list[RewardInput]:
        rows = zip(completions, truths, frames, strict=True)
        return [rubric.read([text], [truth], [frame])[0] for text, truth, frame in rows]

    batch = LatestBatch(one_by_one, rubric.score_inputs)
    schedule = Schedule(len(run.samples), recipe.seed, recipe.data.shuffle)
    builder = RowBuilder(run.samples, schedule, run.policy.answer_format, reasoner, wording=run.policy.wording)
    return GRPOTrainer(
        model=reasoner.model,
        processing_class=reasoner.processor,
        reward_funcs=[batch.function_of(name) for name in rubric.parts],
        args=args,
        train_dataset=Rows(builder, run.plan.rows),
    )


def table(result: dict[str, Any]) -> str:
    """The ratio in lines."""
    middle = ", ".join(f"{way} {value:.2f} s" for way, value in result["median"].items())
    return "\n".join(
        [
            f"{result['recipe']}: {result['completions']} completions in groups of {result['group']}, "
            f"{result['threads']} threads; a step takes {middle}",
            f"plain / thinkseg  {result['speedup']:.2f} (multiplications: {result['allowed']:.2f})",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
