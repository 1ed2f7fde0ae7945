"""What stands around a run: nobody is told of it, and nothing of it stays behind."""

import hashlib
import json
import warnings

import pytest
import torch
from huggingface_hub import constants, utils
from huggingface_hub.utils import _telemetry
from transformers import AutoModelForImageTextToText
from transformers.utils import logging

from thinkseg.errors import CheckpointError, RecipeError
from thinkseg.models.canvas import Canvas
from thinkseg.models.families import FAMILIES
from thinkseg.models.merging import merge
from thinkseg.testing import save, tiny_qwen2_5_vl
from thinkseg.training.checkpoints import write_manifest
from thinkseg.training.policy import load_policy
from thinkseg.training.runs import lora_config, open_run, quiet_libraries
from thinkseg.training.sections import Lora
from thinkseg.types import Instruction

from .conftest import written_settings


def test_no_server_hears_that_a_trainer_is_used(monkeypatch):
    heard = []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(_telemetry._TELEMETRY_QUEUE, "put", heard.append)
    monkeypatch.setattr(_telemetry, "_start_telemetry_thread", lambda: None)
    with quiet_libraries():
        utils.send_telemetry("trl/GRPOTrainer")
    assert not heard
    utils.send_telemetry("somebody else")
    assert len(heard) == 1


def test_what_the_libraries_say_to_each_other_does_not_show_and_other_warnings_do():
    drawn = logging.is_progress_bar_enabled()
    with quiet_libraries():
        assert not logging.is_progress_bar_enabled()
        warnings.warn("`gradient_checkpointing` is deprecated", FutureWarning, stacklevel=1)
        with pytest.raises(FutureWarning, match="mine"):
            warnings.warn("mine", FutureWarning, stacklevel=1)
    assert logging.is_progress_bar_enabled() == drawn


def test_a_model_is_asked_as_its_folder_says_unless_the_recipe_says_otherwise(rl_recipe, start):
    plain = load_policy(rl_recipe())
    assert plain.answer_format.instruction("a cat") == Instruction("a cat")
    assert plain.reasoner.max_new_tokens == 12
    other = load_policy(rl_recipe(instruction={"user": "Where is {query}?"}, generation={"max_new_tokens": 5}))
    assert other.answer_format.instruction("a cat") == Instruction("Where is a cat?")
    assert other.reasoner.max_new_tokens == 5


def test_another_format_brings_its_own_words(rl_recipe):
    policy = load_policy(rl_recipe(format="seg-r1-points"))
    assert policy.answer_format.name == "seg-r1-points"
    assert "<points>" in policy.answer_format.instruction("a cat").user
    assert policy.config.max_new_tokens is None


def test_what_the_recipe_says_about_images_reaches_the_model_and_its_files(rl_recipe, tmp_path):
    policy = load_policy(rl_recipe(images={"max_pixels": 64 * 64, "canvas": 56}))
    assert policy.reasoner.canvas == Canvas(56)
    assert policy.reasoner.processor.image_processor.size["longest_edge"] == 64 * 64
    policy.write_config(tmp_path)
    assert written_settings(tmp_path)["canvas"] == 56


def test_a_model_of_which_nobody_knows_the_format_is_refused(rl_recipe, tmp_path):
    folder = save(tmp_path / "bare", tiny_qwen2_5_vl())
    with pytest.raises(RecipeError, match="give the recipe a 'format'"):
        load_policy(rl_recipe(model={"path": str(folder)}))


def test_a_chat_template_that_opens_the_thinking_itself_is_refused(rl_recipe, start, tmp_path):
    model, processor = tiny_qwen2_5_vl()
    opened = "<|im_start|>assistant\n<think>\n"
    processor.chat_template = processor.chat_template.replace("<|im_start|>assistant\n", opened)
    folder = save(tmp_path / "opened", (model, processor), written_settings(start))
    with pytest.raises(CheckpointError, match="opens <think> itself"):
        load_policy(rl_recipe(model={"path": str(folder)}))


