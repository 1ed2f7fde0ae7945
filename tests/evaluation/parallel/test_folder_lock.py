"""One evaluation a folder, whatever parts it is in; nothing shorter takes the place of something longer."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import thinkseg
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.parallel.folder_lock import hold_folder
from thinkseg.evaluation.parallel.shards import WHOLE, Shard, merge_shards
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.run import evaluate
from thinkseg.quickstart.options import QuickstartOptions
from thinkseg.testing.squares import Filler, Squares

HEADER = RunHeader("squares", "filler", "abc", "none", 0, dtype="float32", segmenter_revision="s1", device="cpu")

HOLD = """
import sys
from pathlib import Path
from thinkseg.evaluation.parallel.folder_lock import hold_folder
from thinkseg.evaluation.parallel.shards import Shard
with hold_folder(Path(sys.argv[1]), Shard.parse(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("held", "asked", "together"),
    [
        ("1/1", "1/1", False),
        ("1/1", "1/2", False),
        ("1/2", "1/1", False),
        ("1/2", "1/2", False),
        ("1/2", "1/3", False),
        ("1/2", "2/2", True),
    ],
)
def test_only_parts_of_one_number_work_in_a_folder_together(
    tmp_path: Path, repository: Path, held: str, asked: str, together: bool
) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path), held]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        if together:
            with hold_folder(tmp_path, Shard.parse(asked), patience=0.1):
                pass
        else:
            with (
                pytest.raises(DataError, match="another evaluation is at work in"),
                hold_folder(tmp_path, Shard.parse(asked), patience=0.1),
            ):
                pass
        other.kill()
    with hold_folder(tmp_path, Shard.parse(asked)):
        pass


@pytest.mark.slow  # it waits as long as one that was killed may take to end
def test_a_second_evaluation_is_refused_before_its_pipeline_is_asked(tmp_path: Path) -> None:
    pipeline = Filler()
    with hold_folder(tmp_path / "run", WHOLE), pytest.raises(DataError, match="another evaluation is at work"):
        thinkseg.evaluate(Squares(3), pipeline, out=tmp_path / "run", progress=False)
    assert pipeline.batches == []


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_finished_run_is_never_replaced_by_a_shorter_one(tmp_path: Path, parts: int) -> None:
    evaluate(Filler(), Squares(12), tmp_path, HEADER)
    before = WHOLE.path(tmp_path).read_bytes()
    assert before.count(b"\n") == 12
    for index in range(1, parts + 1):
        with pytest.raises(DataError, match="holds 12 predictions, more than the 6 asked for"):
            evaluate(Filler(), Squares(6), tmp_path, HEADER, shard=Shard(index, parts))
    with pytest.raises(DataError, match="more than the 6 asked for"):
        merge_shards(tmp_path, parts, 6)
    assert WHOLE.path(tmp_path).read_bytes() == before


def test_parts_with_different_limits_are_told_and_lose_nothing(tmp_path: Path) -> None:
    evaluate(Filler(), Squares(12), tmp_path, HEADER, shard=Shard(1, 2))
    with pytest.raises(DataError, match=r"1-of-2.jsonl' holds 6 predictions, more than the 3 asked for"):
        evaluate(Filler(), Squares(6), tmp_path, HEADER, shard=Shard(2, 2))
    assert merge_shards(tmp_path, 2, 12) is None
    evaluate(Filler(), Squares(12), tmp_path, HEADER, shard=Shard(2, 2))
    merged = merge_shards(tmp_path, 2, 12)
    assert merged is not None
    assert [record.id for record in merged] == [f"square-{index}" for index in range(12)]


@pytest.mark.parametrize(
    ("field", "other"), [("dtype", "bfloat16"), ("segmenter_revision", "s2"), ("device", "cuda"), ("dtype", "")]
)
def test_whatever_moves_a_number_is_part_of_what_a_folder_holds(
    tmp_path: Path, create_samples: Any, field: str, other: str
) -> None:
    evaluate(Filler(), create_samples(3), tmp_path, HEADER)
    with pytest.raises(DataError, match=f"asked for {field} '{other}'"):
        evaluate(Filler(share=0.5), create_samples(6), tmp_path, replace(HEADER, **{field: other}))  # type: ignore[arg-type]
    assert WHOLE.path(tmp_path).read_bytes().count(b"\n") == 3


def test_half_written_files_of_one_that_was_killed_are_removed_and_no_others(tmp_path: Path) -> None:
    for name in ("run.json.12.part", "predictions.jsonl.3.part", "predictions.1-of-2.jsonl.4.part", "mine.part"):
        (tmp_path / name).touch()
    with hold_folder(tmp_path, WHOLE):
        assert [path.name for path in tmp_path.glob("[!.]*")] == ["mine.part"]


def test_a_seed_below_zero_is_refused_everywhere() -> None:
    with pytest.raises(InputError, match="'seed' of evaluate should be a whole number from 0, found -1"):
        thinkseg.evaluate("scenes", Filler(), seed=-1, limit=2, progress=False)
    run = thinkseg.evaluate(Squares(3), Filler(), progress=False)
    with pytest.raises(InputError, match="'seed' of compare should be a whole number from 0, found -5"):
        thinkseg.compare([replace(run, name="a"), replace(run, name="b")], seed=-5)
    with pytest.raises(InputError, match="--seed should be 0 or more, found -1"):
        QuickstartOptions(seed=-1).check()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "Expecting"),
        (b"[]", "expected a JSON object"),
        (b"\xff\xfe", "utf-8"),
        (b'{"benchmark": "x"}', "it lacks model, model_revision, segmenter, seed"),
        (b'{"benchmark":"x","model":"m","model_revision":"","segmenter":"s","seed":"x"}', "'seed' should be int"),
    ],
)
def test_a_damaged_header_is_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    evaluate(Filler(), Squares(3), tmp_path, HEADER)
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(DataError, match=f"is not the header of a run, or is damaged .*{said}"):
        thinkseg.Run.open(tmp_path)
    with pytest.raises(DataError, match="is not the header of a run"):
        evaluate(Filler(), Squares(3), tmp_path, HEADER)
