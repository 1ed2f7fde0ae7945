"""Whatever has become of the newest checkpoint of a real run, it goes on from the one before it, or says why not."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from thinkseg.errors import CheckpointError, RecipeError
from thinkseg.training.callbacks import read_log
from thinkseg.training.checkpoints import MANIFEST, write_manifest
from thinkseg.training.config import recipe_from_settings, replace_settings
from thinkseg.training.runs import open_run
from thinkseg.training.stages import train_recipe

from .conftest import square

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def trained(start, tmp_path_factory):
    """The recipe of a run of two steps, with a checkpoint after each."""
    recipe = recipe_from_settings(
        {
            "stage": "sft",
            "output": str(tmp_path_factory.mktemp("trained") / "run"),
            "model": {"path": str(start)},
            "steps": 2,
            "save_every": 1,
            "device": "cpu",
            # The rate of a step does not depend on how many are still to come.
            "trl": {"per_device_train_batch_size": 2, "learning_rate": 1e-3, "lr_scheduler_type": "constant"},
        }
    )
    train_recipe(recipe, samples=[square(1), square(2)])
    return recipe


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it that is to go on to step 3."""
    shutil.copytree(trained.output, tmp_path / "run")
    return replace_settings(trained, {"output": str(tmp_path / "run"), "steps": 3})


def without(name):
    return lambda folder: (folder / name).unlink()


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-9])


def flipped(name):
    def flip(folder):
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return flip


def manifested(damage):
    """The damage, under a manifest that says that all is as it was written."""

    def damaged(folder):
        damage(folder)
        write_manifest(folder)

    return damaged


def nan(folder):
    weights = load_file(folder / WEIGHTS)
    weights[sorted(weights)[3]].view(-1)[0] = float("nan")
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


def infinite(folder):
    weights = load_file(folder / WEIGHTS)
    weights[sorted(weights)[-1]].view(-1)[-1] = float("-inf")
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


def far_smaller(folder):
    name, weight = next(iter(load_file(folder / WEIGHTS).items()))
    save_file({name: weight.clone()}, folder / WEIGHTS, {"format": "pt"})


def of_a_large_model(folder):
    """What is left of a config that has lost its sizes describes the model of 24 GB that is the default of its kind."""
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))


def far_ahead(folder):
    state = json.loads((folder / "trainer_state.json").read_text())
    (folder / "trainer_state.json").write_text(json.dumps(state | {"global_step": 10**9}))


DAMAGES = {
    "no manifest": (without(MANIFEST), "was not written to its end"),
    **{
        f"no {name}": (without(name), f"'{name}' is not there")
        for name in ("rng_state.pth", "optimizer.pt", "scheduler.pt", "config.json", "trainer_state.json", WEIGHTS)
    },
    "cut weights": (cut(WEIGHTS), f"'{WEIGHTS}' should have "),
    "flipped weights": (flipped(WEIGHTS), f"the content of '{WEIGHTS}' is not what was written"),
    "flipped moments": (flipped("optimizer.pt"), "the content of 'optimizer.pt' is not what was written"),
    "a state far ahead": (far_ahead, "'trainer_state.json' should have "),
    "NaN under a manifest": (manifested(nan), "holds values that are not finite"),
    "infinity under a manifest": (manifested(infinite), "holds values that are not finite"),
    "far smaller weights under a manifest": (manifested(far_smaller), "cannot be trained from: the config.json of"),
    "a far larger model under a manifest": (manifested(of_a_large_model), "cannot be trained from: the config.json of"),
    "cut weights under a manifest": (manifested(cut(WEIGHTS)), "cannot be trained from: "),
    "no config.json under a manifest": (manifested(without("config.json")), "no config.json"),
    "no moments under a manifest": (manifested(without("optimizer.pt")), "it has no 'optimizer'"),
    "no schedule under a manifest": (manifested(without("scheduler.pt")), "'scheduler.pt'"),
    "no random numbers under a manifest": (manifested(without("rng_state.pth")), "'rng_state.pth'"),
    "no state under a manifest": (manifested(without("trainer_state.json")), "'trainer_state.json'"),
    "a state far ahead under a manifest": (manifested(far_ahead), "'trainer_state.json' says that it is of step"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before_it_with_a_sentence(run, name, capsys):
    damage, told = DAMAGES[name]
    damage(run.output / "checkpoint-2")
    assert open_run(run, resume=True) == run.output / "checkpoint-1"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"thinkseg: '{run.output / 'checkpoint-2'}' ")
    assert told in line
    assert line.endswith("; going on from 'checkpoint-1', the one before it")


@pytest.mark.parametrize("name", [name for name in DAMAGES if name != "no manifest"])
def test_where_no_other_is_left_the_run_is_refused_with_a_sentence_and_stays_as_it_was(run, name, capsys):
    damage, told = DAMAGES[name]
    shutil.rmtree(run.output / "checkpoint-1")
    damage(run.output / "checkpoint-2")
    before = {path: path.read_bytes() for path in Path(run.output).rglob("*") if path.is_file()}
    with pytest.raises(RecipeError, match=r"none of the checkpoints in '.*' is whole: ") as refusal:
        train_recipe(run, samples=[square(1), square(2)], resume=True)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert {path: path.read_bytes() for path in Path(run.output).rglob("*") if path.is_file()} == before
    assert capsys.readouterr().err == ""


def test_a_run_that_fell_back_ends_as_one_whose_newest_checkpoint_was_whole(run, tmp_path):
    samples = [square(1), square(2)]
    other = replace_settings(run, {"output": str(tmp_path / "other")})
    shutil.copytree(run.output, other.output)
    manifested(nan)(run.output / "checkpoint-2")
    finals = [train_recipe(recipe, samples=samples, resume=True) for recipe in (run, other)]
    assert (finals[0] / WEIGHTS).read_bytes() == (finals[1] / WEIGHTS).read_bytes()
    assert [record["step"] for record in read_log(run.output / "log.jsonl")] == [1, 2, 3]


def test_a_checkpoint_whose_manifest_knows_of_no_weights_is_refused_where_it_is_loaded(run):
    manifested(without(WEIGHTS))(run.output / "checkpoint-2")
    with pytest.raises(CheckpointError, match=r"checkpoint-2' cannot be read: .*model\.safetensors"):
        train_recipe(run, samples=[square(1), square(2)], resume=True)


def test_a_checkpoint_that_lacks_some_weights_is_refused_where_it_is_loaded(run):
    """Half of the weights pass for those of a smaller model; none of them is ever left random."""
    weights = load_file(run.output / "checkpoint-2" / WEIGHTS)
    largest = max(weights.values(), key=torch.numel)
    lacking = next(name for name, weight in weights.items() if weight.numel() < largest.numel())
    left = {name: weight for name, weight in weights.items() if name != lacking}
    save_file(left, run.output / "checkpoint-2" / WEIGHTS, {"format": "pt"})
    write_manifest(run.output / "checkpoint-2")
    with pytest.raises(CheckpointError, match=r"is incomplete: 1 of .* weights are missing"):
        train_recipe(run, samples=[square(1), square(2)], resume=True)
