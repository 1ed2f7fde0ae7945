"""Whatever has become of the files beside an evaluation's lines: whoever needs them says so in one sentence."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from thinkseg import cli
from thinkseg.errors import DataError
from thinkseg.evaluation.record_file import HEADER as RUN
from thinkseg.evaluation.record_file import RecordFile
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.report_file import NAME as REPORT
from thinkseg.evaluation.report_file import ReportFile, read_report, write_report_file
from thinkseg.evaluation.run import Run, evaluate
from thinkseg.testing.squares import Filler, Squares

HEADER = RunHeader("squares", "filler", "abc", "none", 0)

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "no JSON": lambda _: b"this is the report of monday\n",
    "a list": lambda _: b"[1, 2]",
    "null": lambda _: b"null",
    "a number beyond all": lambda _: b"9" * 5000,
    "not UTF-8": lambda content: content.replace(b'"filler"', b'"f\xfcller"'),
    "NUL": lambda content: b"\0" * len(content),
    "nested without end": lambda _: b"[" * 100_000,
}
OF_HEADER: dict[str, Callable[[bytes], bytes]] = {
    "a list for a name": lambda content: content.replace(b'"filler"', b'["filler"]'),
    "true for the seed": lambda content: content.replace(b'"seed": 0', b'"seed": true'),
    "text for what was asked": lambda content: content.replace(b'"asked": {}', b'"asked": "{"'),
    "no model": lambda content: content.replace(b'"model"', b'"kind of model"'),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a finished evaluation."""
    run = evaluate(Filler(), Squares(6), tmp_path / "run", HEADER)
    numbers = {name: {"value": metric.value, "count": metric.count} for name, metric in run.metrics.items()}
    write_report_file(tmp_path / "run", ReportFile(benchmark="squares", model="filler", metrics=numbers))  # type: ignore[arg-type]
    return tmp_path / "run"


def damage(path: Path, how: Callable[[bytes], bytes]) -> None:
    content = path.read_bytes()
    path.write_bytes(how(content))
    assert path.read_bytes() != content


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


@pytest.mark.parametrize("name", DAMAGES | OF_HEADER)
def test_a_damaged_header_is_told_in_a_sentence_and_nothing_is_lost(folder: Path, name: str) -> None:
    damage(folder / RUN, (DAMAGES | OF_HEADER)[name])
    before = contents(folder)
    calls: list[Callable[[], Any]] = [
        lambda: evaluate(Filler(), Squares(6), folder, HEADER),
        lambda: Run.open(folder),
    ]
    for call in calls:
        with pytest.raises(DataError, match=r"run\.json' is not the header of a run, or is damaged") as refusal:
            call()
        assert "\n" not in str(refusal.value)
        assert len(str(refusal.value)) < 600 + len(str(folder))
    assert contents(folder) == before


@pytest.mark.parametrize("name", DAMAGES | OF_HEADER)
def test_compare_tells_of_a_damaged_header_and_ends_with_2(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, folder.with_name("other"))
    damage(folder / RUN, (DAMAGES | OF_HEADER)[name])
    out = folder.with_name("compared")
    assert cli.main(["compare", str(folder), str(folder.with_name("other")), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "run.json' is not the header of a run, or is damaged" in line
    assert not out.exists()


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_report_is_told_where_it_is_needed(folder: Path, name: str) -> None:
    """The benchmark is the user's own, so that only its report says what was measured."""
    damage(folder / REPORT, DAMAGES[name])
    for call in (lambda: read_report(folder), lambda: Run.open(folder)):
        with pytest.raises(DataError, match=r"report\.json' is not a report: ") as refusal:
            call()
        assert "\n" not in str(refusal.value)
    assert Run.open(folder, measures=["giou"]).metrics["giou"].count == 6  # its lines say it all


@pytest.mark.parametrize("name", DAMAGES)
def test_evaluating_again_goes_on_from_the_lines_whatever_has_become_of_the_report(folder: Path, name: str) -> None:
    before = evaluate(Filler(), Squares(6), folder, HEADER).report
    damage(folder / REPORT, DAMAGES[name])
    assert evaluate(Filler(), Squares(6), folder, HEADER).report == before


def test_the_header_of_another_evaluation_is_named_and_not_gone_on_with(folder: Path) -> None:
    other = asdict(HEADER) | {"model": "another", "seed": 3}
    (folder / RUN).write_text(json.dumps(other), encoding="utf-8")
    before = contents(folder)
    with pytest.raises(
        DataError, match=r"holds another run, .*model 'filler' \(there: 'another'\), seed 0 \(there: 3\)"
    ):
        evaluate(Filler(), Squares(6), folder, HEADER)
    assert contents(folder) == before


def test_a_header_among_the_lines_of_other_samples_is_not_gone_on_with(folder: Path) -> None:
    with RecordFile(folder / "predictions.jsonl") as file:
        records = list(file.records)
    reordered = "".join(reversed((folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)))
    (folder / "predictions.jsonl").write_text(reordered, encoding="utf-8")
    with pytest.raises(DataError, match=f"holds other samples: its line 6 is '{records[0].id}', expected"):
        evaluate(Filler(), Squares(6), folder, HEADER)
