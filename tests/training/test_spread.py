"""What two processes hold a part of each is written whole: the very tensors that one process would have written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from trl.trainer.utils import add_fused_lm_head

from thinkseg.models.merging import merge
from thinkseg.testing import tiny_qwen2_5_vl
from thinkseg.training.spread import add_up_head, is_spread, made_whole

from .test_processes import of_fsdp_2


def run(script: str, repository: Path, folder: Path, **told: str) -> None:
    """Let two processes of PyTorch's launcher do it."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **told}
    words = [*launcher, str(Path(__file__).parent / script), str(folder)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_gradients_of_a_head_that_is_spread_are_the_mean_of_all_processes(repository, tmp_path):
    """TRL 1.16 keeps those of a process's own rows; when the last line fails, it has mended that."""
    run("spread_head.py", repository, tmp_path, **of_fsdp_2(repository))
    errors = json.loads((tmp_path / "errors.json").read_text())
    assert errors["tied, added up"] < 1e-5
    assert errors["a head of its own, added up"] < 1e-5
    assert errors["tied, TRL's"] > 1e-2


@pytest.mark.slow
def test_adapters_under_fsdp_2_are_saved_and_merged_to_the_tensors_of_one_process(repository, tmp_path):
    run("spread_adapters.py", repository, tmp_path)
    merge(tmp_path / "adapter", tmp_path / "merged", base=str(tmp_path / "base"))
    base, whole, spread, merged = (
        load_file(tmp_path / name / "model.safetensors") for name in ("base", "whole", "spread", "merged")
    )
    assert base.keys() == whole.keys() == spread.keys() == merged.keys()
    changed = [name for name in base if not torch.equal(base[name], whole[name])]
    assert len(changed) == 3 * sum(name.endswith(".self_attn.q_proj.weight") for name in base)
    for name, tensor in whole.items():
        assert torch.equal(spread[name], tensor), name
        assert torch.equal(merged[name], tensor), name
    files = [(tmp_path / name / "config.json").read_bytes() for name in ("whole", "spread")]
    assert files[0] == files[1]


def test_a_head_that_is_whole_is_asked_as_ever():
    model, processor = tiny_qwen2_5_vl()
    inputs = dict(processor.tokenizer(["a pig in a tree"], return_tensors="pt"))
    add_fused_lm_head(model)
    before = model(**inputs, labels=inputs["input_ids"], fused_lm_head=True).log_probs
    logits = model(**inputs).logits
    add_up_head(model)
    assert torch.equal(model(**inputs, labels=inputs["input_ids"], fused_lm_head=True).log_probs, before)
    assert torch.equal(model(**inputs).logits, logits)
    assert "get_output_embeddings" not in vars(model)


def test_what_is_whole_stays_as_it_is():
    model, _ = tiny_qwen2_5_vl()
    before = list(model.parameters())
    assert not is_spread(model)
    with made_whole(model):
        assert all(weight is other for weight, other in zip(model.parameters(), before, strict=True))
