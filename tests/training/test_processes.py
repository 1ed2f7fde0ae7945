"""Two real processes do together what one does alone: the same losses, rewards, gradients and weights."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from thinkseg.training.callbacks import read_log
from thinkseg.training.checkpoints import finished_checkpoints, newest_checkpoint
from thinkseg.training.config import recipe_from_settings
from thinkseg.training.shared_prefix.deciding import DECISION
from thinkseg.training.stages import train_recipe

SCRIPT = Path(__file__).parent / "two_processes.py"
RL = [
    "rl",
    "recipes/pocket/rl.yaml",
    "--data.size",
    "128",
    "--generation.max_new_tokens",
    "48",
    "--segmenter",
    "grabcut",
]
SFT = ["sft", "recipes/pocket/sft.yaml", "--data.size", "128", "--log_every", "1"]


def launch(
    processes: int, words: list[str], repository: Path, told: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start ``thinkseg train`` in one process, or in several as a launcher does, which may tell them more."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    paths = [str(repository), str(repository / "pocket"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment |= told or {}
    return subprocess.Popen(
        [sys.executable, *(launcher if processes > 1 else []), str(SCRIPT), *words],
        cwd=repository,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What it has printed."""
    printed, complaint = process.communicate(timeout=1200)
    assert process.returncode == 0, complaint[-3000:]
    return printed


