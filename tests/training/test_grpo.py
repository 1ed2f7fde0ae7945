"""Reinforcement on TRL's real trainer: rewards see what they should, files are whole, and a stop costs nothing."""

import json
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOTrainer

from thinkseg.errors import CheckpointError, InputError, RecipeError
from thinkseg.models.pipeline import load_pipeline
from thinkseg.testing import FakeSegmenter
from thinkseg.training.callbacks import read_log
from thinkseg.training.checkpoints import newest_checkpoint
from thinkseg.training.config import load_recipe, replace_settings
from thinkseg.training.grpo import plan_run
from thinkseg.training.runs import TrainingStopped
from thinkseg.training.stages import Making, train_recipe
from thinkseg.types import Sample

from .conftest import METHOD, written_settings

BOX = "<think>it</think><bbox>[10,10,50,50]</bbox><points>[[30,30]]</points><labels>[1]</labels>"


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def outcome(start, squares, tmp_path_factory, request):
    """A run of two steps, with everything that was seen on the way."""
    create = request.getfixturevalue("module_recipe")
    recipe = create(tmp_path_factory.mktemp("rl") / "run", save_every=1)
    seen = SimpleNamespace(calls=[], told=[], trainer=None, segmenter=FakeSegmenter(), recipe=recipe)

    def watched(function):
        def part(completions, **columns):
            # A model that knows nothing writes nothing that can be read: every second completion is written for it.
            for message in completions[::2]:
                message[0]["content"] = BOX
            values = function(completions=completions, **columns)
            call = {"name": function.__name__, "list": completions, "columns": columns, "values": values}
            seen.calls.append(SimpleNamespace(**call))
            return values

        part.__name__ = function.__name__
        return part

    def create_trainer(*, reward_funcs, **settings):
        seen.trainer = GRPOTrainer(reward_funcs=[watched(function) for function in reward_funcs], **settings)
        return seen.trainer

    seen.final = train_recipe(
        recipe,
        samples=squares,
        segmenter=seen.segmenter,
        on_step=lambda *step: seen.told.append(step),
        making=Making(create_trainer),
    )
    return seen


@pytest.fixture(scope="module")
def module_recipe(start):
    from thinkseg.training.config import recipe_from_settings

    def create(output, **changes):
        settings = {
            "stage": "rl",
            "output": str(output),
            "model": {"path": str(start)},
            "rewards": {"segment": 1.0, "format": 0.5},
            "steps": 2,
            "device": "cpu",
            "trl": METHOD,
        }
        return recipe_from_settings(settings | changes)

    return create


def test_the_parts_of_a_batch_are_called_one_after_another_with_the_same_list(outcome):
    assert [call.name for call in outcome.calls] == ["segment", "format"] * 2
    assert outcome.calls[0].list is outcome.calls[1].list
    assert outcome.calls[1].list is not outcome.calls[2].list


def test_rewards_are_given_the_image_as_it_is_its_truth_and_the_frame_of_the_text(outcome, squares):
    columns = outcome.calls[0].columns
    assert len(columns["image"]) == 8
    assert len({id(image) for image in columns["image"]}) == 2
    assert columns["image"][0] is columns["image"][3]
    by_id = {sample.id: sample for sample in squares}
    for name, image, target, frame in zip(
        columns["sample"], columns["image"], columns["target"], columns["frame"], strict=True
    ):
        assert image.size == by_id[name].image.size == (64, 64)
        assert target is by_id[name].target
        assert frame == [56, 56]


def test_an_image_is_encoded_once_for_all_its_completions_and_parts(outcome):
    assert len(outcome.segmenter.encoded) == 2 * 2  # two steps of two prompts


def test_a_readable_answer_is_rewarded_above_an_unreadable_one(outcome):
    for call in outcome.calls:
        assert min(call.values[::2]) > max(call.values[1::2]) == 0.0


def test_each_step_is_told_and_logged_with_the_parts_of_the_reward(outcome):
    records = read_log(outcome.recipe.output / "log.jsonl")
    assert [(step, steps) for step, steps, _ in outcome.told] == [(1, 2), (2, 2)]
    assert [record for _, _, record in outcome.told] == records
    first = outcome.calls[0].values, outcome.calls[1].values
    assert records[0]["rewards/segment/mean"] == pytest.approx(np.mean(first[0]))
    assert records[0]["rewards/format/mean"] == pytest.approx(0.5)
    assert records[0]["reward"] == pytest.approx(np.mean(first[0]) + 0.5 * 0.5)
    assert records[0]["parse_failures"] == pytest.approx(0.5)
    for record in records:
        told = {"step", "seconds", "loss", "grad_norm", "reward_std", "entropy", "completions/mean_length"}
        assert told | {"completions/clipped_ratio", "frac_reward_zero_std"} <= record.keys()
        assert record["grad_norm"] > 0


