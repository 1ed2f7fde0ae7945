"""The stages of Seg-R1 at pocket size: each starts from the folder of the one before, and the reward rises."""

import json

import numpy as np
import pytest

from thinkseg.training.callbacks import read_log
from thinkseg.training.config import load_recipe
from thinkseg.training.stages import train_recipe

STEPS = {"sft": 4, "prerl": 10, "rl": 20, "sod": 10}
SCENES = 16
"""As many as a step of the recipes asks about, so that each step asks about the same and rewards can be compared."""


@pytest.mark.parametrize("size", ["seg_r1", "pocket/seg_r1"])
def test_each_stage_names_the_folder_that_the_one_before_leaves(size):
    recipes = {stage: load_recipe(f"{size}/{stage}") for stage in STEPS}
    assert [recipe.stage for recipe in recipes.values()] == ["sft", "rl", "rl", "rl"]
    for before, after in (("prerl", "rl"), ("rl", "sod")):
        assert recipes[after].model.path == f"{recipes[before].output}/final"
    assert [recipe.format for recipe in recipes.values()] == ["seg-r1", "seg-r1-points", "seg-r1", "seg-r1"]


def test_the_pocket_chain_begins_with_imitation():
    assert load_recipe("pocket/seg_r1/prerl").model.path == f"{load_recipe('pocket/seg_r1/sft').output}/final"
    assert load_recipe("pocket/seg_r1/sft").model.path == "pocket-small"


@pytest.mark.slow
def test_the_whole_chain_runs_and_its_reward_rises(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # so that the paths of the recipes hold as they are
    logs = {}
    for stage, steps in STEPS.items():
        changes = {"steps": steps, "save_every": None, "log_every": 1, "data.count": 64 if stage == "sft" else SCENES}
        recipe = load_recipe(f"pocket/seg_r1/{stage}", changes)
        assert train_recipe(recipe) == recipe.output / "final"
        settings = json.loads((recipe.output / "final" / "thinkseg.json").read_text())
        assert settings["format"] == recipe.format
        logs[stage] = read_log(recipe.output / "log.jsonl")
        assert len(logs[stage]) == steps
    for stage in ("prerl", "rl"):
        assert mean(logs[stage][-3:], "reward") > mean(logs[stage][:3], "reward") + 0.04
        assert part(logs[stage][-3:], "segment") > part(logs[stage][:3], "segment") + 0.04
    # Pre-RL and SOD are both about salient scenes: SOD begins with what was learnt on the way, and has little to gain.
    assert part(logs["sod"], "segment") > part(logs["prerl"][:3], "segment") + 0.05


def mean(records, name):
    return float(np.mean([record[name] for record in records]))


def part(records, name):
    return float(np.mean([record[f"rewards/{name}/mean"] for record in records]))