def both(words: list[str], batch: int, repository: Path, folder: Path) -> tuple[Path, Path]:
    """The same run in one process and in two, at the same global batch; the folders of both."""
    outputs = {processes: folder / f"of-{processes}" for processes in (1, 2)}
    running = {}
    for processes, output in outputs.items():
        own = ["--output", str(output), "--trl.per_device_train_batch_size", str(batch // processes), "--device", "cpu"]
        running[processes] = launch(processes, [*words, *own], repository)
    for processes, output in outputs.items():
        assert finish(running[processes]).splitlines() == [str(output / "final")]  # of two processes, one speaks
    return outputs[1], outputs[2]


def in_file(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a folder, as its file names them."""
    return load_file(folder / "model.safetensors")


def in_memory(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a folder, as a model that is loaded from it has them."""
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(folder).state_dict()


def check_equal(
    alone: Path,
    together: Path,
    steps: int,
    but: Sequence[str] = (),
    read: Callable[[Path], dict[str, torch.Tensor]] = in_file,
) -> None:
    """The records of both runs, but for some values, and the weights that come out are the same, up to rounding."""
    first, second = read_log(alone / "log.jsonl"), read_log(together / "log.jsonl")
    assert [record["step"] for record in second] == list(range(1, steps + 1))
    timeless = [
        {k: v for k, v in record.items() if k not in ("seconds", "elapsed", "step_time", *but)} for record in first
    ]
    for mine, other in zip(timeless, second, strict=True):
        for name, value in mine.items():
            assert other[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    assert all(record["grad_norm"] > 1e-3 for record in first)
    weights, others = (read(run / "final") for run in (alone, together))
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-3, atol=2e-5)


@pytest.mark.slow
def test_reinforcement_in_two_processes_is_that_of_one(repository, tmp_path):
    """Three prompts of eight completions each: the second one's group is shared by both processes."""
    alone, together = both([*RL, "--steps", "3", "--save_every", "2"], 24, repository, tmp_path)
    check_equal(alone, together, 3)
    assert sorted(path.name for path in together.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-3"]
    for run in (alone, together):  # that prompts were shared is no accident of one process
        assert json.loads((run / "checkpoint-2" / DECISION).read_text())["shared"]
    names = {path.name for path in (together / "checkpoint-2").iterdir()}
    assert {"model.safetensors", "config.json", "thinkseg.json", "rng_state_0.pth", "rng_state_1.pth"} <= names


@pytest.mark.slow
def test_so_it_is_where_passes_are_filled_by_tokens(repository, tmp_path):
    """Three groups in six micro-batches a step; both processes share one of them, and no two have room in a pass."""
    words = ["--steps", "3", "--trl.gradient_accumulation_steps", "6", "--tokens_per_pass", "250"]
    alone, together = both([*RL, *words], 4, repository, tmp_path)
    # TRL's entropy is a mean over micro-batches of means over their tokens, and here those of one process are larger.
    check_equal(alone, together, 3, but=["entropy"])


def of_fsdp_2(repository: Path) -> dict[str, str]:
    """What `accelerate launch` tells processes of the configuration for FSDP 2."""
    file = yaml.safe_load((repository / "recipes/accelerate/fsdp2.yaml").read_text(encoding="utf-8"))
    told = {name.upper(): str(value) for name, value in file["fsdp_config"].items()}
    return {"ACCELERATE_USE_FSDP": "true", **told}


@pytest.mark.slow
def test_so_it_is_where_fsdp_2_spreads_the_weights(repository, tmp_path):
    """Held against one process that computes each prompt for itself, TRL's way: prompts shared, and passes filled."""
    small = [*RL, "--generation.max_new_tokens", "24", "--trl.gradient_accumulation_steps", "6", "--device", "cpu"]
    ways = {
        "alone": (1, ["--shared_prefix", "off"]),
        "shared": (2, ["--shared_prefix", "on"]),
        "filled": (2, ["--shared_prefix", "on", "--tokens_per_pass", "250"]),
    }
    running = {}
    for name, (processes, own) in ways.items():
        rows = ["--trl.per_device_train_batch_size", str(4 // processes), "--output", str(tmp_path / name)]
        told = of_fsdp_2(repository) if processes > 1 else None
        running[name] = launch(processes, [*small, "--steps", "3", *own, *rows], repository, told)
    for process in running.values():
        finish(process)
    for name in ("shared", "filled"):
        check_equal(tmp_path / "alone", tmp_path / name, 3, but=["entropy"])
        # As Accelerate writes it where weights are spread, and the trainer itself where they are not.
        assert (tmp_path / name / "checkpoint-3" / "optimizer.bin").is_file()


def of_zero(stage: int, repository: Path) -> dict[str, str]:
    """What `accelerate launch` tells processes of the configuration for a stage of ZeRO."""
    file = yaml.safe_load((repository / f"recipes/accelerate/zero{stage}.yaml").read_text(encoding="utf-8"))
    names = {"zero3_init_flag": "zero3_init"}
    told = {names.get(name, name): str(value).lower() for name, value in file["deepspeed_config"].items()}
    told = {f"ACCELERATE_DEEPSPEED_{name.upper()}": value for name, value in told.items()}
    return {"ACCELERATE_USE_DEEPSPEED": "true", "DS_ACCELERATOR": "cpu", **told}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("deepspeed") is None, reason="pip install 'thinkseg[deepspeed]'")
@pytest.mark.parametrize("stage", [2, 3])
def test_so_it_is_where_deepspeed_spreads_the_run(stage, repository, tmp_path):
    """Prompts shared in two processes, held against one process that computes each prompt for itself, TRL's way."""
    small = [*RL, "--generation.max_new_tokens", "24", "--steps", "3", "--device", "cpu", "--start_share", "0.25"]
    alone, together = tmp_path / "alone", tmp_path / "together"
    size = "--trl.per_device_train_batch_size"
    finish(launch(1, [*small, "--shared_prefix", "off", size, "24", "--output", str(alone)], repository))
    finish(
        launch(
            2,
            [*small, "--shared_prefix", "on", size, "12", "--output", str(together)],
            repository,
            of_zero(stage, repository),
        )
    )
    # ZeRO 3 leaves weights in files by other names, which are read all the same.
    check_equal(alone, together, 3, read=in_memory if stage == 3 else in_file)


@pytest.mark.slow
def test_imitation_in_two_processes_is_that_of_one(repository, tmp_path):
    alone, together = both([*SFT, "--steps", "3"], 8, repository, tmp_path)
    check_equal(alone, together, 3)


@pytest.mark.slow
def test_two_processes_stop_at_the_same_step_and_go_on(repository, tmp_path):
    words = [*SFT, "--steps", "400", "--output", str(tmp_path / "run"), "--device", "cpu"]
    process = launch(2, [*words, "--trl.per_device_train_batch_size", "2"], repository)
    for _ in range(2400):
        if read_log(tmp_path / "run" / "log.jsonl") or process.poll() is not None:
            break
        time.sleep(0.25)
    process.terminate()  # the launcher hands it on to both
    process.communicate(timeout=600)
    stopped = read_log(tmp_path / "run" / "log.jsonl")[-1]["step"]
    checkpoint = tmp_path / "run" / f"checkpoint-{stopped}"
    assert (checkpoint / "trainer_state.json").is_file()
    words[words.index("400")] = str(stopped + 2)
    again = launch(2, [*words, "--trl.per_device_train_batch_size", "2", "--resume", "--allow", "steps"], repository)
    finish(again)
    steps = [record["step"] for record in read_log(tmp_path / "run" / "log.jsonl")]
    assert steps == list(range(1, stopped + 3))


def worker_of(launcher: subprocess.Popen[str], rank: int) -> psutil.Process:
    """The process of a rank that a launcher has started."""
    started = psutil.Process(launcher.pid).children(recursive=True)
    return next(process for process in started if process.environ().get("RANK") == str(rank))


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_with_a_sentence_and_a_checkpoint_to_go_on_from(repository, tmp_path):
    words = [*SFT, "--steps", "400", "--save_every", "1", "--output", str(tmp_path / "run"), "--device", "cpu"]
    process = launch(2, [*words, "--trl.per_device_train_batch_size", "2"], repository)
    for _ in range(2400):
        if finished_checkpoints(tmp_path / "run") or process.poll() is not None:
            break
        time.sleep(0.25)
    worker_of(process, rank=1).kill()
    told = process.communicate(timeout=600)[1]
    assert process.returncode != 0
    (sentence,) = [line for line in told.splitlines() if line.startswith("thinkseg: error: ")]
    assert "another process of this run does not answer any more" in sentence
    newest = newest_checkpoint(tmp_path / "run")
    assert newest is not None
    assert f"go on from '{newest.name}' with --resume" in sentence
    assert not (tmp_path / "run" / "final").exists()


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_in_one_with_as_many_rows_a_step(repository, tmp_path):
    """The rows are those that two processes would have seen, so that the weights are, up to the order of sums."""
    words = [*SFT, "--steps", "3", "--save_every", "2", "--device", "cpu"]
    both, alone = tmp_path / "both", tmp_path / "alone"
    finish(launch(2, [*words, "--output", str(both), "--trl.per_device_train_batch_size", "2"], repository))
    shutil.copytree(both, alone)
    shutil.rmtree(alone / "checkpoint-3")
    size = "trl.per_device_train_batch_size"
    again = [*words, "--output", str(alone), f"--{size}", "4", "--resume", "--allow", f"processes,{size}"]
    finish(launch(1, again, repository))
    check_equal(both, alone, 3)


def test_the_parts_of_a_step_weigh_by_their_tokens(start, squares, tmp_path):
    """A short answer in one part and a long one in another count token by token, as they do in one batch."""
    nothing = replace(squares[0], id="nothing", target=np.zeros_like(squares[0].target))
    samples = [nothing, replace(nothing, id="more of it"), squares[1], squares[2]]
    records = []
    for parts in (1, 2):
        settings = {
            "stage": "sft",
            "output": str(tmp_path / f"in-{parts}"),
            "model": {"path": str(start)},
            "data": {"shuffle": False},
            "steps": 1,
            "device": "cpu",
            "trl": {"per_device_train_batch_size": 4 // parts, "gradient_accumulation_steps": parts},
        }
        train_recipe(recipe_from_settings(settings), samples=samples)
        records.append(read_log(tmp_path / f"in-{parts}" / "log.jsonl")[0])
    for name in ("loss", "grad_norm"):
        assert records[0][name] == pytest.approx(records[1][name], rel=1e-4), name
