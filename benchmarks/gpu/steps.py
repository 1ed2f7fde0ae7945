"""A whole step of GRPO on one card: sampling, segmenting, learning; a prompt computed once, or for each completion.

The answers of random weights are read by `drawn.py`, as two boxes each, so that there is as much to segment as ever.
"""

from __future__ import annotations

import gc
import json
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from reasoners import IMAGES, SHARED, Case, Proportions, counted, create_reasoner
from train_step import DRAWN, Clock, grpo_settings, prepared
from transformers import PrinterCallback

from benchmarks.gpu.card import peak_rate
from benchmarks.gpu.scale import Scale
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.training import grpo
from thinkseg.training.config import Recipe, recipe_from_settings
from thinkseg.training.memory import Prompt, estimate
from thinkseg.training.policy import create_policy
from thinkseg.training.profiling import PROFILE, REST, profiled
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.stage import PreparedRun
from thinkseg.types import Request

STEPS = 2
"""Measured ones, after one that is not."""
PASSES = {"every weight": 3, "adapters": 2}
"""Forward passes that a step's multiplications are worth: the backward pass of a weight that is not trained is half."""


def step_3b(scale: Scale) -> dict[str, Any]:
    """Every weight of Qwen2.5-VL-3B, both ways, and once with what layers keep in place of computing it again."""
    ways = {
        "prompt once": {"shared_prefix": "on"},
        "each its own prompt": {"shared_prefix": "off"},
        "prompt once, nothing computed again": {"shared_prefix": "on", "trl.gradient_checkpointing": False},
    }
    return _ways(scale, scale.three_billion, ways, "every weight")


def adapters_3b(scale: Scale) -> dict[str, Any]:
    """Adapters on Qwen2.5-VL-3B, both ways."""
    ways: dict[str, dict[str, Any]] = {
        "prompt once": {"shared_prefix": "on"},
        "each its own prompt": {"shared_prefix": "off"},
    }
    return _ways(scale, scale.three_billion, ways, "adapters")


def step_7b(scale: Scale) -> dict[str, Any]:
    """Every weight of Qwen2.5-VL-7B, where the arithmetic says that there is room."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = _recipe(scale, Path(folder), {"shared_prefix": "on"}, "every weight")
        _write_model(scale, scale.seven_billion, recipe, "meta" if not scale.small else scale.device)
        needed = _expected(scale, recipe)
    if scale.device == "cuda" and needed is not None:
        room = torch.cuda.get_device_properties(0).total_memory / 1e9
        if needed > 0.95 * room:
            return {"skipped": f"it needs about {needed:.0f} GB by the arithmetic, and the card has {room:.0f}"}
    return _ways(scale, scale.seven_billion, {"prompt once": {"shared_prefix": "on"}}, "every weight")


def _ways(scale: Scale, proportions: Proportions, ways: dict[str, dict[str, Any]], trained: str) -> dict[str, Any]:
    """Each way of a step."""
    found = {}
    for way, changes in ways.items():
        with tempfile.TemporaryDirectory() as folder, quiet_libraries():
            found[way] = _step(scale, proportions, _recipe(scale, Path(folder), changes, trained), trained)
        gc.collect()
        if scale.device == "cuda":
            torch.cuda.empty_cache()
    return {"trained": trained, "ways": found}


def _recipe(scale: Scale, folder: Path, changes: dict[str, Any], trained: str) -> Recipe:
    case = scale.case
    data = {"source": "scenes", "split": "train", "size": scale.pixels, "count": 4, "shuffle": False}
    lora: dict[str, Any] = {"r": 16, "dropout": 0.0} if trained == "adapters" else None  # type: ignore[assignment]
    trl = grpo_settings(case.group, case.group) | {"gradient_checkpointing": True}
    trl |= {name.removeprefix("trl."): value for name, value in changes.items() if name.startswith("trl.")}
    return recipe_from_settings(
        {
            "stage": "rl",
            "output": str(folder / "run"),
            "model": {"path": str(folder / "start"), "dtype": scale.dtype, "lora": lora},
            "segmenter": "grabcut",  # another one is given in its place
            "format": DRAWN,
            "generation": {"max_new_tokens": case.completion},
            "images": {"min_pixels": scale.pixels**2, "max_pixels": scale.pixels**2},
            "data": data | {"tasks": {"referring": 1.0}},
            "rewards": {"segment": 1.0, "format": 0.5},
            "device": "auto" if scale.device == "cuda" else "cpu",
            "shared_prefix": changes["shared_prefix"],
            "steps": 1,
            "save_every": None,
            "trl": trl,
        }
    )


def _write_model(scale: Scale, proportions: Proportions, recipe: Recipe, device: str) -> tuple[Any, Any]:
    """The model, and in the recipe's folder what it is made of, without its weights."""
    model, processor = create_reasoner(proportions, dtype=scale.dtype, device=device, max_pixels=scale.pixels**2)
    folder = Path(recipe.model.path)
    model.config.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