def test_a_checkpoints_own_penalties_are_not_trained_with_and_not_passed_on(rl_recipe, start, tmp_path):
    model, processor = tiny_qwen2_5_vl()
    model.generation_config.repetition_penalty = 1.05
    folder = save(tmp_path / "penal", (model, processor), written_settings(start))
    policy = load_policy(rl_recipe(model={"path": str(folder)}))
    config = policy.reasoner.model.generation_config
    assert config.repetition_penalty is None
    assert config.eos_token_id == model.generation_config.eos_token_id


def test_all_tokens_that_stand_for_images_are_known(reasoner):
    names = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    assert reasoner.vision_token_ids == set(reasoner.processor.tokenizer.convert_tokens_to_ids(names))


def test_the_family_says_which_modules_get_an_adapter_unless_the_recipe_does():
    qwen, smol = FAMILIES["qwen2_5_vl"], FAMILIES["smolvlm"]
    assert lora_config(None, qwen) is None
    assert lora_config(Lora(r=4), qwen).target_modules == qwen.lora_targets
    assert lora_config(Lora(r=4), smol).target_modules == smol.lora_targets != qwen.lora_targets
    assert lora_config(Lora(target_modules=".*q_proj"), qwen).target_modules == ".*q_proj"


def test_a_checkpoint_of_shards_says_all_that_merging_it_needs(rl_recipe, tmp_path):
    policy = load_policy(rl_recipe())
    torch.save(dict(policy.reasoner.model.state_dict()), tmp_path / "model_world_size_1_rank_0.pt")
    policy.describe(tmp_path)
    merged = merge(tmp_path, tmp_path / "merged")
    assert written_settings(merged.folder) == written_settings(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(merged.folder, dtype=torch.float32)
    for name, tensor in policy.reasoner.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_an_adapter_gets_no_config_which_would_make_it_look_like_a_whole_model(rl_recipe, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    load_policy(rl_recipe()).describe(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_config.json", "thinkseg.json"}


def code_of_ones_own(folder):
    file = folder / "mine.py"
    file.write_text("def short(batch):\n    return [1.0 for _ in batch.inputs]\n")
    return file, f"{file}:short"


def begun(recipe):
    """The folder of a run that has a checkpoint to go on from."""
    open_run(recipe, resume=False)
    checkpoint = recipe.output / "checkpoint-1"
    checkpoint.mkdir()
    (checkpoint / "trainer_state.json").write_text("{}")
    write_manifest(checkpoint)
    return checkpoint


def test_the_record_of_a_run_says_which_code_of_ones_own_it_began_with(rl_recipe, tmp_path):
    file, reference = code_of_ones_own(tmp_path)
    recipe = rl_recipe(rewards={"segment": 1.0, reference: 0.2})
    checkpoint = begun(recipe)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert json.loads((recipe.output / "code.json").read_text()) == {reference: digest}
    assert open_run(recipe, resume=True) == checkpoint


def test_a_run_does_not_go_on_with_code_that_has_changed(rl_recipe, tmp_path):
    file, reference = code_of_ones_own(tmp_path)
    recipe = rl_recipe(rewards={"segment": 1.0, reference: 0.2})
    begun(recipe)
    file.write_text(file.read_text().replace("1.0", "0.5"))
    with pytest.raises(RecipeError, match=r"mine\.py' has changed since the run in .*run' began"):
        open_run(recipe, resume=True)


def test_a_run_does_not_go_on_with_other_code_than_it_began_with(rl_recipe, tmp_path):
    _, reference = code_of_ones_own(tmp_path)
    began = rl_recipe(rewards={"segment": 1.0, reference: 0.2})
    begun(began)
    with pytest.raises(RecipeError, match=r"began with the code '.*mine\.py:short'"):
        open_run(rl_recipe(), resume=True)
    with pytest.raises(RecipeError, match=r"began without the code '.*mine\.py:short'"):
        open_run(began.replaced(output=begun(rl_recipe(output=str(tmp_path / "other"))).parent), resume=True)


def test_code_that_is_not_there_is_named_before_a_run_begins(rl_recipe):
    recipe = rl_recipe(rewards={"nowhere.py:own": 1.0})
    with pytest.raises(RecipeError, match=r"expected code at 'nowhere\.py'"):
        open_run(recipe, resume=False)
    assert not recipe.output.exists()
