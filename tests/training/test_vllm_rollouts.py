"""Sampling with vLLM: what is asked is what is trained on, and what cannot work is said in a sentence.

vLLM itself is not in the tests' environment; the last test runs where it is installed.
"""

import importlib.util
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import transformers

from thinkseg import testing
from thinkseg.errors import RecipeError
from thinkseg.training import grpo
from thinkseg.training.callbacks import read_log
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.vllm_rollouts import (
    collapse_image_tokens,
    images_as_one_token,
    refuse_grown_vocabulary,
    refuse_impossible_vllm,
    vllm_explained,
)

IMAGE = 7
PROMPT = [1, IMAGE, IMAGE, IMAGE, 2, 3]


class Generation:
    """As TRL's, with a vLLM that puts `pieces` tokens in the place of an image's first one, as the real one does."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.handed = None

    def generate(self, prompts, images, num_generations):
        self.handed = prompts
        read = []
        for prompt in prompts:
            first = prompt.index(IMAGE)
            read.append([*prompt[:first], *[IMAGE] * self.pieces, *prompt[first + 1 :]])
        return read, images, num_generations


def options(**changed):
    """What matters of TRL's configuration, colocated on a CPU."""
    own = {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_enable_sleep_mode": False,
        "vllm_tensor_parallel_size": 1,
        "world_size": 1,
        "device": torch.device("cpu"),
    }
    return SimpleNamespace(**(own | changed))


def test_an_image_of_many_tokens_becomes_one_token_and_the_rest_of_the_prompt_stays():
    assert images_as_one_token(PROMPT, IMAGE) == [1, IMAGE, 2, 3]
    assert images_as_one_token([IMAGE, IMAGE, 2, 2, IMAGE], IMAGE) == [IMAGE, 2, 2, IMAGE]
    assert images_as_one_token([1, 1, 2], IMAGE) == [1, 1, 2]
    assert images_as_one_token([], IMAGE) == []


def test_vllm_reads_the_prompt_that_is_trained_on_and_not_one_with_the_image_doubled():
    generation = Generation(pieces=3)
    doubled, *_ = generation.generate([PROMPT], None, 1)
    assert doubled[0].count(IMAGE) == 5
    collapse_image_tokens(generation, IMAGE)
    read, images, count = generation.generate(prompts=[PROMPT, PROMPT], images=["a", "b"], num_generations=4)
    assert read == [PROMPT, PROMPT]
    assert generation.handed == [[1, IMAGE, 2, 3]] * 2
    assert (images, count) == (["a", "b"], 4)


def test_an_image_that_vllm_resizes_otherwise_is_refused_with_both_counts():
    generation = Generation(pieces=4)
    collapse_image_tokens(generation, IMAGE)
    with pytest.raises(RecipeError, match=r"7 tokens of a prompt of 6, 4 of them an image's and not 3.*images.max_pix"):
        generation.generate([PROMPT], None, 1)


def test_prompts_that_come_with_one_token_for_an_image_are_left_to_vllm():
    generation = Generation(pieces=3)
    collapse_image_tokens(generation, IMAGE)
    assert generation.generate([[1, IMAGE, 2, 3]], None, 1)[0] == [PROMPT]


def test_a_model_without_a_token_for_images_is_asked_as_ever():
    generation = Generation(pieces=3)
    collapse_image_tokens(generation, None)
    assert generation.generate([PROMPT], None, 1)[0][0].count(IMAGE) == 5


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"vllm_mode": "server"},
            r"'trl\.vllm_mode: server' needs a CUDA GPU .* trains on 'cpu'; say --trl\.vllm_mode c",
        ),
        ({"vllm_enable_sleep_mode": True}, r"'trl\.vllm_enable_sleep_mode' needs a GPU .* 'cpu'"),
        ({"vllm_tensor_parallel_size": 2}, r"is 2, which does not divide .* of this run \(1\); start a multiple of 2"),
        ({"vllm_tensor_parallel_size": 4, "world_size": 6}, r"is 4, which does not divide .* \(6\)"),
    ],
)
def test_what_this_machine_or_launch_does_not_have_is_said(changed, sentence):
    with pytest.raises(RecipeError, match=sentence):
        refuse_impossible_vllm(options(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"use_vllm": False, "vllm_enable_sleep_mode": True, "vllm_tensor_parallel_size": 2},
        {"vllm_enable_sleep_mode": True, "device": torch.device("cuda", 0)},
        {"vllm_tensor_parallel_size": 2, "world_size": 8},
        # What a recipe says for its own cards has no effect on a server's.
        {"vllm_mode": "server", "device": torch.device("cuda", 0), "vllm_tensor_parallel_size": 2},
    ],
)
def test_what_can_work_passes(changed):
    refuse_impossible_vllm(options(**changed))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"vllm_mode": "server"}, "needs a CUDA GPU"),
        ({"vllm_enable_sleep_mode": True}, "needs a GPU"),
        ({"vllm_tensor_parallel_size": 2}, "does not divide"),
    ],
)
def test_a_run_is_refused_before_its_folder_is_made(rl_recipe, changed, sentence):
    recipe = rl_recipe(trl={"use_vllm": True, **changed})
    with quiet_libraries(), pytest.raises(RecipeError, match=sentence):
        grpo.arguments(recipe, lambda name: SimpleNamespace(origin=name))
    assert not recipe.output.exists()


