"""What ends a run in its middle is one sentence that says how to go on; what is a defect stays what it is."""

import errno

import pytest
import torch

from thinkseg.errors import ThinkSegError
from thinkseg.testing import FakeSegmenter
from thinkseg.training.callbacks import read_log
from thinkseg.training.checkpoints import damage_of, write_manifest
from thinkseg.training.config import replace_settings
from thinkseg.training.endings import RewardDead, machine_told
from thinkseg.training.run_page import PAGE
from thinkseg.training.stages import train_recipe


@pytest.fixture
def run(tmp_path):
    """The folder of a run that has come to a checkpoint."""
    (tmp_path / "checkpoint-4").mkdir()
    write_manifest(tmp_path / "checkpoint-4")
    return tmp_path


ENDINGS = [
    (OSError(errno.ENOSPC, "No space left on device"), "a file could not be written to '.*': .*No space left"),
    (
        RuntimeError("[/src/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:49153"),
        r"another process of this run does not answer any more, so that it cannot go on \(.*Connection closed by peer",
    ),
    (
        torch.distributed.DistBackendError("NCCL error in: x.cpp:5\nremote process exited"),
        "another process of this run",
    ),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), r"the memory is used up \(CUDA out of"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), r"the memory is used up \(DefaultCPU"),
    (MemoryError(), r"the memory is used up \(MemoryError\)"),
    (
        RuntimeError("DataLoader worker (pid 17) is killed by signal: Killed. "),
        r"a process that reads the data was killed, most likely for want of memory \(DataLoader worker \(pid 17\)",
    ),
]


@pytest.mark.parametrize(("error", "told"), ENDINGS)
def test_what_the_machine_does_to_a_run_is_told_with_the_way_on(run, error, told):
    told = rf"{told}.*go on from 'checkpoint-4' with --resume"
    with pytest.raises(ThinkSegError, match=told) as caught, machine_told(run):
        raise error
    assert "\n" not in str(caught.value)


def test_without_a_checkpoint_the_way_on_is_to_start_again(tmp_path):
    with pytest.raises(ThinkSegError, match="make room and start again"), machine_told(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "error", [RuntimeError("mine"), OSError(errno.EACCES, "not yours"), ConnectionResetError("far")]
)
def test_other_errors_stay_what_they_are(run, error):
    with pytest.raises(type(error)) as caught, machine_told(run):
        raise error
    assert caught.value is error


def test_a_dead_reward_ends_a_run_with_a_sentence_and_a_checkpoint_to_go_on_from(rl_recipe, squares):
    """No completion of a model that knows nothing can be read, so that all have one and the same reward."""
    recipe = rl_recipe(steps=6, dead_reward=2, rewards={"format": 1.0})
    with pytest.raises(
        RewardDead, match=r"for 2 steps \(up to step 2\), so that nothing is learnt: .*--dead_reward null"
    ):
        train_recipe(recipe, samples=squares, segmenter=FakeSegmenter())
    assert damage_of(recipe.output / "checkpoint-2") is None
    assert not (recipe.output / "final").exists()
    assert "Failed: step 2 of 6" in (recipe.output / PAGE).read_text()
    longer = replace_settings(recipe, {"dead_reward": None, "steps": 3})
    final = train_recipe(longer, samples=squares, resume=True, allow=["steps"])
    assert [record["step"] for record in read_log(recipe.output / "log.jsonl")] == [1, 2, 3]
    assert (final / "model.safetensors").is_file()
