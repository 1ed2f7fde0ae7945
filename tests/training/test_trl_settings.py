"""What a recipe hands to TRL reaches it, and what TRL's own helpers would refuse is said before."""

import importlib.util
import json
from types import SimpleNamespace

import pytest

from thinkseg.errors import RecipeError
from thinkseg.training import grpo, sft
from thinkseg.training.runs import quiet_libraries, trl_arguments
from thinkseg.training.trl_settings import (
    VLLM_NEVER,
    never_sampled,
    refuse_missing_deepspeed,
    refuse_missing_vllm,
)

VLLM = {
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_tensor_parallel_size": 2,
    "vllm_gpu_memory_utilization": 0.4,
    "vllm_enable_sleep_mode": True,
}


def handed_over(recipe):
    with quiet_libraries():
        return trl_arguments(recipe)


def test_the_options_of_vllm_and_of_checkpointing_reach_trl(rl_recipe):
    args = handed_over(rl_recipe(trl={**VLLM, "gradient_checkpointing": True}))
    assert {key: getattr(args, key) for key in VLLM} == VLLM
    assert args.gradient_checkpointing


def test_the_options_of_a_server_reach_trl(rl_recipe):
    server = {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": "http://host:8000"}
    args = handed_over(rl_recipe(trl=server))
    assert {key: getattr(args, key) for key in server} == server


def test_vllm_can_be_turned_off_on_the_command_line_without_touching_its_options(rl_recipe):
    assert not handed_over(rl_recipe(trl={**VLLM, "use_vllm": False})).use_vllm


def test_tokens_of_images_are_kept_out_of_completions_in_the_words_of_either_sampler():
    assert never_sampled(False, [5, 6]) == {"suppress_tokens": [5, 6]}
    assert never_sampled(True, [5, 6]) == {"logit_bias": {5: VLLM_NEVER, 6: VLLM_NEVER}}
    assert never_sampled(True, []) == never_sampled(False, []) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # vLLM's own
def test_a_real_vllm_server_reads_the_tokens_to_keep_out_after_their_way_through_json():
    protocol = pytest.importorskip("vllm.entrypoints.scale_out.token_in_token_out.protocol")
    body = {"token_ids": [1, 2], "sampling_params": never_sampled(True, [5, 6])}
    read = protocol.GenerateRequest.model_validate_json(json.dumps(body)).sampling_params
    assert read.logit_bias == {5: VLLM_NEVER, 6: VLLM_NEVER}


def test_a_run_that_needs_vllm_says_so_before_anything_is_loaded(rl_recipe):
    recipe = rl_recipe(trl=VLLM, model={"path": "nowhere"})
    with pytest.raises(RecipeError, match=r"samples with vLLM .* not installed: .*--trl\.use_vllm false"):
        grpo.arguments(recipe, lambda name: None)
    refuse_missing_vllm({"use_vllm": False})


def test_a_folder_called_vllm_is_not_taken_for_the_package(tmp_path, monkeypatch):
    (tmp_path / "vllm").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    if importlib.util.find_spec("vllm").origin is not None:
        pytest.skip("vLLM itself is installed")
    with pytest.raises(RecipeError, match="not installed"):
        refuse_missing_vllm({"use_vllm": True})


@pytest.mark.parametrize(
    ("settings", "environment", "told"),
    [
        ({"deepspeed": "zero3.json"}, {}, r"\('trl\.deepspeed'\)"),
        ({}, {"ACCELERATE_USE_DEEPSPEED": "true"}, r"\(as the launcher says\)"),
    ],
)
def test_a_run_that_needs_deepspeed_says_so_in_a_sentence_with_the_command_that_brings_it(settings, environment, told):
    sentence = rf"spread by DeepSpeed {told}, which is not installed: pip install 'thinkseg\[deepspeed\]', or launch"
    with pytest.raises(RecipeError, match=sentence):
        refuse_missing_deepspeed(settings, lambda name: None, environment)
    refuse_missing_deepspeed(settings, lambda name: SimpleNamespace(origin="there"), environment)


def test_a_run_without_deepspeed_does_not_ask_for_it():
    refuse_missing_deepspeed({"deepspeed": None}, lambda name: None, {"ACCELERATE_USE_DEEPSPEED": "false"})


def test_a_recipe_that_names_deepspeed_is_refused_by_the_command_line(sft_recipe):
    if importlib.util.find_spec("deepspeed") is not None:
        pytest.skip("DeepSpeed itself is installed")
    with pytest.raises(RecipeError, match="which is not installed"):
        sft.arguments(sft_recipe(trl={"deepspeed": {"zero_optimization": {"stage": 2}}}))
