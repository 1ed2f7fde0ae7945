"""TRL's own settings inside a recipe: which there are, which one has to say, and which are not a recipe's to change."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from importlib.machinery import ModuleSpec
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from thinkseg.data.fields import finite, shown
from thinkseg.errors import RecipeError
from thinkseg.installing import extra_command
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
    "train_sampling_strategy": "samples are shuffled by 'seed', so that a run can be resumed exactly",
    "ignore_data_skip": "a run that is resumed goes on behind the samples that it has trained on",
    "save_only_model": "checkpoints are there to resume from",
    "enable_jit_checkpoint": "Ctrl-C and SIGTERM save a checkpoint by ThinkSeg itself",
    "auto_find_batch_size": "a run that is resumed needs the batches that it began with",
    "trust_remote_code": "no code that comes with a model is run",
    **dict.fromkeys(
        ("do_eval", "do_predict", "eval_strategy", "eval_steps", "eval_delay", "eval_on_start"),
        "held-out samples are measured from image to mask by the section 'validation'",
    ),
    **dict.fromkeys(
        ("load_best_model_at_end", "metric_for_best_model", "greater_is_better"),
        "the best model is kept by the section 'validation', in the folder 'best'",
    ),
    **dict.fromkeys(
        (
            "push_to_hub",
            "hub_model_id",
            "hub_token",
            "hub_strategy",
            "hub_private_repo",
            "hub_always_push",
            "hub_revision",
            "log_completions_hub_repo",
        ),
        "training publishes nothing; 'thinkseg push' does that with a finished checkpoint",
    ),
}
"""TRL settings that are not a recipe's to change, and why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """Which numbers a setting may be."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def told(self) -> str:
        """In words."""
        words = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {number:g}" for word, number in words.items() if number is not None)

    def __contains__(self, value: float) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


_FROM_0, _FROM_1, _ABOVE_0 = Range(least=0), Range(least=1, most=1_000_000), Range(above=0)
_SHARE, _SHARE_BELOW_1 = Range(least=0, most=1), Range(least=0, below=1)

RANGES: Mapping[str, Range] = {
    "per_device_train_batch_size": _FROM_1,
    "gradient_accumulation_steps": _FROM_1,
    "generation_batch_size": _FROM_1,
    "steps_per_generation": _FROM_1,
    "num_generations": Range(least=2, most=1_000_000),
    "num_iterations": _FROM_1,
    "learning_rate": Range(least=0, most=1_000_000),
    "beta": Range(least=0, most=1_000_000),
    "epsilon": _ABOVE_0,
    "epsilon_high": _ABOVE_0,
    "delta": _ABOVE_0,
    "weight_decay": _FROM_0,
    "max_grad_norm": _FROM_0,
    "warmup_steps": _FROM_0,
    "adam_beta1": _SHARE_BELOW_1,
    "adam_beta2": _SHARE_BELOW_1,
    "adam_epsilon": _FROM_0,
    "label_smoothing_factor": _SHARE_BELOW_1,
    "neftune_noise_alpha": _FROM_0,
    "router_aux_loss_coef": _FROM_0,
    "top_p": Range(above=0, most=1),
    "top_k": _FROM_0,
    "min_p": _SHARE,
    "ref_model_mixup_alpha": _SHARE,
    "ref_model_sync_steps": _FROM_1,
    "top_entropy_quantile": _SHARE,
    "sapo_temperature_neg": _ABOVE_0,
    "sapo_temperature_pos": _ABOVE_0,
    "off_policy_mask_threshold": _FROM_0,
    "torch_empty_cache_steps": _FROM_1,
    "ddp_timeout": _FROM_1,
    "dataloader_num_workers": Range(least=0, most=1024),
    "dataloader_prefetch_factor": _FROM_1,
    "vllm_gpu_memory_utilization": Range(above=0, most=1),
    "vllm_tensor_parallel_size": _FROM_1,
    "vllm_max_model_length": Range(least=1),
    "vllm_server_port": Range(least=1, most=65_535),
    "vllm_group_port": Range(least=1, most=65_535),
    "vllm_server_timeout": _ABOVE_0,
}
"""Of settings that TRL takes as they come: outside, it fails after loading models, or trains on something else."""

_LOG_LEVELS = ("detail", "debug", "info", "warning", "error", "critical", "passive")

CHOICES: Mapping[Stage, Mapping[str, tuple[object, ...]]] = {
    "rl": {
        "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"),
        "scale_rewards": ("group", "batch", "none", True, False),
        "importance_sampling_level": ("token", "sequence"),
        "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
        **dict.fromkeys(("log_level", "log_level_replica"), _LOG_LEVELS),
    },
    "sft": {"loss_type": ("nll", "dft"), **dict.fromkeys(("log_level", "log_level_replica"), _LOG_LEVELS)},
}
"""Of settings that TRL reads when the first loss is worked out."""

