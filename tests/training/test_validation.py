"""A run is measured on held-out samples while it trains, and learns what it would have learnt without."""

import json
import random
import shutil

import numpy as np
import pytest
import torch

from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.run import evaluate
from thinkseg.models.pipeline import load_pipeline
from thinkseg.models.reasoner_loading import load_reasoner
from thinkseg.testing import FakeSegmenter
from thinkseg.training.best import mend_best, read_best
from thinkseg.training.callbacks import read_log
from thinkseg.training.holding_out import HeldOut
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.saving import merged_weights
from thinkseg.training.stages import Making, train_recipe
from thinkseg.training.validation import Validated, best_of, is_exhausted, randomness_kept
from thinkseg.training.watching import Validating

from .conftest import square

TIMES = ("seconds", "elapsed", "step_time", "eval_seconds")


def timeless(records):
    return [{name: value for name, value in record.items() if name not in TIMES} for record in records]


def train(recipe, samples, **how):
    return train_recipe(recipe, samples=HeldOut(samples, HELD_OUT), segmenter=FakeSegmenter(), **how)


HELD_OUT = [square(index) for index in (10, 11, 12)]


@pytest.mark.parametrize("stage", ["rl", "sft"])
def test_validation_leaves_no_trace_in_what_is_learnt(rl_recipe, sft_recipe, squares, tmp_path, stage):
    weights, logs = [], []
    for name, validation in (("plain", None), ("validated", {"every": 1})):
        create = rl_recipe if stage == "rl" else sft_recipe
        recipe = create(output=str(tmp_path / name), validation=validation)
        weights.append((train(recipe, squares) / "model.safetensors").read_bytes())
        logs.append(read_log(recipe.output / "log.jsonl"))
    assert weights[0] == weights[1]
    assert timeless(logs[0]) == timeless(record for record in logs[1] if "eval_iou" not in record)
    assert [record["step"] for record in logs[1] if "eval_iou" in record] == [0, 1, 2]


def test_what_is_logged_is_what_an_evaluation_of_the_trained_model_finds(sft_recipe, squares):
    recipe = sft_recipe(validation={"every": 5}, steps=3)
    final = train(recipe, squares)
    *_, last = read_log(recipe.output / "log.jsonl")
    pipeline = load_pipeline(final, FakeSegmenter(), device="cpu")
    run = evaluate(pipeline, HELD_OUT, None, RunHeader("own", str(final), "", "fake", 0))
    assert last["step"] == 3
    assert last["eval_iou"] == run.metrics["giou"].value
    assert last["eval_s_measure"] == run.metrics["s_measure"].value
    assert last["eval_parse_failures"] == run.metrics["parse_failures"].value


class Told:
    """A validation whose results are given, in place of measuring."""

    def __init__(self, ious):
        self._ious = iter(ious)

    def __call__(self, trainer, step):
        return Validated(step, {"eval_iou": next(self._ious), "eval_seconds": 0.0}, [])


def run_told(recipe, squares, ious, **how):
    """Train with validations that find these."""

    def create(run, samples):
        assert run.recipe.validation.shown == 0  # nothing was predicted that could be drawn
        return Validating(run.recipe, run.policy, Told(ious), resumable_every=run.plan.resumable_every)

    return train(recipe, squares, making=Making(validating=create), **how)


def test_the_best_model_is_kept_with_its_step_however_many_checkpoints_stay(rl_recipe, squares):
    recipe = rl_recipe(steps=4, save_every=1, keep=1, validation={"every": 1, "shown": 0})
    final = run_told(recipe, squares, [0.2, 0.3, 0.5, 0.5, 0.4])
    assert json.loads((recipe.output / "best" / "validation.json").read_text()) == {"step": 2, "eval_iou": 0.5}
    assert [path.name for path in recipe.output.glob("checkpoint-*")] == ["checkpoint-4"]
    assert load_pipeline(recipe.output / "best", FakeSegmenter(), device="cpu").answer_format.name == "seg-r1"
    best, last = ((folder / "model.safetensors").read_bytes() for folder in (recipe.output / "best", final))
    assert best != last


@pytest.mark.parametrize("lora", [None, {"r": 2}])
def test_the_best_model_of_the_last_step_is_the_final_one(rl_recipe, squares, start, lora):
    recipe = rl_recipe(model={"path": str(start), "lora": lora}, validation={"every": 1, "shown": 0})
    final = run_told(recipe, squares, [0.2, 0.3, 0.5])
    assert {path.name for path in (recipe.output / "best").iterdir()} == {
        "validation.json",
        *(path.name for path in final.iterdir()),
    }
    for file in final.iterdir():
        assert (recipe.output / "best" / file.name).read_bytes() == file.read_bytes()


