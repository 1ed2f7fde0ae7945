"""Runs over the same samples, put side by side: matched by the ids of their samples, and compared number by number."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.comparison.compared import ALL, ComparedMeasure, Comparison
from thinkseg.evaluation.comparison.intervals import RESAMPLES, differences
from thinkseg.evaluation.run import Run
from thinkseg.types import Metric

TOLD = 3
"""So many samples that are missing on one side are named."""
SETTINGS = ("benchmark", "protocol", "seed", "segmenter", "segmenter_revision", "answer_format", "dtype", "device")
"""Fields of `RunHeader` that change a number whatever the model is; an empty one is not known."""


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
        raise DataError(f"a comparison needs at least two runs, found {len(runs)}")
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
    return Comparison(aligned, lines, _warning(aligned), seed)


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
            f"runs over different samples cannot be compared: {' and '.join(parts) or 'some samples come twice'}; "
            "evaluate both with the same benchmark and --limit"
        )
    return replace(run, records=[records[name] for name in wanted])


def _told(names: Sequence[str]) -> str:
    return ", ".join(names[:TOLD]) + (", …" if len(names) > TOLD else "")


def _metrics_of(run: Run, group: str) -> Mapping[str, Metric]:
    return run.report.metrics if group == ALL else run.report.by_task.get(group, {})


def _warning(runs: Sequence[Run]) -> str:
    """What makes the numbers of these runs different besides the models."""
    differing = []
    for field in SETTINGS:
        values = [str(getattr(run.header, field)) for run in runs]
        if len({value for value in values if value}) > 1:
            told = ", ".join(f"{run.name}: {value}" for run, value in zip(runs, values, strict=True))
            differing.append(f"{field.replace('_', ' ')} ({told})")
    return f"The runs differ in more than the model: {'; '.join(differing)}." if differing else ""


def open_runs(
    runs: Sequence[Run | Path | str], names: Sequence[str] | None = None, measures: Sequence[str] | None = None
) -> list[Run]:
    """Runs by their folders, each with a name of its own.

    Args:
        runs: folders, or runs that are in memory.
        names: what they are called; when None, folders as much of their paths as tells them apart, runs as they are.
        measures: what is measured of those that are read, by names or references; those of their benchmarks when None.

    Raises:
        InputError: there are fewer than two, or not as many names, or two are the same.
        DataError: a folder holds no run, or one without predictions.
    """
    if len(runs) < 2:
        raise InputError(f"a comparison needs at least two folders of evaluations, found {len(runs)}")
    names = _names(runs) if names is None else list(names)
    if len(names) != len(runs) or len(set(names)) != len(names) or not all(names):
        raise InputError(f"{len(runs)} runs need as many names, all different; found {', '.join(names)}")
    return [
        replace(run, name=name) if isinstance(run, Run) else Run.open(run, name, measures)
        for run, name in zip(runs, names, strict=True)
    ]


def _names(runs: Sequence[Run | Path | str]) -> list[str]:
    paths = [Path(run).resolve() for run in runs if not isinstance(run, Run)]
    depth = next((n for n in range(1, 9) if len({path.parts[-n:] for path in paths}) == len(paths)), 9)
    return [run.name if isinstance(run, Run) else "/".join(Path(run).resolve().parts[-depth:]) for run in runs]
