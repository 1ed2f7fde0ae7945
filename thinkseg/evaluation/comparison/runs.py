"""Two or more runs over the same samples, side by side: every number, and how sure its difference is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from thinkseg.errors import DataError
from thinkseg.evaluation.comparison.intervals import RESAMPLES, Gain, differences
from thinkseg.evaluation.measures.registry import get_measure
from thinkseg.evaluation.run import Run
from thinkseg.types import Metric

TOLD = 3
"""So many samples that are missing on one side are named."""
ALL = "all"


@dataclass(frozen=True, slots=True)
class ComparedMeasure:
    """One measure of all runs."""

    measure: str
    metrics: tuple[Metric, ...]
    """In the order of the runs."""
    gains: tuple[Gain | None, ...]
    """Of every run but the first over the first; None for a measure that is no ratio of sums."""

    @property
    def count(self) -> int:
        """How many samples the numbers rest on, at most."""
        return max(metric.count for metric in self.metrics)

    def is_better(self, place: int) -> bool | None:
        """Whether the difference of a run is for the better; None where that cannot be told."""
        gain = self.gains[place]
        if gain is None or gain.verdict not in ("risen", "fallen"):
            return None
        return get_measure(self.measure).is_better(gain.mean)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs over the same samples in the same order, and what there is to say about them."""

    runs: tuple[Run, ...]
    lines: Mapping[str, tuple[ComparedMeasure, ...]]
    """Of all samples under ``all``, and of each task where there are several."""


def compare_runs(runs: Sequence[Run], seed: int = 0, resamples: int = RESAMPLES) -> Comparison:
    """Match the samples of the runs by their ids and compare what all runs have measured.

    Args:
        runs: at least two; the others are compared with the first.
        seed: of the draws; the same seed gives the same intervals.
        resamples: how often the samples are drawn again.

    Raises:
        DataError: there are fewer than two runs, or they are not of the same samples.
    """
    if len(runs) < 2:
        raise DataError(f"A comparison needs at least two runs, found {len(runs)}.")
    aligned = tuple(_in_order_of(runs[0], run) for run in runs)
    groups = {ALL: aligned[0].report.metrics}
    if len(aligned[0].report.by_task) > 1:
        groups |= aligned[0].report.by_task
    lines = {}
    for group, metrics in groups.items():
        indices = [i for i, record in enumerate(aligned[0].records) if group in (ALL, record.task)]
        measured = [_metrics_of(run, group) for run in aligned]
        names = [name for name in metrics if all(name in found for found in measured)]
        first, *others = ([run.records[i] for i in indices] for run in aligned)
        gains = [differences(names, first, other, seed=seed, resamples=resamples) for other in others]
        lines[group] = tuple(
            ComparedMeasure(name, tuple(found[name] for found in measured), tuple(one.get(name) for one in gains))
            for name in names
        )
    return Comparison(aligned, lines)


def _in_order_of(first: Run, run: Run) -> Run:
    """The run with its records in the order of the first run's."""
    records = {record.id: record for record in run.records}
    wanted = [record.id for record in first.records]
    missing = [name for name in wanted if name not in records]
    extra = sorted(set(records).difference(wanted))
    if missing or extra or len(run.records) != len(wanted):
        parts = [
            f"'{one.name}' has {len(names)} samples that '{other.name}' has not ({_told(names)})"
            for one, other, names in ((first, run, missing), (run, first, extra))
            if names
        ]
        raise DataError(
            f"Runs over different samples cannot be compared: {' and '.join(parts) or 'some samples come twice'}. "
            "Evaluate both with the same benchmark and --limit."
        )
    return replace(run, records=[records[name] for name in wanted])


def _told(names: Sequence[str]) -> str:
    return ", ".join(names[:TOLD]) + (", …" if len(names) > TOLD else "")


def _metrics_of(run: Run, group: str) -> Mapping[str, Metric]:
    return run.report.metrics if group == ALL else run.report.by_task.get(group, {})


def to_json(comparison: Comparison) -> dict[str, object]:
    """The comparison as plain values."""
    return {
        "runs": [
            {"name": run.name, "model": run.report.model, "protocol": run.report.protocol} for run in comparison.runs
        ],
        "benchmark": comparison.runs[0].report.benchmark,
        "samples": len(comparison.runs[0].records),
        "groups": {
            group: {
                line.measure: {
                    "values": [metric.value for metric in line.metrics],
                    "gains": [None if gain is None else gain._asdict() for gain in line.gains],
                }
                for line in lines
            }
            for group, lines in comparison.lines.items()
        },
    }
