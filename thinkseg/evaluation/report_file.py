"""What ``report.json`` holds, as a model: it is written and read back through it, and its JSON schema can be had.

::

    ReportFile.model_json_schema()
    read_report(Path("runs/start")).runs()["pocket"].metrics["giou"].value

A single run has its numbers at the top. A report of two, before and after, has those of each under its name, and the
gain between them. This module loads pydantic, so that it is imported where it is used.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from thinkseg.errors import DataError
from thinkseg.evaluation.record_file import write_json
from thinkseg.types import Report

NAME = "report.json"


class MetricValue(BaseModel):
    """A measure's value, and how many samples it rests on."""

    value: float
    count: int


class GainValue(BaseModel):
    """The difference in mean IoU, after minus before, with its 95 % interval."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    mean: float
    low: float | None
    """Null, as is `high`, where there are too few samples for an interval."""
    high: float | None
    n: int
    """How many samples it rests on."""


class RunNumbers(BaseModel):
    """What was measured of one run."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    model: str
    metrics: dict[str, MetricValue]
    """By the name of the measure, or the reference to one of the user's own."""
    by_task: dict[str, dict[str, MetricValue]] = Field(default_factory=dict)
    failures: dict[str, int] = Field(default_factory=dict)
    """How many predictions failed, by the name of the failure."""

    @classmethod
    def of(cls, report: Report) -> "RunNumbers":
        """The numbers of a report."""
        by_task = {task: _values(metrics) for task, metrics in report.by_task.items()}
        return cls(model=report.model, metrics=_values(report.metrics), by_task=by_task, failures=dict(report.failures))


class ReportFile(BaseModel):
    """A report of one run, or of two before and after; the numbers of two stand under their names."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True, title=NAME)
    __pydantic_extra__: dict[str, RunNumbers | JsonValue] = Field(init=False)

    benchmark: str
    protocol: str = "default"
    seed: int = 0
    command: str = ""
    """What to type to get the same again."""
    commit: str = ""
    """Of ThinkSeg's repository; empty where it was installed as a package."""
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, JsonValue] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)
    """How long each stage took."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    published: list[dict[str, str]] = Field(default_factory=list)
    """Of a single run, a row for each choice of its evaluation: ``choice``, the ``authors``' value behind published
    numbers, ours by ``default``, ``by`` what theirs is had, and this ``run``'s; empty where nothing was published."""
    gain: GainValue | None = None
    """Of all samples; of two runs only."""
    gain_by_task: dict[str, GainValue] = Field(default_factory=dict)
    model: str | None = None
    """Of a single run, as are the three that follow."""
    metrics: dict[str, MetricValue] = Field(default_factory=dict)
    by_task: dict[str, dict[str, MetricValue]] = Field(default_factory=dict)
    failures: dict[str, int] = Field(default_factory=dict)

    def runs(self) -> dict[str, RunNumbers]:
        """The numbers of the runs: of a single one by its model, of two by their names."""
        if self.model is not None:
            return {
                self.model: RunNumbers(
                    model=self.model, metrics=self.metrics, by_task=self.by_task, failures=self.failures
                )
            }
        return {name: found for name, found in (self.model_extra or {}).items() if isinstance(found, RunNumbers)}

    def to_json(self) -> dict[str, Any]:
        """The report as plain values: what was set, and nothing else."""
        return self.model_dump(mode="json", exclude_unset=True)


def _values(metrics: Any) -> dict[str, MetricValue]:
    return {name: MetricValue(value=metric.value, count=metric.count) for name, metric in metrics.items()}


def write_report_file(folder: Path, report: ReportFile) -> None:
    """Write ``report.json`` into a folder, so that it appears at once."""
    write_json(folder / NAME, report.to_json())


def read_report(folder: Path) -> ReportFile:
    """The report in a folder; one that an earlier version has written, too.

    Raises:
        DataError: there is none, or it is not as expected.
    """
    path = folder / NAME
    if not path.is_file():
        raise DataError(f"expected a report in '{path}', found no such file")
    try:
        return ReportFile.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"'{path}' is not a report: {place}: {first['msg']}") from error
