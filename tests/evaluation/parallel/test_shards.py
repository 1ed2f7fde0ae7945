import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.parallel.shards import WHOLE, Shard, merge_shards, wait_for_shards
from thinkseg.evaluation.record_file import RecordFile, read_records
from thinkseg.evaluation.records import RunHeader
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
        with pytest.raises(InputError, match="expected RANK to be a number below WORLD_SIZE"):
            Shard.of_environment(wrong)


def test_the_first_part_waits_until_all_are_whole(tmp_path: Path, create_samples: Any, create_pipeline: Any) -> None:
    evaluate(create_pipeline(), create_samples(6), tmp_path, HEADER, shard=Shard(1, 2))
    waiting = threading.Thread(target=wait_for_shards, args=(tmp_path, 2, 6, 0.01), daemon=True)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    evaluate(create_pipeline(), create_samples(6), tmp_path, HEADER, shard=Shard(2, 2))
    waiting.join(10)
    assert not waiting.is_alive()


HOLD = """
import sys
from pathlib import Path
from thinkseg.evaluation.record_file import RecordFile, read_records
with RecordFile(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_write_the_same_file_and_a_killed_one_gives_it_free(
    tmp_path: Path, repository: Path
) -> None:
    path = tmp_path / "predictions.jsonl"
    words = [sys.executable, "-c", HOLD, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(DataError, match=r"another process is writing .*predictions\.jsonl"):
            RecordFile(path, patience=0.1)
        other.kill()
    with RecordFile(path) as file:
        assert file.records == []


def test_a_file_that_is_being_written_can_be_read_and_its_lock_is_no_part_of_the_run(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    evaluate(create_pipeline(), create_samples(3), tmp_path, HEADER)
    with RecordFile(WHOLE.path(tmp_path)):
        assert len(read_records(WHOLE.path(tmp_path))) == 3
    assert {path.name for path in tmp_path.glob("[!.]*")} == {"run.json", "predictions.jsonl"}
