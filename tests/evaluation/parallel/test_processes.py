"""Work in several processes; what they do lies in a module of its own, since a new process has to import it."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from thinkseg.errors import InputError, ThinkSegError
from thinkseg.evaluation.parallel.processes import ProcessLost, run_processes
from thinkseg.evaluation.parallel.shards import merge_shards
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.run import Run, evaluate

HEADER = RunHeader("squares", "filler", "abc", "none", 0)
WORK = """
import importlib.util, os, signal, sys, time
from pathlib import Path

def double(number, tell):
    tell(number)
    return 2 * number

def refuse(number, tell):
    from thinkseg.errors import MissingExtraError
    if number == 1:
        raise MissingExtraError("gradio", "demo", "for the page")
    time.sleep(60)

def break_down(number, tell):
    raise KeyError("nothing")

def die(number, tell):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)

def wait(folder, number, tell):
    Path(folder, str(number)).write_text(str(os.getpid()))
    time.sleep(60)

def part(conftest, out, total, count, number, tell):
    from thinkseg.evaluation.run import evaluate
    from thinkseg.evaluation.records import RunHeader
    from thinkseg.evaluation.parallel.shards import Shard
    spec = importlib.util.spec_from_file_location("scenes_for_tests", conftest)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    evaluate(
        module.Filler(share=0.5, nonsense=frozenset({3, 4})), module.Squares(total), Path(out),
        RunHeader("squares", "filler", "abc", "none", 0), batch_size=3, shard=Shard(number + 1, count),
        progress=lambda done, total, record: tell(done),
    )
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> ModuleType:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "work_of_processes.py").write_text(WORK, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.syspath_prepend(repository)
    monkeypatch.delitem(sys.modules, "work_of_processes", raising=False)
    import work_of_processes  # type: ignore[import-not-found]

    module: ModuleType = work_of_processes
    return module


def ended(pid: int) -> bool:
    """Whether a process is gone, or only waits to be buried."""
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" in status.read_text(encoding="utf-8")


def test_results_come_in_order_and_news_on_the_way(work: Any) -> None:
    heard: list[tuple[int, int]] = []
    assert run_processes(3, work.double, lambda number, news: heard.append((number, news))) == [0, 2, 4]
    assert sorted(heard) == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("count", [2])
def test_the_numbers_and_lines_of_one_process_come_from_several(
    work: Any, tmp_path: Path, create_samples: Any, create_pipeline: Any, count: int
) -> None:
    one = evaluate(
        create_pipeline(share=0.5, nonsense=frozenset({3, 4})),
        create_samples(11),
        tmp_path / "one",
        HEADER,
        batch_size=5,
    )
    conftest, out = Path(__file__).parents[1] / "conftest.py", tmp_path / "parts"
    told: list[int] = []
    run_processes(count, partial(work.part, conftest, out, 11, count), lambda _, done: told.append(done))
    merged = merge_shards(out, count, 11)
    assert merged is not None
    assert Run.from_records(HEADER, merged).report == one.report
    assert (out / "predictions.jsonl").read_bytes() == (tmp_path / "one" / "predictions.jsonl").read_bytes()
    assert len(told) == 11 + count


def test_what_is_wrong_in_one_process_is_told_here_and_ends_the_others(work: Any) -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match=r"'gradio' is needed for the page .* pip install 'thinkseg\[demo\]'"):
        run_processes(2, work.refuse, lambda *_: None)
    with pytest.raises(ThinkSegError, match="KeyError: 'nothing'"):
        run_processes(1, work.break_down, lambda *_: None)
    assert time.monotonic() - began < 55


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_process_is_told_and_ends_the_others(work: Any) -> None:
    began = time.monotonic()
    with pytest.raises(ProcessLost, match=r"process 2 of 2 ended with code -9 .*the same command goes on"):
        run_processes(2, work.die, lambda *_: None)
    assert time.monotonic() - began < 55


PARENT = """
import sys
from functools import partial
sys.path[:0] = sys.argv[2:]
if __name__ == "__main__":
    import work_of_processes
    from thinkseg.evaluation.parallel.processes import run_processes
    run_processes(2, partial(work_of_processes.wait, sys.argv[1]), lambda *_: None)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes")
def test_when_the_one_that_waits_is_killed_its_processes_end_too(work: Any, tmp_path: Path, repository: Path) -> None:
    script, folder = tmp_path / "parent.py", tmp_path / "ids"
    script.write_text(PARENT, encoding="utf-8")
    folder.mkdir()
    words = [sys.executable, str(script), str(folder), str(tmp_path / "modules"), str(repository)]
    process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(repository)})
    deadline = time.monotonic() + 50
    while len([path for path in folder.iterdir() if path.stat().st_size]) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in folder.iterdir():
        pid = int(path.read_text(encoding="utf-8"))
        while not ended(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)
