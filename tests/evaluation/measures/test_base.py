"""The contract of a measure, held by the example in its own docstring from the file to the report."""

import json
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import thinkseg
from thinkseg.errors import InputError
from thinkseg.evaluation.measures import base
from thinkseg.evaluation.measures.registry import measure
from thinkseg.evaluation.record_file import read_records
from thinkseg.evaluation.records import RunHeader, record_to_line
from thinkseg.evaluation.reporting.report import ReportContext, write_report
from thinkseg.evaluation.reporting.tables import text_table
from thinkseg.evaluation.run import evaluate


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The file that the docstring shows."""
    assert base.__doc__ is not None
    path = tmp_path / "my_measures.py"
    path.write_text(textwrap.dedent(base.__doc__.partition("A whole one::")[2]), encoding="utf-8")
    return path


def test_the_measure_that_the_contract_shows_goes_from_its_file_to_report_and_comparison(
    tmp_path: Path, example: Path, create_samples: Callable[..., Any], create_pipeline: Callable[..., Any]
) -> None:
    names = ("giou", f"{example}:dice", f"{example}:over_segmented")
    runs, samples = [], create_samples(36)
    for share in (0.5, 1.0):
        header = RunHeader("squares", str(share), "", "fake", 0)
        runs.append(evaluate(create_pipeline(share), samples, tmp_path / str(share), header, measures=names))
        assert read_records(tmp_path / str(share) / "predictions.jsonl")[0].extra["dice"] > 0.5
    half, whole = (run.metrics[f"{example}:dice"].value for run in runs)
    assert (half, whole) == (pytest.approx((2 / 3 * 2 + 1) / 3), 1)
    report = ReportContext("A test", (runs[0],), samples, "none", measures=names)
    content = write_report(tmp_path / "report", report)
    assert content["metrics"][f"{example}:dice"]["value"] == half
    assert "over-segmented" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert text_table(runs[0].report, measures=names).splitlines()[3].split()[:2] == ["Dice", f"{half:.3f}"]
    folders = [tmp_path / "0.5", tmp_path / "1.0"]
    comparison = thinkseg.compare(folders, measures=names, out=tmp_path / "comparison")
    gain = comparison.gain(f"{example}:dice")
    assert gain is not None
    assert gain.mean == pytest.approx(whole - half)
    assert gain.verdict == "risen"
    assert "Dice ↑" in (tmp_path / "comparison" / "table.md").read_text(encoding="utf-8")
    assert f"--measures {','.join(names)}" in (tmp_path / "comparison" / "comparison.json").read_text(encoding="utf-8")


def test_a_folder_of_results_never_names_the_code_that_measures_it(
    tmp_path: Path, example: Path, create_samples: Callable[..., Any], create_pipeline: Callable[..., Any]
) -> None:
    header = RunHeader(f"{example}:bench", "model", "", "fake", 0)
    for name in ("a", "b"):
        evaluate(create_pipeline(), create_samples(6), tmp_path / name, header, measures=("giou", f"{example}:dice"))
    example.write_text("raise SystemExit('this code was run')")
    comparison = thinkseg.compare([tmp_path / "a", tmp_path / "b"], out=tmp_path / "out")
    assert f"{example}:dice" not in {line.measure for line in comparison.lines["all"]}


def test_a_measure_that_is_no_number_names_the_sample(create_record: Callable[..., Any]) -> None:
    unsure = base.mean(lambda record: float("nan"))
    with pytest.raises(InputError, match="a measure of 'square-3' should be a finite number or None, found nan"):
        unsure.metric([create_record(3, 0.5)])


def test_a_value_is_printed_in_its_unit() -> None:
    how = base.mean(lambda record: 1.0)
    plain, share = base.Measure("a", "b", how), base.Measure("a", "b", how, unit="share")
    assert (plain.format(0.12345), plain.format(0.12345, 4), plain.format(float("nan"))) == ("0.123", "0.1235", "–")
    assert (share.format(0.12345), share.format(0.12345, 4)) == ("12.3 %", "12.35 %")


def test_extra_metrics_are_read_from_files_that_called_them_details(
    tmp_path: Path, create_record: Callable[..., Any]
) -> None:
    record = replace(create_record(1, 0.5), extra={"weighted_f": 0.25})
    line = json.loads(record_to_line(record))
    line["details"] = line.pop("extra")
    (tmp_path / "predictions.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    (found,) = read_records(tmp_path / "predictions.jsonl")
    assert found == record
    assert measure([found], ("weighted_f",))["weighted_f"].value == 0.25
