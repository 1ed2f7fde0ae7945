"""``thinkseg train`` runs the stage of a recipe, lets flags win, and says how to go on after a stop."""

import json
import signal
from pathlib import Path

import pytest
import yaml

from thinkseg import cli
from thinkseg.cli.train import run
from thinkseg.training.runs import TrainingStopped

RL = {
    "stage": "rl",
    "output": "runs/x",
    "rewards": {"segment": 1.0},
    "trl": {
        "beta": 0.0,
        "loss_type": "grpo",
        "num_generations": 8,
        "scale_rewards": "group",
        "epsilon": 0.2,
        "num_iterations": 1,
        "learning_rate": 1e-6,
    },
}


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "my recipe.yaml"
    path.write_text(yaml.safe_dump(RL))
    return path


def called(*words):
    """What the verb is called with."""
    args, overrides = cli.create_parser("train").parse_known_args([str(word) for word in words])
    args.overrides = overrides
    return args


class Training:
    """Takes the place of `thinkseg.train`, and remembers its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, recipe, *, resume):
        self.calls.append((recipe, resume))
        return recipe.output / "final"


def test_the_folder_of_the_trained_model_is_printed(recipe, capsys):
    train = Training()
    assert run(called("rl", recipe), train) == 0
    assert capsys.readouterr().out == "runs/x/final\n"
    assert train.calls[0][1] is False


def test_flags_win_over_the_recipe_wherever_resume_stands(recipe):
    train = Training()
    words = ["--steps", "3", "--resume", "--trl.learning_rate=1e-5", "--output", "runs/y", "--rewards.format", "-0.5"]
    assert run(called("rl", recipe, *words), train) == 0
    found, resume = train.calls[0]
    assert (found.steps, found.output, found.trl["learning_rate"]) == (3, Path("runs/y"), 1e-5)
    assert found.rewards == {"segment": 1.0, "format": -0.5}
    assert resume


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rl", "missing.yaml"], "the recipe 'missing.yaml' cannot be read"),
        (["rl", "RECIPE", "--stesp", "3"], "there is no setting 'stesp'; did you mean 'steps'?"),
        (["rl", "RECIPE", "--steps"], "the setting --steps has no value"),
        (["sft", "RECIPE"], "is a recipe for rl; say: thinkseg train rl"),
    ],
)
def test_a_wrong_call_is_a_sentence_and_exit_code_2(recipe, capsys, words, sentence):
    assert cli.main(["train", *(str(recipe) if word == "RECIPE" else word for word in words)]) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("runs/x").exists()


def test_an_unknown_stage_is_a_wrong_call(recipe, capsys):
    assert cli.main(["train", "ppo", str(recipe)]) == 2
    assert "ppo" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on_and_exits_as_shells_say_that_a_signal_came(recipe, capsys, number, code):
    def stopped(recipe, *, resume):
        raise TrainingStopped(recipe.output / "checkpoint-2", 2, 9, number)

    assert run(called("rl", recipe, "--steps", "9"), stopped) == code
    said = capsys.readouterr().err
    assert "stopped after step 2 of 9 and saved 'runs/x/checkpoint-2'" in said
    assert f"to go on: thinkseg train rl '{recipe}' --steps 9 --resume" in said


def test_help_has_an_example_and_says_that_settings_can_be_replaced(capsys):
    assert cli.main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    assert "thinkseg train rl pocket/rl" in said
    assert "--key VALUE" in said


def test_the_schema_of_recipes_can_be_printed(capsys):
    assert cli.main(["train", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"]["steps"]["description"].startswith("Optimiser steps")
