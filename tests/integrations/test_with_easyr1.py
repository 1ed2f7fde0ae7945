"""EasyR1's own data set and reward manager, from a clone that EASYR1 names: `make test-verl EASYR1=FOLDER`."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import thinkseg
from thinkseg import cli
from thinkseg.data.readers.tables import list_table
from thinkseg.imaging import load_image

pytestmark = [pytest.mark.verl, pytest.mark.filterwarnings("default")]

if "EASYR1" not in os.environ or find_spec("verl") is None:
    pytest.skip("needs a clone of EasyR1: make test-verl EASYR1=FOLDER", allow_module_level=True)

PROGRAM = """
# EasyR1's package is called verl, too: so it is loaded in a process of its own, before veRL's.
import json, sys, types
import numpy as np, torch
from transformers import AutoProcessor
from tensordict import TensorDict
rows, pocket, said, kwargs, function = json.loads(sys.argv[1])
from verl.protocol import DataProto
from verl.utils.dataset import RLHFDataset
from verl.workers.reward import AutoRewardManager, RewardConfig
processor = AutoProcessor.from_pretrained(pocket)
tokenizer = processor.tokenizer
data = RLHFDataset(rows, tokenizer, processor, prompt_key="problem", answer_key="answer", image_key="images",
                   min_pixels=None, max_pixels=None, filter_overlong_prompts_workers=1)
items = [data[index] for index in range(len(data))]
config = RewardConfig(reward_function=function + ":compute_score", reward_function_kwargs=kwargs)
config.post_init()
manager = AutoRewardManager(config, tokenizer)
asked = [(text, item["ground_truth"]) for item in items for text in said]
ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text, _ in asked]
width = max(map(len, ids))
responses = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in ids])
mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
batch = TensorDict({"responses": responses, "response_mask": mask}, batch_size=len(ids))
truths = np.array([truth for _, truth in asked], dtype=object)
tensor, metrics = manager.compute_reward(DataProto(batch=batch, non_tensor_batch={"ground_truth": truths}))
print(json.dumps({
    "prompts": [tokenizer.decode(item["raw_prompt_ids"]) for item in items],
    "sizes": [item["multi_modal_data"]["images"][0].size for item in items],
    "tokens": [int(item["attention_mask"].sum()) for item in items],
    "completions": [tokenizer.decode(row, skip_special_tokens=True) for row in ids],
    "truths": [truth for _, truth in asked],
    "sums": tensor.sum(-1).tolist(),
    "overall": metrics["overall"],
}))
"""


@pytest.fixture(scope="module")
def told(own, said, settings, tmp_path_factory):
    from thinkseg.models.loading import pocket_folder

    out = tmp_path_factory.mktemp("rows") / "rows"
    asked = ["--schema", "easyr1", "--model", "pocket-small", "--out", str(out)]
    assert cli.main(["data", "prepare", str(own / "t.jsonl"), *asked]) == 0
    function = str(Path(thinkseg.__file__).parent / "integrations/easyr1.py")
    asked = [str(out / "train-00000-of-00001.parquet"), str(pocket_folder("reasoner_small")), said, settings, function]
    path = os.pathsep.join([os.environ["EASYR1"], *filter(None, sys.path)])
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(asked)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    return json.loads(made.stdout.splitlines()[-1])


def test_its_data_set_gives_the_prompt_of_thinkseg_and_the_image_as_it_was_written(told, own):
    from thinkseg.models.asking import Asker
    from thinkseg.models.checkpoint_config import resolve_config
    from thinkseg.models.loading import locate
    from thinkseg.models.published.wording import wording_for
    from thinkseg.models.reasoner_loading import describe_reasoner

    config = resolve_config("pocket-small")
    reasoner = describe_reasoner(locate("pocket-small", "reasoner"), config)
    ask = Asker(reasoner, wording_for("pocket-small", config))
    requests = [ask(sample, load_image(sample.image))[0] for sample in list_table(own / "t.jsonl")]
    prompts = [reasoner.prompt(request.instruction) for request in requests]
    tokenizer = reasoner.processor.tokenizer
    assert told["prompts"] == [tokenizer.decode(tokenizer(prompt)["input_ids"]) for prompt in prompts]
    assert told["sizes"] == [list(request.image.size) for request in requests]


def test_its_reward_manager_gives_what_score_gives(told, settings):
    lines = [
        {**json.loads(truth), "completion": completion}
        for truth, completion in zip(told["truths"], told["completions"], strict=True)
    ]
    expected = [score.total for score in thinkseg.score(lines, **settings)]
    assert told["overall"] == expected
    assert told["sums"] == pytest.approx(expected, abs=1e-6)  # it keeps them in float32
    assert len(set(expected)) > 2


def test_the_script_that_starts_it_says_only_what_its_configuration_has(tmp_path, repository):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/train-00000-of-00001.parquet").touch()
    program = tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -m ] && {{ shift 2; printf "%s\\n" "$@"; exit; }}\nexec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    script = repository / "recipes/easyr1/grpo.sh"
    where = {"ROWS": str(tmp_path / "rows"), "PYTHON": str(program), "SEGMENTER": "http://127.0.0.1:8000"}
    path = os.pathsep.join(filter(None, sys.path))
    made = subprocess.run(
        ["sh", script], env={**os.environ, **where, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    merge = (
        "import sys, types; from omegaconf import OmegaConf\n"
        # What samples with vLLM is imported beside its settings, and there is no vLLM here.
        "rollout = 'verl.workers.rollout.vllm_rollout_spmd'; sys.modules[rollout] = types.ModuleType(rollout)\n"
        "sys.modules[rollout].vLLMRollout = None\n"
        "from verl.trainer.config import PPOConfig\n"
        "told = OmegaConf.from_dotlist(sys.argv[1:]); told.pop('config')\n"
        "made = OmegaConf.merge(OmegaConf.structured(PPOConfig()), told)\n"
        "print(made.worker.reward.reward_function_kwargs, made.data.min_pixels)"
    )
    merged = subprocess.run(
        [sys.executable, "-c", merge, *made.stdout.splitlines()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.environ["EASYR1"], path])},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert merged.returncode == 0, merged.stderr[-2000:]
    assert merged.stdout.split("\n")[-2] == "{'recipe': 'seg-zero', 'segmenter': 'http://127.0.0.1:8000'} None"
