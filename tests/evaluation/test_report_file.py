"""``report.json`` goes out and comes back through its model."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkseg.errors import DataError
from thinkseg.evaluation.report_file import GainValue, ReportFile, RunNumbers, read_report, write_report_file
from thinkseg.types import Metric, Report

NAMES = st.text("abcdefg_:./", min_size=1, max_size=8)
NUMBERS = st.builds(
    RunNumbers,
    model=st.text(max_size=8),
    metrics=st.dictionaries(NAMES, st.fixed_dictionaries({"value": st.floats(-1, 9), "count": st.integers(0, 99)})),
    failures=st.dictionaries(NAMES, st.integers(0, 9)),
)
GAINS = st.builds(
    GainValue,
    mean=st.floats(-1, 1),
    low=st.none() | st.floats(-1, 0),
    high=st.none() | st.floats(0, 1),
    n=st.integers(0, 99),
)


@given(NUMBERS, NUMBERS, GAINS)
def test_what_is_written_is_read_back(before: RunNumbers, after: RunNumbers, gain: GainValue) -> None:
    single = ReportFile(benchmark="b", settings={"batch size": 4, "asked": {"frame": None}}, **dict(before))
    paired = ReportFile(benchmark="b", gain=gain, before=before, after=after)
    for report in (single, paired):
        assert ReportFile.model_validate_json(json.dumps(report.to_json())) == report
    assert list(single.runs().values()) == [before]
    assert paired.runs() == {"before": before, "after": after}
    assert "gain" not in single.to_json()
    assert paired.to_json()["gain"]["low"] == gain.low  # null is said, too


def test_a_report_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    old = {
        "benchmark": "scenes",
        "data_revision": "",
        "model": "pocket",
        "metrics": {"giou": {"value": 0.5, "count": 2}},
    }
    (tmp_path / "report.json").write_text(json.dumps(old), encoding="utf-8")
    assert read_report(tmp_path).metrics["giou"].value == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not a report: the file: Invalid JSON"),
        ("{}", "is not a report: benchmark: Field required"),
        ('{"benchmark": "b", "metrics": {"giou": {"value": "high", "count": 1}}}', "metrics.giou.value"),
    ],
)
def test_a_file_that_is_no_report_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=r"expected a report in .* found no such file"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_report(tmp_path)


def test_the_numbers_of_a_report_are_taken_over(tmp_path: Path) -> None:
    report = Report("b", "m", {"giou": Metric(0.25, 4)}, {"salient": {"giou": Metric(0.5, 2)}}, {"truncated": 1})
    write_report_file(tmp_path, ReportFile(benchmark="b", **dict(RunNumbers.of(report))))
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {
        "benchmark": "b",
        "model": "m",
        "metrics": {"giou": {"value": 0.25, "count": 4}},
        "by_task": {"salient": {"giou": {"value": 0.5, "count": 2}}},
        "failures": {"truncated": 1},
    }


def test_the_schema_says_what_the_keys_are() -> None:
    schema = ReportFile.model_json_schema()
    assert schema["title"] == "report.json"
    assert schema["required"] == ["benchmark"]
    assert schema["properties"]["command"]["description"] == "What to type to get the same again."
    assert "RunNumbers" in json.dumps(schema["additionalProperties"])