def test_keeping_a_model_with_adapters_leaves_the_one_that_goes_on_as_it_is(rl_recipe, squares, start, tmp_path):
    adapted = {"path": str(start), "lora": {"r": 2}}
    finals = []
    for name, ious in (("kept", [0.1, 0.2, 0.3, 0.4]), ("never", [0.9, 0.2, 0.3, 0.4])):
        recipe = rl_recipe(model=adapted, output=str(tmp_path / name), steps=3, validation={"every": 1, "shown": 0})
        finals.append((run_told(recipe, squares, ious) / "model.safetensors").read_bytes())
    assert finals[0] == finals[1]
    assert load_pipeline(tmp_path / "kept" / "best", FakeSegmenter(), device="cpu")


def test_adapters_are_added_as_merging_adds_them(start):
    from peft import LoraConfig, get_peft_model

    reasoner = load_reasoner(start, device="cpu")
    with quiet_libraries():
        model = get_peft_model(reasoner.model, LoraConfig(r=2, target_modules=reasoner.family.lora_targets))
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # which begins at zero
            torch.nn.init.normal_(weight)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    merged = merged_weights(model)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    expected = model.merge_and_unload().state_dict()
    assert merged.keys() == expected.keys()
    assert all(torch.equal(weight, expected[name]) for name, weight in merged.items())


def test_a_model_that_never_beats_its_start_leaves_no_best_one(rl_recipe, squares):
    recipe = rl_recipe(validation={"every": 1, "shown": 0})
    run_told(recipe, squares, [0.5, 0.5, 0.4])
    assert not (recipe.output / "best").exists()


def test_without_patience_left_training_ends_and_can_be_gone_on_with(rl_recipe, squares, capsys):
    recipe = rl_recipe(steps=6, validation={"every": 1, "shown": 0, "patience": 2})
    run_told(recipe, squares, [0.1, 0.3, 0.2, 0.3])
    assert read_log(recipe.output / "log.jsonl")[-1]["step"] == 3
    assert (recipe.output / "checkpoint-3").is_dir()
    told = "no validation since step 1 (mean IoU 0.300) was better, for 2 in succession"
    assert told in capsys.readouterr().err
    more = rl_recipe(steps=6, validation={"every": 1, "shown": 0, "patience": 5})
    run_told(more, squares, [0.2, 0.2, 0.2], resume=True)
    assert read_log(recipe.output / "log.jsonl")[-1]["step"] == 6


def test_a_run_that_was_killed_behind_its_end_is_only_finished(rl_recipe, squares):
    recipe = rl_recipe(steps=6, validation={"every": 1, "shown": 0, "patience": 2})
    final = run_told(recipe, squares, [0.1, 0.3, 0.2, 0.3])
    weights = (final / "model.safetensors").read_bytes()
    shutil.rmtree(final)
    run_told(recipe, squares, [], resume=True)
    assert (final / "model.safetensors").read_bytes() == weights
    assert read_log(recipe.output / "log.jsonl")[-1]["step"] == 3


@pytest.mark.parametrize(
    ("scores", "patience", "over"),
    [
        ([(0, 0.1), (5, 0.2), (10, 0.2)], 1, True),
        ([(0, 0.1), (5, 0.2), (10, 0.2)], 2, False),
        ([(0, 0.3), (5, 0.2), (10, 0.2)], 2, True),
        ([(0, 0.3), (5, 0.2), (10, 0.2)], None, False),
        ([], 1, False),
    ],
)
def test_patience_counts_validations_since_the_best_one(scores, patience, over):
    assert is_exhausted(scores, patience) == over


def test_of_equal_models_the_first_is_the_best():
    assert best_of([(0, 0.1), (5, 0.4), (10, 0.4)]) == (5, 0.4)
    assert best_of([]) is None


def test_random_numbers_drawn_in_between_are_not_missing_afterwards():
    for draw in (random.random, lambda: float(np.random.rand()), lambda: float(torch.rand(()))):
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        expected = [draw(), draw()]
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        first = draw()
        with randomness_kept():
            draw()
        assert [first, draw()] == expected


def test_a_kill_between_two_renamings_leaves_the_best_model_its_name(tmp_path):
    (tmp_path / ".best.before").mkdir()
    (tmp_path / ".best.before" / "validation.json").write_text('{"step": 5, "eval_iou": 0.5}')
    (tmp_path / ".best.part").mkdir()
    mend_best(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    assert read_best(tmp_path) == {"step": 5, "eval_iou": 0.5}


def test_there_is_no_best_model_where_nothing_says_what_it_is(tmp_path):
    assert read_best(tmp_path) is None
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "validation.json").write_text("[]")
    assert read_best(tmp_path) is None
