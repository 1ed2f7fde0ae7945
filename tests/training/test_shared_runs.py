"""Runs of reinforcement with prompts shared, and with passes filled by tokens, end where TRL's end."""

import pytest
import torch
from safetensors.torch import load_file

from thinkseg.training.callbacks import read_log
from thinkseg.training.stages import Making, train_recipe

from .shared_prefixes import WholeGroups

UNEQUAL = {"suppress_tokens": [token for token in range(40, 263) if token != 258]}
"""Completions of few different tokens, of which 258 ends one."""

RUNS = {
    "a step in two parts with a reference": (
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "beta": 0.1},
        {},
        None,
    ),
    "rollouts for two steps that are used twice": (
        {
            "per_device_train_batch_size": 4,
            "steps_per_generation": 2,
            "num_iterations": 2,
            "loss_type": "dapo",
            "generation_batch_size": None,
        },
        {"save_every": 4},
        WholeGroups,
    ),
    "adapters with the model under them as reference": (
        {"beta": 0.1, "learning_rate": 1e-2},
        {"model.lora": {"r": 4, "dropout": 0.0}},
        None,
    ),
    "less memory": ({"gradient_checkpointing": True}, {}, None),
    "micro-batches of a row, filled by tokens": (
        {
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 12,
            "generation_batch_size": 12,
            "loss_type": "bnpo",
            "beta": 0.1,
            "generation_kwargs": UNEQUAL,
        },
        {"tokens_per_pass": 110},
        WholeGroups,
    ),
    "two steps of rollouts that are used twice, filled by tokens": (
        {
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 4,
            "steps_per_generation": 8,
            "num_iterations": 2,
            "loss_type": "dapo",
            "generation_kwargs": UNEQUAL,
        },
        {"save_every": 4, "tokens_per_pass": 10_000},
        WholeGroups,
    ),
    "adapters and less memory, filled by tokens": (
        {
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 3,
            "gradient_checkpointing": True,
            "beta": 0.1,
            "learning_rate": 1e-2,
            "generation_kwargs": UNEQUAL,
        },
        {"model.lora": {"r": 4, "dropout": 0.0}, "tokens_per_pass": 10_000},
        WholeGroups,
    ),
}


@pytest.mark.parametrize("run", RUNS)
def test_losses_and_weights_after_three_steps_are_those_of_trl(run, rl_recipe, squares, letters, tmp_path):
    trl, changes, oracle = RUNS[run]
    model = {"path": rl_recipe().model.path}
    if "model.lora" in changes:
        model["lora"] = changes["model.lora"]
    budget = changes.get("tokens_per_pass")
    more = {name: value for name, value in changes.items() if name not in ("model.lora", "tokens_per_pass")}
    finals, logs = [], []
    for setting in ("off", "on"):
        recipe = rl_recipe(
            output=str(tmp_path / setting),
            trl=trl,
            rewards=letters,
            steps=more.get("save_every", 3),
            shared_prefix=setting,
            tokens_per_pass=None if setting == "off" else budget,
            model=model,
            **more,
        )
        making = Making(oracle) if setting == "off" and oracle else None
        finals.append(train_recipe(recipe, samples=squares, making=making))
        logs.append(read_log(recipe.output / "log.jsonl"))
    for mine, other in zip(*logs, strict=True):
        assert mine["grad_norm"] > 1e-3
        for name in ("loss", "grad_norm", "entropy", "reward", "kl", "completions/mean_length"):
            if name in mine:
                assert other[name] == pytest.approx(mine[name], rel=2e-3, abs=1e-5), name
    weights, others = (load_file(final / "model.safetensors") for final in finals)
    for key, tensor in weights.items():
        torch.testing.assert_close(others[key], tensor, rtol=1e-3, atol=1e-4)