def test_rollouts_are_sampled_plainly_and_without_the_tokens_that_stand_for_images(outcome):
    config = outcome.trainer.generation_config
    assert (config.temperature, config.repetition_penalty, config.do_sample) == (1.0, 1.0, True)
    tokenizer = outcome.trainer.processing_class.tokenizer
    names = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    assert set(config.suppress_tokens) == set(tokenizer.convert_tokens_to_ids(names))


def test_the_last_step_is_trained_and_saved(outcome):
    """Defect 18: the last step was never trained."""
    output = outcome.recipe.output
    assert outcome.trainer.state.global_step == 2
    assert newest_checkpoint(output) == output / "checkpoint-2"
    assert not same(weights(output / "checkpoint-1"), weights(output / "checkpoint-2"))
    assert same(weights(output / "checkpoint-2"), weights(outcome.final))


def test_the_trained_folder_loads_as_any_model_and_describes_how_it_is_asked(outcome, start):
    model = AutoModelForImageTextToText.from_pretrained(outcome.final, dtype=torch.float32)
    assert same(dict(model.state_dict()), dict(outcome.trainer.model.state_dict()))
    AutoProcessor.from_pretrained(outcome.final)
    settings = written_settings(outcome.final)
    assert {key: settings[key] for key in written_settings(start)} == written_settings(start)
    assert (model.generation_config.do_sample, model.generation_config.repetition_penalty) == (False, None)
    pipeline = load_pipeline(outcome.final, FakeSegmenter(), device="cpu")
    assert pipeline.segment(Image.new("RGB", (64, 64)), "it").mask.shape == (64, 64)


def test_weights_are_in_safetensors_only_and_every_checkpoint_says_how_it_is_asked(outcome):
    names = {path.name for path in outcome.final.iterdir()}
    assert "model.safetensors" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth"))]
    assert written_settings(outcome.recipe.output / "checkpoint-1") == written_settings(outcome.final)


def test_the_recipe_is_kept_with_the_run(outcome):
    assert load_recipe(outcome.recipe.output / "recipe.yaml") == outcome.recipe


def test_a_folder_with_a_run_is_not_overwritten(outcome, squares):
    with pytest.raises(RecipeError, match=r"holds a run already \(checkpoint-2\); add --resume"):
        train_recipe(outcome.recipe, samples=squares, segmenter=FakeSegmenter())


def test_there_is_nothing_to_resume_in_an_empty_folder(rl_recipe, squares):
    with pytest.raises(RecipeError, match=r"no checkpoint in .* to resume from"):
        train_recipe(rl_recipe(), samples=squares, segmenter=FakeSegmenter(), resume=True)


def interrupt_after(step):
    def on_step(done, steps, record):
        if done == step:
            signal.raise_signal(signal.SIGINT)

    return on_step


