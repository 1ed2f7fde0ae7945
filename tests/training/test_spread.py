"""What two processes hold a part of each is written whole: the very tensors that one process would have written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from thinkseg.models.merging import merge
from thinkseg.testing import tiny_qwen2_5_vl
from thinkseg.training.spread import is_spread, made_whole

SCRIPT = Path(__file__).parent / "spread_adapters.py"


@pytest.mark.slow
def test_adapters_under_fsdp_2_are_saved_and_merged_to_the_tensors_of_one_process(repository, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*launcher, str(SCRIPT), str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
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


def test_what_is_whole_stays_as_it_is():
    model, _ = tiny_qwen2_5_vl()
    before = list(model.parameters())
    assert not is_spread(model)
    with made_whole(model):
        assert all(weight is other for weight, other in zip(model.parameters(), before, strict=True))
