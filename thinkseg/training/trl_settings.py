"""TRL's own settings inside a recipe: which there are, which one has to say, and which are not a recipe's to change."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from typing import Any, Literal

from thinkseg.errors import RecipeError
from thinkseg.settings import kind_of

Stage = Literal["sft", "rl"]

FindSpec = Callable[[str], ModuleSpec | None]
"""As `importlib.util.find_spec`."""

REQUIRED = ("beta", "loss_type", "num_generations", "scale_rewards", "epsilon", "num_iterations", "learning_rate")
"""TRL settings of the method itself, whose defaults differ from the papers': a recipe for rl says each of them."""

RENAMED: Mapping[str, str] = {
    "output_dir": "output",
    "seed": "seed",
    "data_seed": "seed",
    "max_steps": "steps",
    "num_train_epochs": "epochs",
    "save_steps": "save_every",
    "save_strategy": "save_every",
    "save_total_limit": "keep",
    "logging_steps": "log_every",
    "logging_strategy": "log_every",
    "max_completion_length": "generation.max_new_tokens",
    "temperature": "generation.temperature",
    "reward_weights": "rewards",
    "use_cpu": "device",
    "model_init_kwargs": "model.dtype",
}
"""TRL settings that a recipe says under another name."""

LOCKED: Mapping[str, str] = {
    "resume_from_checkpoint": "resuming is asked for with --resume",
    "repetition_penalty": "it stays 1.0, since a penalty bends strings of digits",
    "remove_unused_columns": "the rewards need every column",
    "shuffle_dataset": "samples are shuffled by 'seed', so that a run can be resumed exactly",
    "max_length": "sequences are never truncated, since that would cut off image tokens",
    "packing": "a packed sequence cannot hold images",
    "dataset_kwargs": "rows are ready for training as they come",
    "completion_only_loss": "the prompt is always masked",
    "assistant_only_loss": "the prompt is always masked",
    "disable_tqdm": "progress is shown on stderr by ThinkSeg itself",
}
"""TRL settings that are not a recipe's to change, and why."""


VLLM_MODES = ("colocate", "server")
"""Beside the model on the same GPUs, or on GPUs of its own behind an address."""

VLLM_NEVER = -100.0
"""The lowest bias that vLLM takes: a token loses a factor of e^100."""


def check_trl(stage: Stage, settings: Mapping[str, Any], *, whole: bool = True) -> None:
    """Refuse TRL settings that do not exist, that belong elsewhere, or that an rl recipe forgets to say.

    Args:
        stage: of the recipe.
        settings: by their names in TRL.
        whole: whether they are to be enough to train by.
    """
    fields = trl_fields(stage)
    for key, value in settings.items():
        if key in RENAMED:
            raise RecipeError(f"'trl.{key}' is said as '{RENAMED[key]}' in a recipe")
        if key in LOCKED:
            raise RecipeError(f"'trl.{key}' is not a recipe's to change: {LOCKED[key]}")
        if key not in fields:
            close = difflib.get_close_matches(key, list(fields), n=1)
            hint = f"; did you mean 'trl.{close[0]}'?" if close else ""
            raise RecipeError(f"{trl_config_name(stage)} of TRL has no setting '{key}'{hint}")
        default = fields[key].default
        if type(default) in (int, float) and type(value) not in (int, float):
            raise RecipeError(f"'trl.{key}' should be a number, found {kind_of(value)}")
        if type(default) is bool and type(value) is not bool:
            raise RecipeError(f"'trl.{key}' should be true or false, found {kind_of(value)}")
    _check_vllm(settings)
    if stage == "rl" and whole:
        unsaid = [key for key in REQUIRED if key not in settings]
        if unsaid:
            raise RecipeError(
                f"a recipe for rl has to say 'trl.{unsaid[0]}', since TRL's default ({fields[unsaid[0]].default!r}) is "
                "not what the papers use"
            )


def _check_vllm(settings: Mapping[str, Any]) -> None:
    """Refuse settings of vLLM that would be passed over in silence."""
    said = [key for key in settings if key.startswith("vllm_")]
    if said and "use_vllm" not in settings:
        raise RecipeError(f"'trl.{said[0]}' has no effect unless the recipe says 'trl.use_vllm'")
    mode = settings.get("vllm_mode", "colocate")
    if mode not in VLLM_MODES:
        raise RecipeError(f"'trl.vllm_mode' should be {' or '.join(VLLM_MODES)}, found {kind_of(mode)}")
    server = [key for key in said if key.startswith("vllm_server_")]
    if server and mode != "server":
        raise RecipeError(f"'trl.{server[0]}' has no effect unless the recipe says 'trl.vllm_mode: server'")


def refuse_missing_vllm(settings: Mapping[str, Any], find: FindSpec = importlib.util.find_spec) -> None:
    """Refuse a recipe whose completions are to be sampled by vLLM where there is none.

    Args:
        settings: TRL's, of the recipe.
        find: finds an installed package by its name.

    Raises:
        RecipeError: the package is not installed.
    """
    if not settings.get("use_vllm"):
        return
    spec = find("vllm")
    if spec is None or spec.origin is None:  # a mere folder of that name, somebody's own
        raise RecipeError(
            "the recipe samples with vLLM ('trl.use_vllm'), which is not installed: pip install 'trl[vllm]' (Linux "
            "with a CUDA GPU), or sample without it, more slowly: --trl.use_vllm false"
        )


def never_sampled(use_vllm: bool, tokens: Sequence[int]) -> dict[str, Any]:
    """What keeps these tokens out of completions, in the words of whatever samples them.

    Args:
        use_vllm: whether it is vLLM, which has no list of suppressed tokens but takes a bias of -100 for as much.
        tokens: their ids.
    """
    if not tokens:
        return {}
    return {"logit_bias": dict.fromkeys(tokens, VLLM_NEVER)} if use_vllm else {"suppress_tokens": list(tokens)}


def trl_config_name(stage: Stage) -> str:
    """The name of TRL's configuration class for a stage."""
    return "GRPOConfig" if stage == "rl" else "SFTConfig"


def trl_fields(stage: Stage) -> dict[str, dataclasses.Field[Any]]:
    """The settings of TRL's configuration by name."""
    import trl

    return {item.name: item for item in dataclasses.fields(getattr(trl, trl_config_name(stage)))}
