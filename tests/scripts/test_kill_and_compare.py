"""Work that is killed at random moments and gone on with ends as work that was not, by the script that does so."""

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import psutil
import pytest


@pytest.fixture
def script(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = repository / "scripts" / "robustness" / "kill_and_compare.py"
    spec = importlib.util.spec_from_file_location("kill_and_compare", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kill_and_compare", module)
    spec.loader.exec_module(module)
    monkeypatch.setenv("PYTHONPATH", f"{repository}:{repository / 'pocket'}")
    return module


def test_a_folder_that_differs_is_found(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder, text in ((tmp_path / "a", "same"), (tmp_path / "b", "same")):
        (folder / "x.json").write_text(f"{folder}: {text}")
    assert script.contents(tmp_path / "a", ["*"]) == script.contents(tmp_path / "b", ["*"]) == {"x.json": b"OUT: same"}
    (tmp_path / "b" / "x.json").write_text("other")
    assert script.contents(tmp_path / "a", ["*"]) != script.contents(tmp_path / "b", ["*"])


def test_of_a_log_all_numbers_count_but_for_the_times(script: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "seconds": 2.5, "loss": 0.25}\n{"step": 2, "elapsed": 9, "loss": 0.125}\n')
    first = script.contents(tmp_path, ["final/*", "log.jsonl"])
    assert first == {"log.jsonl": b'{"step": 1, "loss": 0.25}\n{"step": 2, "loss": 0.125}\n'}
    log.write_text(log.read_text().replace("2.5", "7.5"))
    assert script.contents(tmp_path, ["final/*", "log.jsonl"]) == first
    log.write_text(log.read_text().replace("0.125", "0.1250001"))
    assert script.contents(tmp_path, ["final/*", "log.jsonl"]) != first


def test_a_training_is_resumed_only_from_a_checkpoint_that_was_written_to_its_end(
    script: ModuleType, tmp_path: Path
) -> None:
    work = script.WORKS["sft"]
    assert "--resume" not in script.command_of(work, tmp_path, tmp_path)
    (tmp_path / "checkpoint-9").mkdir()
    assert script.is_saving(tmp_path)
    assert "--resume" not in script.command_of(work, tmp_path, tmp_path)
    (tmp_path / "checkpoint-9" / "manifest.json").write_text("{}")
    assert not script.is_saving(tmp_path)
    assert script.command_of(work, tmp_path, tmp_path)[-1] == "--resume"
    (tmp_path / "checkpoint-10").mkdir()
    assert script.is_saving(tmp_path)
    assert not script.is_saving(tmp_path, since=time.time() + 60)
    assert "--resume" not in script.command_of(script.WORKS["evaluate"], tmp_path, tmp_path)


SPAWNS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_what_a_launcher_has_put_into_a_session_of_its_own_is_killed_with_it(
    script: ModuleType, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    assert script.run([sys.executable, "-c", SPAWNS], lambda _: log.read_bytes().endswith(b"\n"), log)
    child = int(log.read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_work_that_fails_is_not_taken_for_one_that_was_done(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        script.run([sys.executable, "-c", "raise SystemExit(3)"], lambda _: False, tmp_path / "log")


@pytest.mark.slow
@pytest.mark.parametrize(
    "work",
    ["evaluate", "segment", "sft", "rl", "sft-lora", "rl-lora", "rl-own-prompts", "rl-passes", "sft-images"],
)
def test_work_that_is_killed_ends_as_work_that_was_not(
    script: ModuleType, tmp_path: Path, work: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--work", work, "--rounds", "1", "--out", str(tmp_path / "out")]) == 0
    assert f"{work}: 1 rounds, " in capsys.readouterr().out
