import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from thinkseg.errors import DataError, InputError
from thinkseg.evaluation import records as records_module
from thinkseg.evaluation.parallel.shards import WHOLE, Shard, merge_shards, wait_for_shards
from thinkseg.evaluation.records import RecordFile, RunHeader
from thinkseg.evaluation.run import evaluate

HEADER = RunHeader("squares", "filler", "abc", "none", 0)


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def keep(path: Path, count: int) -> None:
    """Cut a file to its first lines, as a kill leaves it, with a torn one behind."""
    whole = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(whole[:count]) + '{"id": "squ', encoding="utf-8")


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 2), (2, 4)])
def test_a_run_goes_on_with_another_number_of_parts_and_ends_with_the_same_lines(
    tmp_path: Path, create_samples: Any, create_pipeline: Any, before: int, after: int
) -> None:
    evaluate(create_pipeline(share=0.5), create_samples(24), tmp_path / "one", HEADER)
    out = tmp_path / "parts"
    for index in range(1, before + 1):
        shard = Shard(index, before)
        evaluate(create_pipeline(share=0.5), create_samples(24), out, HEADER, shard=shard)
        keep(shard.path(out), 12 // before)
    asked = 0
    for index in range(1, after + 1):
        pipeline = create_pipeline(share=0.5)
        evaluate(pipeline, create_samples(24), out, HEADER, shard=Shard(index, after))
        asked += sum(pipeline.batches)
    assert asked == 12
    if after > 1:
        assert merge_shards(out, after, 24) is not None
    assert lines(WHOLE.path(out)) == lines(tmp_path / "one" / "predictions.jsonl")


def test_parts_that_advanced_unevenly_cost_only_what_lies_behind_the_first_gap(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    for index, done in ((1, 5), (2, 2)):
        evaluate(create_pipeline(), create_samples(12), tmp_path, HEADER, shard=Shard(index, 2))
        keep(Shard(index, 2).path(tmp_path), done)
    pipeline = create_pipeline()
    report = evaluate(pipeline, create_samples(12), tmp_path, HEADER)
    assert report.metrics["giou"].count == 12
    assert sum(pipeline.batches) == 12 - 5  # samples 0 to 4 are known, sample 5 is the gap


def test_the_part_of_a_launched_process_is_read_from_its_environment() -> None:
    assert Shard.of_environment({"RANK": "1", "WORLD_SIZE": "4"}) == Shard(2, 4)
    assert Shard.of_environment({}) is None
    assert Shard.of_environment({"RANK": "0", "WORLD_SIZE": "1"}) is None
    for wrong in ({"RANK": "4", "WORLD_SIZE": "4"}, {"RANK": "a", "WORLD_SIZE": "4"}):
        with pytest.raises(InputError, match="RANK is a number below WORLD_SIZE"):
            Shard.of_environment(wrong)


def test_the_first_part_waits_until_all_are_whole(
    tmp_path: Path, create_samples: Any, create_pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinkseg.evaluation.parallel.shards.POLL_SECONDS", 0.01)
    evaluate(create_pipeline(), create_samples(6), tmp_path, HEADER, shard=Shard(1, 2))
    waiting = threading.Thread(target=wait_for_shards, args=(tmp_path, 2, 6), daemon=True)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    evaluate(create_pipeline(), create_samples(6), tmp_path, HEADER, shard=Shard(2, 2))
    waiting.join(10)
    assert not waiting.is_alive()


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such lock")
def test_two_processes_never_write_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "predictions.jsonl"
    words = [sys.executable, "-c", HOLD, str(path)]
    monkeypatch.setattr(records_module, "LOCK_SECONDS", 0.1)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(DataError, match=r"Another process is writing .*predictions\.jsonl"):
            RecordFile(path)
        other.kill()
    monkeypatch.setattr(records_module, "LOCK_SECONDS", 10.0)
    with RecordFile(path) as file:
        assert file.records == []
