from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import thinkseg
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.measures.pairs import score_pair
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.run import Run

CreateRun = Callable[..., Run]


@pytest.fixture
def create_run() -> CreateRun:
    """Runs in memory over the same samples."""
    target = np.ones((4, 10), bool)

    def create(name: str, columns: int, count: int = 40, segmenter: str = "none") -> Run:
        rng = np.random.default_rng(columns)
        records = [
            replace(score_pair(str(n), target & (np.arange(10) < columns + rng.integers(0, 3)), target), task="salient")
            for n in range(count)
        ]
        return Run.from_records(RunHeader("mine", name, "", segmenter, 0), records, ["giou", "ciou", "mae"])

    return create


def test_runs_in_memory_are_compared_by_their_names(create_run: CreateRun, tmp_path: Path) -> None:
    runs = [create_run("start", 3), create_run("half", 5), create_run("trained", 8)]
    comparison = thinkseg.compare(runs, out=tmp_path / "new")
    gain = comparison.gain("giou")
    assert gain is not None
    assert gain == comparison.gain("giou", run=2)
    assert gain.verdict == "risen"
    assert comparison.gain("giou", run=0) is None
    assert gain.mean == pytest.approx(runs[2].metrics["giou"].value - runs[0].metrics["giou"].value)
    assert comparison.gain("mae", run=1).verdict == "fallen"  # type: ignore[union-attr]
    lines = str(comparison).splitlines()
    assert lines[1] == "all (40 samples)"
    assert [line.split()[0] for line in lines[2:]] == ["mean", "cIoU", "MAE"]
    assert all(line.endswith("better") for line in lines[2:])
    assert (tmp_path / "new" / "comparison.html").is_file()
    with pytest.raises(KeyError):
        comparison.gain("giuo")


def test_the_same_seed_gives_the_same_comparison_and_names_may_be_given(create_run: CreateRun) -> None:
    runs = [create_run("same", 3), create_run("same", 8)]
    with pytest.raises(InputError, match="2 runs need as many names, all different; found same, same"):
        thinkseg.compare(runs)
    one, other = (thinkseg.compare(runs, names=["a", "b"], seed=7) for _ in range(2))
    assert one.to_json() == other.to_json()
    assert one.to_json() != thinkseg.compare(runs, names=["a", "b"], seed=8).to_json()
    assert [run.name for run in one.runs] == ["a", "b"]


def test_what_differs_besides_the_model_is_said(create_run: CreateRun) -> None:
    comparison = thinkseg.compare([create_run("a", 3), create_run("b", 8, segmenter="sam")])
    assert comparison.warning == "The runs differ in more than the model: segmenter (a: none, b: sam)."
    assert thinkseg.compare([create_run("a", 3), create_run("b", 8)]).warning == ""


def test_what_cannot_be_compared_is_refused_in_a_sentence(create_run: CreateRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two folders of evaluations, found 1"):
        thinkseg.compare([create_run("a", 3)])
    with pytest.raises(DataError, match="runs over different samples cannot be compared"):
        thinkseg.compare([create_run("a", 3), create_run("b", 3, count=39)])
    with pytest.raises(DataError, match="expected the header of a run"):
        thinkseg.compare([create_run("a", 3), tmp_path])