def test_a_model_with_tokens_that_its_folder_lacks_is_refused(start):
    model = transformers.AutoModelForImageTextToText.from_pretrained(start)
    refuse_grown_vocabulary(model)
    size = model.config.get_text_config().vocab_size
    model.resize_token_embeddings(size + 2)
    with pytest.raises(RecipeError, match=rf"grow to {size + 2} tokens, and vLLM reads its folder, which has {size}"):
        refuse_grown_vocabulary(model)


def raised_in(module, error):
    """Raise an error from a function of a module of this name."""
    code = compile("def fail(error): raise error", "<test>", "exec")
    names = {"__name__": module}
    exec(code, names)
    names["fail"](error)


@pytest.mark.parametrize(
    ("mode", "module", "error", "sentence"),
    [
        (
            "server",
            "trl.generation.vllm_client",
            ConnectionError("no server at\n URL"),
            "server cannot be used: no server at",
        ),
        (
            "colocate",
            "vllm.engine",
            ValueError("too little memory"),
            "cannot be started beside the model: too little mem",
        ),
    ],
)
def test_what_goes_wrong_in_vllm_is_one_sentence_with_a_way_out(mode, module, error, sentence):
    with pytest.raises(RecipeError, match=rf"{sentence}.*--trl\.use_vllm false"), vllm_explained(mode):
        raised_in(module, error)


def test_what_goes_wrong_elsewhere_is_not_blamed_on_vllm():
    with pytest.raises(ValueError, match="ours"), vllm_explained("colocate"):
        raised_in("thinkseg.rewards.rubric", ValueError("ours"))


def save_a_model_that_vllm_knows(folder):
    """A Qwen2.5-VL of random weights whose heads are as wide as vLLM's kernels for CPUs take them."""
    tiny, processor = testing.tiny_qwen2_5_vl()
    config = tiny.config
    for part in (config.text_config, config.vision_config):
        part.hidden_size, part.initializer_range = 128, 0.2
    config.text_config.rope_parameters["mrope_section"] = [4, 6, 6]
    config.text_config.num_key_value_heads = config.vision_config.num_heads = 4
    config.vision_config.out_hidden_size, config.initializer_range = 128, 0.2
    torch.manual_seed(0)
    return testing.save(folder, (type(tiny)(config).eval(), processor), {"format": "seg-r1", "max_new_tokens": 48})


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_a_real_vllm_reads_prompts_images_and_weights_as_the_trained_model_does(tmp_path, repository):
    """Wrong images, doubled ones and old weights all gave differences between 0.1 and 0.5 nats per token."""
    pytest.importorskip("thinkseg_pocket")
    # What a random model writes cannot be read; this is earned in different measure all the same.
    (tmp_path / "letters.py").write_text(
        "def letters(item):\n    return sum(map(str.isalpha, item.text)) / max(1, len(item.text))\n", encoding="utf-8"
    )
    changes = {
        "model.path": save_a_model_that_vllm_knows(tmp_path / "model"),
        "rewards": json.dumps({f"{tmp_path}/letters.py:letters": 1.0}),
        "output": tmp_path / "run",
        "steps": 4,
        "save_every": "null",
        "trl.per_device_train_batch_size": 16,
        "trl.learning_rate": 1e-3,  # large, so that old weights would be noticed
        "trl.warmup_steps": 0,
        "trl.use_vllm": "true",
        "trl.vllm_mode": "colocate",
        "trl.vllm_gpu_memory_utilization": 0.1,
    }
    flags = [str(word) for key, value in changes.items() for word in (f"--{key}", value)]
    command = [sys.executable, "-m", "thinkseg", "train", "rl", str(repository / "recipes/pocket/rl.yaml"), *flags]
    own = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}  # GiB, where there is no GPU
    ran = subprocess.run(command, capture_output=True, text=True, env=own, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    records = read_log(tmp_path / "run/log.jsonl")
    assert all(record["grad_norm"] > 0 for record in records)
    gaps = [record["sampling/sampling_logp_difference/mean"] for record in records]
    assert len(gaps) == 4
    assert max(gaps) < 0.02
