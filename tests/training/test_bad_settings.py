"""Settings that cannot work are refused in one sentence before anything is loaded, and none trains in silence."""

import copy
import math

import pytest

from thinkseg.errors import CheckpointError, RecipeError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.settings import put
from thinkseg.testing import FakeSegmenter
from thinkseg.training.config import Recipe, recipe_from_settings
from thinkseg.training.stages import train_recipe

from .conftest import METHOD

NAN, INF = math.nan, math.inf

BAD = [
    ("model.lora.r", 0, "at least 1"),
    ("model.lora.r", -4, "at least 1"),
    ("model.lora.r", 10**9, "at most 8192"),
    ("model.lora.alpha", 0, "at least 1"),
    ("model.lora.dropout", -1, "at least 0"),
    ("model.lora.dropout", 1, "below 1"),
    ("model.lora.dropout", NAN, "finite number"),
    ("model.lora.target_modules", "(", "a regular expression"),
    ("model.lora.target_modules", "", "name modules or be null"),
    ("images.canvas", 10**6, "at most 8192"),
    ("images.min_pixels", 10**12, "at most"),
    ("images.max_pixels", 0, "at least 1"),
    ("data.seed", -1, "at least 0"),
    ("data.size", -5, "at least 1"),
    ("data.size", 10**6, "at most"),
    ("data.count", 10**12, "at most"),
    ("data.tasks.salient", -1, "at least 0"),
    ("trl.learning_rate", 10**400, "finite number"),
    ("data.tasks.salient", INF, "finite number"),
    ("rewards.segment", INF, "finite number"),
    ("rewards.segment", -INF, "finite number"),
    ("rewards.segment", NAN, "finite number"),
    ("rewards.segment", 1e38, "at most 1000"),
    ("rewards.segment", -1e38, "at least -1000"),
    ("generation.temperature", NAN, "finite number"),
    ("generation.temperature", INF, "finite number"),
    ("generation.temperature", -1, "above 0"),
    ("generation.max_new_tokens", 10**9, "at most"),
    ("steps", 10**12, "at most 10000000"),
    ("epochs", INF, "finite number"),
    ("epochs", NAN, "finite number"),
    ("epochs", 1e300, "at most"),
    ("seed", -1, "at least 0"),
    ("seed", 2**32, "at most 4294967295"),
    ("save_every", -1, "at least 1"),
    ("keep", 0, "at least 1"),
    ("log_every", 0, "at least 1"),
    ("trl.num_generations", 0, "at least 2"),
    ("trl.num_generations", 1, "at least 2"),
    ("trl.num_generations", 4.5, "whole number"),
    ("trl.num_generations", True, "a number"),
    ("trl.num_iterations", 0, "at least 1"),
    ("trl.num_iterations", -1, "at least 1"),
    ("trl.per_device_train_batch_size", 0, "at least 1"),
    ("trl.per_device_train_batch_size", 1.5, "whole number"),
    ("trl.gradient_accumulation_steps", 0, "at least 1"),
    ("trl.gradient_accumulation_steps", -2, "at least 1"),
    ("trl.steps_per_generation", 0, "at least 1"),
    ("trl.steps_per_generation", "two", "a number"),
    ("trl.bf16", "3", "true or false or null"),
    ("trl.report_to", 3, "text or a list"),
    ("trl.optim_args", True, "text or null"),
    ("trl.accelerator_config", 0, "text or a section of settings or null"),
    ("trl.generation_kwargs", "{}", "a section of settings or null"),
    ("trl.lr_scheduler_type", ["cosine"], "text"),
    ("trl.log_level", "loud", "'debug' or 'info'"),
    ("trl.fsdp", {"a": 1}, "text"),
    ("trl.learning_rate", -1, "at least 0"),
    ("trl.learning_rate", NAN, "finite number"),
    ("trl.learning_rate", INF, "finite number"),
    ("trl.learning_rate", 1e30, "at most"),
    ("trl.beta", -1, "at least 0"),
    ("trl.beta", NAN, "finite number"),
    ("trl.epsilon", -1, "above 0"),
    ("trl.epsilon", 0, "above 0"),
    ("trl.epsilon_high", -1, "above 0"),
    ("trl.delta", -1, "above 0"),
    ("trl.entropy_coef", NAN, "finite number"),
    ("trl.loss_type", "ppo", "'grpo' or 'bnpo'"),
    ("trl.loss_type", 3, "'grpo' or 'bnpo'"),
    ("trl.scale_rewards", "groups", "'group' or 'batch'"),
    ("trl.scale_rewards", 1, "'group' or 'batch'"),
    ("trl.importance_sampling_level", "word", "'token' or 'sequence'"),
    ("trl.multi_objective_aggregation", "sum", "'sum_then_normalize'"),
    ("trl.weight_decay", -1, "at least 0"),
    ("trl.max_grad_norm", -1, "at least 0"),
    ("trl.warmup_steps", -5, "at least 0"),
    ("trl.adam_beta1", 1, "below 1"),
    ("trl.adam_beta2", -0.5, "at least 0"),
    ("trl.top_p", 0, "above 0"),
    ("trl.top_p", 1.5, "at most 1"),
    ("trl.top_k", -1, "at least 0"),
    ("trl.min_p", 2, "at most 1"),
    ("trl.dataloader_num_workers", -1, "at least 0"),
    ("trl.push_to_hub", True, "'thinkseg push'"),
    ("trl.hub_model_id", "me/mine", "'thinkseg push'"),
    ("trl.save_only_model", True, "to resume from"),
    ("trl.ignore_data_skip", True, "has trained on"),
    ("trl.auto_find_batch_size", True, "batches that it began with"),
    ("trl.eval_strategy", "steps", "the section 'validation'"),
    ("trl.trust_remote_code", True, "no code"),
]