def _expected(scale: Scale, recipe: Recipe) -> float | None:
    """GB by the arithmetic of docs/memory.md; the segmenter, which is no published one here, added."""
    words = scale.case.prompt - scale.case.side**2
    found = estimate(recipe, grpo.arguments(recipe), Prompt(scale.pixels**2, words))
    return None if found is None else found.total / 1e9 + (0 if scale.small else 0.217 * 4)


def _step(scale: Scale, proportions: Proportions, recipe: Recipe, trained: str) -> dict[str, Any]:
    """Seconds, rates and memory of a step."""
    model, processor = _write_model(scale, proportions, recipe, scale.device)
    config = recipe.checkpoint_config()
    reasoner = TransformersReasoner(model, processor, max_new_tokens=scale.case.completion)
    segmenter = PromptableSegmenter(*scale.segmenter())
    run = prepared(recipe, create_policy(recipe, config, reasoner), segmenter)
    prompt = _prompt_length(run)
    from trl import GRPOTrainer

    trainer = grpo.create_trainer(run, GRPOTrainer)
    clock = Clock()
    trainer.remove_callback(PrinterCallback)
    with grpo.STAGE.while_training(reasoner):
        trainer.train()
        scale.settle()
        scale.peak()
        trainer.args.max_steps, trainer.state.global_step = 1 if scale.small else STEPS, 0
        trainer.add_callback(clock)
        with profiled(trainer, recipe.output, lambda _: None):
            trainer.train()
    told = json.loads((recipe.output / PROFILE).read_text(encoding="utf-8"))
    # The rest of a profile has the beginning and the end of the training in it, too.
    parts = {part["name"]: part["seconds"] / told["steps"] for part in told["parts"] if part["name"] != REST}
    step = mean(clock.seconds)
    parts[REST] = step - sum(parts.values())
    case = Case(scale.case.group, scale.case.side, prompt, scale.case.completion)
    learning = parts["loss"] + parts["backward"]
    done = 2 * counted(proportions, case)[SHARED if recipe.shared_prefix == "on" else IMAGES] * PASSES[trained]
    rate = peak_rate(scale.device)
    completions = case.group * case.completion
    return {
        "prompt": prompt,
        "completion": case.completion,
        "group": case.group,
        "seconds": step,
        "parts": parts,
        "sampled_per_second": completions / parts["sampling"],
        "learnt_per_second": completions / learning,
        "tflops": done / learning / 1e12,
        "mfu": None if rate is None else done / learning / rate,
        "peak_gb": scale.peak(),
        "expected_gb": _expected(scale, recipe),
        "images_encoded": segmenter.encode_count,
    }


def _prompt_length(run: PreparedRun) -> int:
    """Tokens of the longest prompt."""
    policy = run.policy
    asked = [
        Request(sample.image, policy.wording.instruction(sample))
        for sample in list(run.samples)[:2]
        if not isinstance(sample.image, Path)
    ]
    return int(policy.reasoner.inputs(asked)["input_ids"].shape[1])
