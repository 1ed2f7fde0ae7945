"""veRL itself reads our rows and calls our rewards; run by `make test-verl`, in an environment of its own."""

import asyncio
import json
import os
import pkgutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

import thinkseg
from thinkseg import cli
from thinkseg.imaging import load_image

pytestmark = [pytest.mark.verl, pytest.mark.filterwarnings("default")]

if find_spec("verl") is None:
    pytest.skip("needs veRL: make test-verl", allow_module_level=True)

ROOMS = ("answers", "data", "drawing", "geometry", "imaging", "integrations", "metrics", "models", "results", "rewards")
"""Rooms that the environments of engines need: reading, rewards, merging."""


@pytest.fixture(scope="module")
def pocket():
    from thinkseg.models.loading import pocket_folder

    return pocket_folder("reasoner_small")


@pytest.fixture(scope="module")
def processor(pocket):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(pocket)


@pytest.fixture(scope="module")
def rows(own, tmp_path_factory):
    out = tmp_path_factory.mktemp("rows") / "rows"
    asked = ["--schema", "verl", "--model", "pocket-small", "--out", str(out)]
    assert cli.main(["data", "prepare", str(own / "t.jsonl"), *asked]) == 0
    return out


@pytest.fixture(scope="module")
def data_set(rows, processor, tmp_path_factory):
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    config = OmegaConf.create(
        {"cache_dir": str(tmp_path_factory.mktemp("cache")), "filter_overlong_prompts_workers": 1}
    )
    return RLHFDataset(str(rows / "train-00000-of-00001.parquet"), processor.tokenizer, config, processor)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_loads_under_the_transformers_that_verl_pins(room):
    top = import_module(f"thinkseg.{room}")
    for module in pkgutil.walk_packages(getattr(top, "__path__", ()), f"thinkseg.{room}."):
        import_module(module.name)


def test_its_data_set_gives_the_prompt_and_the_image_that_thinkseg_shows_the_model(data_set, processor, own):
    from thinkseg.data.readers.tables import list_table
    from thinkseg.models.asking import Asker
    from thinkseg.models.checkpoint_config import resolve_config
    from thinkseg.models.loading import locate
    from thinkseg.models.published.wording import wording_for
    from thinkseg.models.reasoner import chat_messages
    from thinkseg.models.reasoner_loading import describe_reasoner

    config = resolve_config("pocket-small")
    reasoner = describe_reasoner(locate("pocket-small", "reasoner"), config)
    ask = Asker(reasoner, wording_for("pocket-small", config))
    assert len(data_set) == 3
    for index, sample in enumerate(list_table(own / "t.jsonl")):
        messages = data_set[index]["raw_prompt"]
        request, _ = ask(sample, load_image(sample.image))
        assert processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) == (
            processor.apply_chat_template(
                chat_messages(request.instruction), add_generation_prompt=True, tokenize=False
            )
        )
        images, _ = asyncio.run(data_set.process_vision_info(messages, data_set.image_patch_size, data_set.config))
        assert np.array_equal(np.asarray(images[0]), np.asarray(request.image))


@pytest.mark.parametrize("manager", ["naive", "dapo"])
@pytest.mark.parametrize("path", ["pkg://thinkseg.integrations.verl", "FILE"])
def test_its_reward_managers_give_what_score_gives(manager, path, data_set, processor, said, settings):
    import torch
    from omegaconf import OmegaConf
    from tensordict import TensorDict
    from verl import DataProto
    from verl.trainer.ppo.reward import load_reward_manager

    path = str(import_module("thinkseg.integrations.verl").__file__) if path == "FILE" else path
    function = {"path": path, "name": "compute_score", "reward_kwargs": settings}
    chosen = {"source": "register", "name": manager, "module": None}
    config = OmegaConf.create({"reward": {"custom_reward_function": function, "reward_manager": chosen}})
    asked = [(text, data_set[index]) for index in range(3) for text in said]

    def item(text, row):
        ids = torch.tensor([processor.tokenizer(text, add_special_tokens=False)["input_ids"]])
        mask = torch.ones(1, ids.shape[1] + 1, dtype=torch.long)
        batch = TensorDict({"responses": ids, "attention_mask": mask, "prompts": ids[:, :1]}, batch_size=1)
        others = {name: np.array([row[name]], dtype=object) for name in ("data_source", "reward_model", "extra_info")}
        return DataProto(batch=batch, non_tensor_batch=others)

    async def ask_all():
        loaded = load_reward_manager(config, processor.tokenizer)
        loaded.loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loaded.run_single(item(text, row)) for text, row in asked))

    given = asyncio.run(ask_all())
    lines = [
        {
            **json.loads(row["reward_model"]["ground_truth"]),
            "completion": processor.tokenizer.decode(processor.tokenizer(text, add_special_tokens=False)["input_ids"]),
        }
        for text, row in asked
    ]
    expected = list(thinkseg.score(lines, **settings))
    assert [row["reward_score"] for row in given] == [score.total for score in expected]
    assert len({score.total for score in expected}) > 2
    assert all(set(row["reward_extra_info"]) == {"score", *settings["rewards"], "malformed"} for row in given)


def test_the_script_that_starts_it_says_only_what_its_configuration_has(rows, repository):
    script = repository / "recipes/verl/grpo.sh"
    told = {"ROWS": str(rows), "PYTHON": sys.executable, "MODEL": "some/model", "SEGMENTER": "http://127.0.0.1:8000"}
    made = subprocess.run(
        ["sh", script, "--cfg", "job"],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert made.returncode == 0, made.stderr
    from omegaconf import OmegaConf

    config = OmegaConf.create(made.stdout)
    assert config.reward.custom_reward_function.path == "pkg://thinkseg.integrations.verl"
    assert config.reward.custom_reward_function.reward_kwargs == {
        "recipe": "seg-zero",
        "segmenter": "http://127.0.0.1:8000",
    }
    assert list(config.data.train_files) == [str(rows / "train-00000-of-00001.parquet")]
    assert config.actor_rollout_ref.model.path == "some/model"