@pytest.mark.parametrize(("name", "value", "expected"), BAD, ids=[f"{name} {value}" for name, value, _ in BAD])
def test_a_setting_that_cannot_work_is_refused_by_its_name(name, value, expected):
    settings = {"stage": "rl", "output": "runs/x", "rewards": {"format": 1.0}, "trl": copy.deepcopy(METHOD)}
    recipe_from_settings(copy.deepcopy(settings))
    put(settings, Recipe, name, value)
    with pytest.raises(RecipeError) as caught:
        recipe_from_settings(settings)
    told = str(caught.value)
    assert told.startswith(f"'{name}' ")
    assert expected in told
    assert "\n" not in told


@pytest.mark.parametrize("loss", ["grpo", "nll "])
def test_imitation_has_losses_of_its_own(loss):
    with pytest.raises(RecipeError, match=r"'trl\.loss_type' should be 'nll' or 'dft'"):
        recipe_from_settings({"stage": "sft", "output": "runs/x", "trl": {"loss_type": loss}})


def test_limits_of_pixels_that_no_image_keeps_are_refused():
    with pytest.raises(
        RecipeError, match=r"'images\.min_pixels' should be at most 'images\.max_pixels', found 9 and 4"
    ):
        recipe_from_settings({"stage": "sft", "output": "x", "images": {"min_pixels": 9, "max_pixels": 4}})


def test_a_checkpoint_s_own_file_has_the_same_limit_of_a_canvas():
    with pytest.raises(CheckpointError, match="'canvas' should be at most 8192"):
        CheckpointConfig(canvas=10**6)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trl": {"lr_scheduler_type": "steep"}}, "GRPOConfig of TRL refuses the recipe's settings: '?steep'? is not"),
        ({"trl": {"optim": "sgd with luck"}}, "GRPOConfig of TRL refuses the recipe's settings: sgd with luck is not"),
        ({"model.lora.target_modules": "no_such_module"}, "refuses the recipe's settings: .*no_such_module"),
        ({"steps": 10_000_000, "trl": {"gradient_accumulation_steps": 64}}, "at most 100,000,000 rows"),
    ],
)
def test_what_is_known_only_with_trl_or_the_model_is_a_wrong_recipe_too(rl_recipe, squares, start, changes, told):
    if pattern := changes.pop("model.lora.target_modules", None):
        changes["model"] = {"path": str(start), "lora": {"target_modules": pattern}}
    recipe = rl_recipe(**changes)
    with pytest.raises(RecipeError, match=told):
        train_recipe(recipe, samples=squares, segmenter=FakeSegmenter())