FROM_FILE = ("accelerator_config", "deepspeed", "fsdp_config")
"""Settings that may name a file in place of the mapping that it holds."""

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
        _check_value(stage, fields[key], value)
    _check_vllm(settings)
    if stage == "rl" and whole:
        unsaid = [key for key in REQUIRED if key not in settings]
        if unsaid:
            raise RecipeError(
                f"a recipe for rl has to say 'trl.{unsaid[0]}', since TRL's default ({fields[unsaid[0]].default!r}) is "
                "not what the papers use"
            )


def _check_value(stage: Stage, field: dataclasses.Field[Any], value: Any) -> None:
    """Refuse a number or a word that the setting cannot be."""
    name = field.name
    kinds = get_args(field.type) or (field.type,)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and finite(value) is None:
        raise RecipeError(f"'trl.{name}' should be a finite number, found {shown(value)}")
    if isinstance(value, float) and int in kinds and float not in kinds:
        raise RecipeError(f"'trl.{name}' should be a whole number, found {value}")
    if value is not None and not is_number and name in RANGES:
        raise RecipeError(f"'trl.{name}' should be a number, found {kind_of(value)}")
    if is_number and name in RANGES and value not in RANGES[name]:
        raise RecipeError(f"'trl.{name}' should be {RANGES[name].told()}, found {value}")
    choices = CHOICES[stage].get(name)
    if choices is not None and not any(type(value) is type(choice) and value == choice for choice in choices):
        raise RecipeError(f"'trl.{name}' should be {' or '.join(map(kind_of, choices))}, found {kind_of(value)}")
    if choices is None and (expected := _expected_of(field, value)):
        raise RecipeError(f"'trl.{name}' should be {expected}, found {kind_of(value)}")


_KINDS: Mapping[type, tuple[type, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    str: (str, "text"),
    list: (list, "a list"),
    dict: (dict, "a section of settings"),
    NoneType: (NoneType, "null"),
}
"""What YAML may hold for each type of a setting, and its name."""


def _expected_of(field: dataclasses.Field[Any], value: Any) -> str | None:
    """What a setting can be, in words, where the value is of none of these kinds; None where it is right."""
    members = get_args(field.type) if get_origin(field.type) is not None or get_args(field.type) else (field.type,)
    kinds = {_plain(member) for member in members}
    if {dict, str} <= kinds and field.name not in FROM_FILE:
        kinds.remove(str)  # TRL takes JSON there, of which YAML has no need
    if field.default is None:
        kinds.add(NoneType)
    known = [_KINDS[kind] for kind in _KINDS if kind in kinds]
    if not known or type(value) in (kind for kind, _ in known) or (type(value) is int and float in kinds):
        return None
    return " or ".join(words for _, words in known)


def _plain(member: Any) -> Any:
    """The type of a value in YAML that a type of Python is written as."""
    if get_origin(member) is Literal:
        return type(get_args(member)[0])
    if isinstance(member, type) and issubclass(member, Enum):
        return str
    return get_origin(member) or member


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


def refuse_missing_deepspeed(
    settings: Mapping[str, Any],
    find: FindSpec = importlib.util.find_spec,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Refuse a run that is to be spread by DeepSpeed where there is none.

    Args:
        settings: TRL's, of the recipe.
        find: finds an installed package by its name.
        environment: in which Accelerate's launcher says so.

    Raises:
        RecipeError: the package is not installed.
    """
    asked = "'trl.deepspeed'" if settings.get("deepspeed") else ""
    if environment.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true":
        asked = asked or "as the launcher says"
    if not asked:
        return
    spec = find("deepspeed")
    if spec is None or spec.origin is None:
        raise RecipeError(
            f"the run is to be spread by DeepSpeed ({asked}), which is not installed: {extra_command('deepspeed')}, or "
            "launch with recipes/accelerate/fsdp2.yaml, which does as much without it"
        )


def refuse_missing_bitsandbytes(find: FindSpec = importlib.util.find_spec) -> None:
    """Refuse a base in 4 bits where the package that makes one is not installed.

    Args:
        find: finds an installed package by its name.

    Raises:
        RecipeError: it is not.
    """
    spec = find("bitsandbytes")
    if spec is None or spec.origin is None:
        raise RecipeError(
            "the recipe keeps its model in 4 bits ('model.lora.bits'), for which bitsandbytes is not installed: "
            f"{extra_command('qlora')}, or leave it out, which takes more memory"
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
