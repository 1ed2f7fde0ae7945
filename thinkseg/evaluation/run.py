"""Runs a pipeline over a benchmark and writes one line per sample, so that any number of interruptions cost little.

::

    samples ─▶ pipeline.predict ─▶ score ─▶ OUT/predictions.jsonl ─▶ measures ─▶ Run

Images of the next batch are decoded while the pipeline is at one. Started again on the same folder, a run goes on after
the last whole line; a killed one loses the batch that it was at.
Shards write ``predictions.2-of-4.jsonl`` and the like; `thinkseg.evaluation.parallel.shards` puts them together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from thinkseg.arguments import NAMES, PATH, TEXT, optional, takes
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.benchmarks import BENCHMARKS, measures_of
from thinkseg.evaluation.measures.base import ExtraMetric
from thinkseg.evaluation.measures.groups import MASK_MEASURES
from thinkseg.evaluation.measures.registry import MEASURES, extra_metrics, measure, measure_by_task
from thinkseg.evaluation.parallel.shards import WHOLE, Shard, found_elsewhere, refuse_fewer
from thinkseg.evaluation.progress import Progress
from thinkseg.evaluation.protocols import apply_to_prediction, apply_to_record, counted_records
from thinkseg.evaluation.provenance import commit, package_versions
from thinkseg.evaluation.reading_ahead import ReadingAhead
from thinkseg.evaluation.record_file import HEADER, RecordFile, RecordList, claim_folder, read_header, read_records
from thinkseg.evaluation.records import PredictionRecord, RunHeader
from thinkseg.evaluation.scoring import failed_prediction, score
from thinkseg.evaluation.truths import UnknownTruth, misfit, predictions_of, read_sample, record_without_truth
from thinkseg.imaging import ImagesAhead
from thinkseg.inputs import check_sample
from thinkseg.stopwatch import count
from thinkseg.types import Metric, Prediction, Report, Sample


@runtime_checkable
class Predictor(Protocol):
    """What is evaluated: a `Pipeline`, or anything that predicts as it does."""

    def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        """One prediction per sample, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation: what was run, what was measured, and the records behind it."""

    name: str
    """What it is called in tables and reports."""
    header: RunHeader
    report: Report
    records: Sequence[PredictionRecord]
    """One per sample, in order."""
    measures: tuple[str, ...] = MASK_MEASURES
    """Names in `MEASURES`, or references to the user's own, in the order of the table."""
    folder: Path | None = None
    """Where it lies; None for one that was never written."""
    shard: Shard = WHOLE
    """Which part of the benchmark it is, where other processes do the others."""

    @classmethod
    def from_records(
        cls,
        header: RunHeader,
        records: Sequence[PredictionRecord],
        measures: Sequence[str] = MASK_MEASURES,
        *,
        name: str = "",
        folder: Path | None = None,
        shard: Shard = WHOLE,
    ) -> Run:
        """Measure records; the run is called as its model where no name is given."""
        report = summarize(header, records, measures)
        return cls(name or header.model, header, report, records, tuple(measures), folder, shard)

    @classmethod
    @takes(folder=PATH, name=TEXT, measures=optional(NAMES))
    def open(cls, folder: str | Path, name: str = "", measures: Sequence[str] | None = None) -> Run:
        """A finished run, measured anew from its records; no model and no image is asked for.

        Args:
            folder: that `thinkseg.evaluate` has written.
            name: what it is called; the folder's own name when empty.
            measures: names in `MEASURES`, or references to the user's own; those of its benchmark when None.

        Raises:
            DataError: the folder holds no run, or one without predictions.
        """
        folder = Path(folder)
        header, records = read_header(folder / HEADER), read_records(WHOLE.path(folder))
        if not records:
            raise DataError(f"{folder} holds no predictions yet")
        measures = _measures_of(header, folder) if measures is None else measures
        return cls.from_records(header, records, measures, name=name or folder.resolve().name, folder=folder)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The measures over all samples, by name."""
        return self.report.metrics

    @property
    def by_task(self) -> Mapping[str, Mapping[str, Metric]]:
        """The measures over the samples of each task."""
        return self.report.by_task

    @property
    def failures(self) -> Mapping[str, int]:
        """How many answers failed, by kind."""
        return self.report.failures


def _measures_of(header: RunHeader, folder: Path) -> tuple[str, ...]:
    """The measures of a benchmark, or for one of the user's own those that its report has."""
    if header.benchmark in BENCHMARKS:
        return measures_of(BENCHMARKS[header.benchmark], header.protocol)
    from thinkseg.evaluation.report_file import NAME, read_report  # brings pydantic along

    told = read_report(folder).metrics if (folder / NAME).is_file() else {}
    return tuple(name for name in told if name in MEASURES) or MASK_MEASURES


