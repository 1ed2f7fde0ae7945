"""Two or more runs over the same samples, side by side: every number, and how sure its difference is.

For a mean the difference is taken sample by sample; for a ratio of sums or a maximum over thresholds there is no such
thing. So the samples are drawn again with replacement, the same ones for all runs, and every number is worked out anew
from the sums of its terms: the middle 95 % of the differences are the interval (paired percentile bootstrap).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from thinkseg.errors import DataError
from thinkseg.evaluation.comparison.paired import Gain
from thinkseg.evaluation.measures.registry import MEASURES
from thinkseg.evaluation.measures.terms import TERMS, Terms
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.run import Run
from thinkseg.types import Metric

RESAMPLES = 10_000
CHUNK_DRAWS = 4_000_000
"""How many drawn samples are in memory at a time."""
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
        gains = _gains([[run.records[i] for i in indices] for run in aligned], names, seed, resamples)
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


def _gains(
    records: Sequence[Sequence[PredictionRecord]], names: Sequence[str], seed: int, resamples: int
) -> list[dict[str, Gain]]:
    """For every run but the first, the gains of the named measures over it."""
    names = [name for name in names if name in TERMS]
    terms = [[_counted(TERMS[name](one), one) for name in names] for one in records]
    widths = [block.shape[1] for block in terms[0]]
    table = np.concatenate([block for run in terms for block in run], axis=1) if names else np.zeros((1, 0))
    whole, drawn = table.sum(axis=0, keepdims=True), bootstrap_sums(table, resamples, seed)
    values = [_values(sums, widths, len(records)) for sums in (whole, drawn)]
    gains: list[dict[str, Gain]] = []
    for run in range(1, len(records)):
        of_run: dict[str, Gain] = {}
        for place, name in enumerate(names):
            mean, *draws = (value[run, place] - value[0, place] for value in values)
            known = draws[0][np.isfinite(draws[0])]
            if known.size:
                low, high = np.quantile(known, [0.025, 0.975])
                count = int(np.count_nonzero(terms[0][place][:, -1]))
                of_run[name] = Gain(float(mean[0]), float(low), float(high), count)
        gains.append(of_run)
    return gains


def _counted(terms: Terms, records: Sequence[PredictionRecord]) -> Terms:
    """Terms without those of records that a protocol leaves out of the denominator."""
    return terms * np.array([record.counted for record in records], dtype=np.float64)[:, None]


def _values(
    sums: Float64[np.ndarray, "draws terms"], widths: Sequence[int], runs: int
) -> Float64[np.ndarray, "runs measures draws"]:
    """Every measure of every run from the sums of its terms, as `terms.value_of` has it."""
    ends = np.cumsum([*widths] * runs)
    blocks = np.split(sums, ends[:-1], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = [block[:, :-1].max(axis=1) / block[:, -1] for block in blocks]
    return np.stack(values).reshape(runs, len(widths), len(sums))


def bootstrap_sums(
    table: Float64[np.ndarray, "samples terms"], resamples: int, seed: int
) -> Float64[np.ndarray, "resamples terms"]:
    """The sums of the columns over samples drawn with replacement, so many of them as there are, again and again."""
    rng = np.random.default_rng(seed)
    count = len(table)
    rows = max(1, CHUNK_DRAWS // count)
    sums = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        sums.append(times.astype(np.float64) @ table)
    return np.concatenate(sums)


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


def better(measure: str, gain: Gain) -> bool | None:
    """Whether a difference is for the better; None where its interval holds zero."""
    if gain.low <= 0 <= gain.high:
        return None
    return (gain.mean > 0) == MEASURES[measure].higher_is_better