def timeless(recipe):
    """The records of a run without what the clock says."""
    records = read_log(recipe.output / "log.jsonl")
    return [
        {key: value for key, value in record.items() if key not in ("seconds", "elapsed", "step_time")}
        for record in records
    ]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="whole"),
        pytest.param({"trl": {"beta": 0.04}}, id="with a reference", marks=pytest.mark.slow),
        pytest.param({"lora": {"r": 2}}, id="adapters", marks=pytest.mark.slow),
        pytest.param({"trl": {"num_iterations": 2}}, id="two steps per rollout", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(module_recipe, squares, start, tmp_path, changes):
    """Defect 18: resuming restored the weights only and began with the first data again."""
    model = {"path": str(start), "lora": changes.get("lora")}
    method = METHOD | changes.get("trl", {})
    straight = module_recipe(tmp_path / "straight", model=model, steps=4, trl=method)
    stopped = module_recipe(tmp_path / "stopped", model=model, steps=4, trl=method)
    expected = train_recipe(straight, samples=squares, segmenter=FakeSegmenter())
    with pytest.raises(TrainingStopped, match="stopped after step 2 of 4") as caught:
        train_recipe(stopped, samples=squares, segmenter=FakeSegmenter(), on_step=interrupt_after(1))
    assert caught.value.checkpoint == stopped.output / "checkpoint-2"
    final = train_recipe(stopped, samples=squares, segmenter=FakeSegmenter(), resume=True)
    assert same(weights(final), weights(expected))
    assert [record["step"] for record in read_log(stopped.output / "log.jsonl")] == [1, 2, 3, 4]
    assert timeless(stopped) == timeless(straight)


def test_the_final_model_has_the_share_of_its_start_that_the_recipe_says(module_recipe, squares, start, tmp_path):
    whole, mixed = (
        train_recipe(
            module_recipe(tmp_path / f"run-{share}", model={"path": str(start)}, start_share=share),
            samples=squares,
            segmenter=FakeSegmenter(),
        )
        for share in (0.0, 0.25)
    )
    before, after, found = weights(start), weights(whole), weights(mixed)
    assert not same(before, after)
    for name, weight in found.items():
        torch.testing.assert_close(weight, 0.25 * before[name] + 0.75 * after[name], msg=name)
    assert written_settings(mixed) == written_settings(whole)
    assert {path.name for path in mixed.parent.iterdir()} == {path.name for path in whole.parent.iterdir()}
    assert same(weights(mixed.parent / "checkpoint-2"), after), "what a run goes on from is not mixed"


def test_the_final_model_that_is_there_stays_where_the_start_is_gone(module_recipe, squares, start, tmp_path):
    moved = shutil.copytree(start, tmp_path / "start")
    recipe = module_recipe(tmp_path / "run", model={"path": str(moved)}, start_share=0.25)

    def remove(*told):
        shutil.rmtree(moved, ignore_errors=True)
        (recipe.output / "final").mkdir(exist_ok=True)
        (recipe.output / "final" / "mine").touch()

    with pytest.raises(CheckpointError, match="start"):
        train_recipe(recipe, samples=squares, segmenter=FakeSegmenter(), on_step=remove)
    assert [path.name for path in (recipe.output / "final").iterdir()] == ["mine"]


def test_adapters_are_mixed_with_the_start_when_they_are_merged(module_recipe, squares, start, tmp_path):
    model = {"path": str(start), "lora": {"r": 2, "alpha": 4}}
    whole, mixed = (
        weights(
            train_recipe(
                module_recipe(tmp_path / f"run-{share}", model=model, steps=1, start_share=share),
                samples=squares,
                segmenter=FakeSegmenter(),
            )
        )
        for share in (0.0, 0.25)
    )
    before = weights(start)
    assert not same(before, whole)
    for name, weight in mixed.items():
        torch.testing.assert_close(weight, 0.25 * before[name] + 0.75 * whole[name], msg=name)


@pytest.mark.slow
def test_adapters_are_trained_and_merged(module_recipe, squares, start, tmp_path):
    lora = {"path": str(start), "lora": {"r": 2, "alpha": 4}}
    recipe = module_recipe(tmp_path / "run", model=lora)
    final = train_recipe(recipe, samples=squares, segmenter=FakeSegmenter())
    before, after = weights(start), weights(final)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed
    assert all("_proj" in name and "visual" not in name for name in changed)
    load_pipeline(final, FakeSegmenter(), device="cpu")


def trl_batch(per_device=8, generations=4, accumulation=1, rollout_steps=1, iterations=1):
    return SimpleNamespace(
        generation_batch_size=per_device * rollout_steps,
        num_generations=generations,
        steps_per_generation=rollout_steps,
        num_iterations=iterations,
        gradient_accumulation_steps=accumulation,
    )


@pytest.mark.parametrize(
    ("batch", "changes", "samples", "plan"),
    [
        # two prompts a step; three samples make one and a half steps, and the last one is trained, too
        (trl_batch(), {"steps": None, "epochs": 1}, 3, (2, 4, 1)),
        (trl_batch(), {"steps": None, "epochs": 2}, 3, (3, 6, 1)),
        (trl_batch(), {"steps": None}, 100, (50, 100, 1)),
        (trl_batch(), {"steps": 5}, 3, (5, 10, 1)),
        # a set of rollouts of four prompts serves two steps, twice
        (trl_batch(rollout_steps=2, iterations=2), {"steps": 6}, 3, (6, 8, 4)),
        (trl_batch(rollout_steps=2, iterations=2), {"steps": None, "epochs": 1}, 5, (8, 8, 4)),
        # two forward passes make a step, of one set of rollouts each or of one together
        (trl_batch(accumulation=2), {"steps": 3}, 3, (3, 12, 1)),
        (trl_batch(accumulation=2, rollout_steps=2), {"steps": 3}, 3, (3, 12, 1)),
        (trl_batch(accumulation=2, rollout_steps=2), {"steps": None, "epochs": 1}, 6, (2, 8, 1)),
        # 50 sets of two prompts fill six steps of eight sets and a quarter of a seventh, which is trained, too
        (trl_batch(accumulation=8), {"steps": None, "epochs": 1}, 100, (7, 112, 1)),
    ],
)
def test_a_run_is_laid_out_so_that_every_sample_comes_in_time(rl_recipe, batch, changes, samples, plan):
    found = plan_run(rl_recipe(**changes), batch, samples)
    assert (found.steps, found.rows, found.resumable_every) == plan


def test_checkpoints_are_refused_where_a_run_could_not_be_resumed_exactly(rl_recipe):
    with pytest.raises(RecipeError, match="'save_every' should be a multiple of 4"):
        plan_run(rl_recipe(save_every=2), trl_batch(rollout_steps=2, iterations=2), 3)


def test_settings_that_trl_refuses_are_a_wrong_recipe(rl_recipe, squares):
    with pytest.raises(RecipeError, match=r"GRPOConfig of TRL refuses .* divisible by num_generations"):
        train_recipe(rl_recipe(trl={"per_device_train_batch_size": 6}), samples=squares, segmenter=FakeSegmenter())


def test_weights_that_could_not_take_the_steps_are_refused(rl_recipe, start, squares):
    recipe = rl_recipe(model={"path": str(start), "dtype": "bfloat16"}, trl={"learning_rate": 1e-6})
    with pytest.raises(RecipeError, match="weights in bfloat16 cannot take steps"):
        train_recipe(recipe, samples=squares, segmenter=FakeSegmenter())


@pytest.mark.parametrize(("part", "sentence"), [("segment", "no_segmenter"), ("accuracy", "no_image")])
def test_a_segmenter_is_loaded_only_for_parts_that_look_at_masks(rl_recipe, part, sentence):
    missing = [Sample("gone", "no_image.png", "it", np.ones((8, 8), dtype=bool))]
    with pytest.raises(InputError, match=sentence):
        train_recipe(rl_recipe(rewards={part: 1.0}, segmenter="./no_segmenter"), samples=missing)


def test_a_part_that_does_not_exist_is_named_before_training(rl_recipe, squares):
    with pytest.raises(RecipeError, match="segmnt"):
        train_recipe(rl_recipe(rewards={"segmnt": 1.0}), samples=squares, segmenter=FakeSegmenter())


@pytest.mark.parametrize(
    "changes",
    [{"rewards": {"segmnt": 1.0}}, {"model": {"path": "./nowhere"}}, {"trl": {"optim_args": "no equals sign"}}],
)
def test_a_start_that_fails_leaves_nothing_and_the_next_one_finds_nothing_in_its_way(rl_recipe, squares, changes):
    recipe = rl_recipe(**changes)
    for _ in range(2):
        with pytest.raises(InputError):
            train_recipe(recipe, samples=squares, segmenter=FakeSegmenter())
        assert not recipe.output.exists()


def test_going_on_that_fails_leaves_the_record_as_it_was(outcome, squares):
    folder = outcome.recipe.output
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    other = replace_settings(outcome.recipe, {"rewards": {"segmnt": 1.0}, "steps": 9})
    with pytest.raises(RecipeError, match="segmnt"):
        train_recipe(
            other,
            samples=squares,
            segmenter=FakeSegmenter(),
            resume=True,
            allow=["rewards.segmnt", "rewards.segment", "rewards.format"],
        )
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_sample_that_cannot_be_read_stops_the_run_with_a_sentence(rl_recipe):
    missing = [Sample("gone", "nowhere.png", "it", np.ones((8, 8), dtype=bool))]
    with pytest.raises(InputError, match="nowhere"):
        train_recipe(rl_recipe(), samples=missing, segmenter=FakeSegmenter())


def test_a_tokenizer_that_would_hide_the_tags_is_refused(rl_recipe, start, squares, tmp_path):
    processor = AutoProcessor.from_pretrained(start)
    processor.tokenizer.add_special_tokens({"additional_special_tokens": ["<think>"]})
    folder = tmp_path / "odd"
    AutoModelForImageTextToText.from_pretrained(start).save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "thinkseg.json").write_text(json.dumps(written_settings(start)))
    with pytest.raises(CheckpointError, match="<think> as a special token"):
        train_recipe(rl_recipe(model={"path": str(folder)}), samples=squares, segmenter=FakeSegmenter())