def evaluate(
    pipeline: Predictor,
    samples: Sequence[Sample],
    out: Path | None,
    header: RunHeader,
    *,
    batch_size: int = 8,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
    measures: Sequence[str] = MASK_MEASURES,
) -> Run:
    """Predict and score every sample of the shard that the folder does not hold yet, and measure all of them.

    Args:
        pipeline: what answers; its numbers must not depend on how samples are batched.
        samples: with targets; each is asked for once, when its turn comes; its image's file is read a batch before.
        out: the folder; made if it is not there. None writes nothing.
        header: what is run; the folder must hold the same or nothing.
        batch_size: how many samples the pipeline gets at a time.
        shard: which part of the samples.
        progress: told after every sample.
        measures: of the report: names in `MEASURES`, or references to the user's own. What they need besides the
            overlap is computed once for every sample.

    An image that cannot be read, or that the model refuses, stops nothing: its sample is a failure that names it, and
    counts as an empty mask. A true mask that cannot be read, or that does not fit its image, stops nothing either: its
    sample is a failure that names it, and is left out of every measure, since nothing is known to compare with.

    Returns:
        The shard's records and the measures over them; all are in the denominator, but for those whose true mask cannot
        be had and those that a protocol leaves out.

    Raises:
        DataError: the folder holds another run or other samples, or a sample has no target.
    """
    if batch_size < 1:
        raise InputError(f"a batch has at least 1 sample, found {batch_size}")
    extra = extra_metrics(measures)
    asked = header.protocol != "default" and getattr(pipeline, "asked_by", "") == header.protocol
    if out is not None:
        claim_folder(out / HEADER, header)
    indices = shard.indices(len(samples))
    with RecordList() if out is None else RecordFile(shard.path(out)) as file, ImagesAhead() as images:
        if out is not None:
            refuse_fewer(out, len(samples))
            for record in found_elsewhere(out, shard, len(samples), len(file.records)):
                file.append(record)
            _check_what_is_there(file.records, samples, indices, out)
        if progress is not None:
            progress(len(file.records), len(indices), None)
        taken = {record.id for record in file.records}
        ahead = ReadingAhead(pipeline, samples, images)
        for start in range(len(file.records), len(indices), batch_size):
            ahead.begin(indices[start:], batch_size)
            places = indices[start : start + batch_size]
            batch = [read_sample(samples, index) for index in places]
            _take_ids(taken, batch)
            for index, outcome in zip(places, predictions_of(ahead.predict, batch), strict=True):
                record = _record(samples, index, outcome, header.protocol, extra, asked=asked)
                file.append(record)
                count("samples", 1)
                if progress is not None:
                    progress(len(file.records), len(indices), record.quality if record.counted else None)
    return Run.from_records(header, file.records, measures, folder=out, shard=shard)


def _record(
    samples: Sequence[Sample],
    index: int,
    outcome: tuple[Sample, Prediction | InputError] | UnknownTruth,
    protocol: str,
    extra: Mapping[str, ExtraMetric],
    *,
    asked: bool,
) -> PredictionRecord:
    """What is written down of a sample, whatever became of it; of one that the protocol's settings asked as it is."""
    if isinstance(outcome, UnknownTruth):
        return record_without_truth(outcome)
    sample, answered = outcome
    if isinstance(answered, InputError):
        prediction = failed_prediction(sample, answered)
    else:
        prediction = answered
        unknown = misfit(samples, index, sample, prediction)
        if unknown is not None:
            return record_without_truth(unknown)
    if not asked:
        prediction = apply_to_prediction(sample, prediction, protocol)
    return apply_to_record(score(sample, prediction, extra), protocol)


def _take_ids(taken: set[str], batch: Sequence[Sample | UnknownTruth]) -> None:
    """Refuse samples of one id: masks are named by it, and comparisons match by it."""
    for sample in batch:
        if not isinstance(sample, UnknownTruth):
            check_sample(sample)
        if sample.id in taken:
            raise DataError(f"two samples have the id '{sample.id}', by which results are kept: give each its own")
        taken.add(sample.id)


def _check_what_is_there(
    records: Sequence[PredictionRecord], samples: Sequence[Sample], indices: Sequence[int], out: Path
) -> None:
    """Make sure that what was done before is the beginning of what is to be done."""
    if not records:
        return
    expected = samples[indices[len(records) - 1]].id
    if records[-1].id != expected:
        raise DataError(
            f"{out} holds other samples: its line {len(records)} is '{records[-1].id}', expected '{expected}'; "
            "choose another folder with --out"
        )


def summarize(
    header: RunHeader, records: Sequence[PredictionRecord], measures: Sequence[str] = MASK_MEASURES
) -> Report:
    """The report over the records of a run."""
    failures = Counter(record.failure.value for record in records if record.failure is not None)
    return Report(
        benchmark=header.benchmark,
        model=header.model,
        metrics=measure(counted_records(records), measures),
        by_task=measure_by_task(counted_records(records), measures),
        failures=dict(failures),
        protocol=header.protocol,
        commit=commit(),
        seed=header.seed,
        versions=package_versions(),
    )
