"""A training that a signal, a full disk or the user's own code ends leaves a whole checkpoint and says how to go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thinkseg.answers import AnswerFormat
from thinkseg.cli import main
from thinkseg.training.callbacks import read_log
from thinkseg.training.checkpoints import all_checkpoints, damage_of

from ..conftest import example_in
from .conftest import METHOD
from .test_own_data import CODE

REWARDS = """
import resource
import time

calls = 0


def length(item):
    return len(item.text) / 100


def slow(item):
    time.sleep(0.1)
    return length(item)


def _in_step(step, then):
    def part(item):
        global calls
        calls += 1
        return then(item) if calls > 8 * (step - 1) else length(item)
    return part


def _raising(item):
    return {}["nothing of this name"]


def _filled(item):
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))  # writing on fails, as on a full disk
    return length(item)


raising = _in_step(2, _raising)
nan = _in_step(2, lambda item: float("nan"))
infinite = _in_step(2, lambda item: float("inf"))
text = _in_step(2, lambda item: "much")
two = _in_step(2, lambda item: [1.0, 2.0])
full = _in_step(2, _filled)
"""


FAMILY = """
from thinkseg.models.families import PatchGridFamily


class Own(PatchGridFamily):
    lora_targets = r".*language_model.*(q|v)_proj"
"""


@pytest.fixture
def words(start, tmp_path):
    """A function from the name of a part of the reward, and changed settings, to the words of a run of 2 steps."""
    (tmp_path / "my_data.py").write_text(CODE, encoding="utf-8")

    def write(part, steps=2, size=50_000, **changes):
        (tmp_path / "my_rewards.py").write_text(REWARDS.replace("ROOM", str(size)), encoding="utf-8")
        recipe = {
            "stage": "rl",
            "output": str(tmp_path / "run"),
            "model": {"path": str(start)},
            "segmenter": "grabcut",
            "data": {"source": f"{tmp_path / 'my_data.py'}:corners", "options": {"count": 3}},
            "rewards": {f"{tmp_path / 'my_rewards.py'}:{part}": 1.0},
            "steps": steps,
            "save_every": 1,
            "device": "cpu",
            "trl": METHOD,
        }
        (tmp_path / "recipe.yaml").write_text(json.dumps(recipe | changes), encoding="utf-8")
        return ["train", "rl", str(tmp_path / "recipe.yaml")]

    return write


def begun(words):
    """A process that trains, as a user starts it."""
    command = [sys.executable, "-m", "thinkseg", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_started_anew_know_the_format_the_family_and_the_data_of_ones_own(
    words, start, tmp_path, method
):
    """As on macOS, and everywhere from Python 3.14 on; files of one's own are no modules that a pickle could name."""
    (tmp_path / "my_format.py").write_text(example_in(AnswerFormat), encoding="utf-8")
    (tmp_path / "my_family.py").write_text(FAMILY, encoding="utf-8")
    asked = words(
        "slow",
        steps=1,
        format=f"{tmp_path / 'my_format.py'}:Boxes",
        model={"path": str(start), "family": f"{tmp_path / 'my_family.py'}:Own"},
        trl=METHOD | {"dataloader_num_workers": 1},
    )
    command = [sys.executable, str(Path(__file__).with_name("with_start_method.py")), method, *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read_log(tmp_path / "run" / "log.jsonl")) == 1


def last_line(told):
    return told.strip().splitlines()[-1].rpartition("\r")[2]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_training_with_a_whole_checkpoint_and_a_sentence(words, tmp_path, capsys, number, code):
    long = words("slow", steps=500, save_every=1000)
    log = tmp_path / "run" / "log.jsonl"
    with begun(long) as process:
        while process.poll() is None and not (log.exists() and read_log(log)):
            time.sleep(0.1)
        # In the meantime another process, this one, is refused.
        assert main(long) == 2
        assert "another process is training into" in capsys.readouterr().err
        process.send_signal(number)
        told = process.communicate()[1]
    assert process.returncode == code, told
    ((step, checkpoint),) = all_checkpoints(tmp_path / "run")
    assert damage_of(checkpoint) is None
    assert f"stopped after step {step} of 500 and saved '{checkpoint}'; to go on: thinkseg" in last_line(told)
    assert last_line(told).endswith(f"{' '.join(long)} --resume")
    assert "Traceback" not in told
    rewritten = words("slow", steps=step + 1)
    assert main([*rewritten, "--resume", "--allow", "save_every,steps"]) == 0
    assert [record["step"] for record in read_log(log)] == list(range(1, step + 2))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("size", [50_000, 10])
def test_a_full_disk_ends_a_training_in_a_sentence_and_leaves_the_checkpoint_before(words, tmp_path, size):
    """Where there is no room for a checkpoint, and where there is none for the line of a log."""
    with begun(words("full", size=size)) as process:
        told = process.communicate()[1]
    assert process.returncode == 1, told
    assert "Traceback" not in told
    assert "defect" not in told
    assert "make room and go on from 'checkpoint-1' with --resume" in last_line(told)
    assert damage_of(tmp_path / "run" / "checkpoint-1") is None


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("raising", "'raising' fails in line 26 of my_rewards.py: KeyError: 'nothing of this name'"),
        ("nan", "'nan' should give a finite number or None, found nan"),
        ("infinite", "'infinite' should give a finite number or None, found inf"),
        ("text", "'text' should give a finite number or None, found 'much'"),
        ("two", "'two' should give a finite number or None, found [1.0, 2.0]"),
    ],
)
def test_a_reward_of_ones_own_that_fails_in_mid_run_is_named_with_the_last_checkpoint(
    words, tmp_path, capsys, part, sentence
):
    assert main(words(part)) == 2
    told = last_line(capsys.readouterr().err)
    assert f"the part of the reward {sentence}" in told
    assert f"; '{tmp_path / 'run' / 'checkpoint-1'}' is the last checkpoint: --resume goes on from it" in told
    assert damage_of(tmp_path / "run" / "checkpoint-1") is None
