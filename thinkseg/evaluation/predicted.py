"""What an evaluation predicted, as samples: the images of its benchmark with the masks of its records as targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from thinkseg.data.listing import Listing
from thinkseg.data.samples import LazySamples
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.benchmarks import load_benchmark
from thinkseg.evaluation.load_options import LoadOptions
from thinkseg.evaluation.protocols import ProtocolSamples
from thinkseg.evaluation.record_file import HEADER
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.run import Run
from thinkseg.types import Sample

PREDICTIONS = "predictions.jsonl"


def is_run(folder: Path) -> bool:
    """Whether a folder holds an evaluation."""
    return (folder / HEADER).is_file() and (folder / PREDICTIONS).is_file()


def evaluated_samples(run: Run, images: str = "") -> Sequence[Sample]:
    """The samples that a run was evaluated on, in the order of its records and perhaps more behind them.

    Args:
        run: whose benchmark is on disk where it was, or is composed.
        images: the folder of images of the user's own data, where it is another one by now.

    Raises:
        InputError: the benchmark cannot be loaded.
        DataError: it has other samples by now.
    """
    header = run.header
    limit = None if header.protocol != "default" else len(run.records)
    options = LoadOptions.of_run(header.asked, limit, header.seed, Path(header.data) if header.data else None)
    options = replace(options, images=images) if images else options
    try:
        _, samples = load_benchmark(header.benchmark, options, header.protocol)
    except InputError as error:
        raise InputError(f"the images of this evaluation ('{header.benchmark}') cannot be had: {error}") from error
    if len(samples) < len(run.records):
        raise DataError(
            f"the data of this evaluation have changed: {len(run.records)} samples then, {len(samples)} now"
        )
    if isinstance(samples, Listing | ProtocolSamples):
        for place, record in enumerate(run.records):
            entry = samples.entry(place)
            check_same(record, record.id if entry is None else entry.id)
    return samples


def predicted_samples(run: Run, images: str = "") -> LazySamples:
    """The samples of a run with its predictions as targets; those whose text could not be read are left out.

    Args, Raises: as `evaluated_samples`.
    """
    return _Predicted(evaluated_samples(run, images), run.records)


def check_same(record: PredictionRecord, identifier: str) -> None:
    """Make sure that a record is of a sample.

    Raises:
        DataError: it is of another one.
    """
    if record.id != identifier:
        raise DataError(
            f"the data of this evaluation have changed: expected sample '{record.id}', found '{identifier}'"
        )


class _Predicted(LazySamples):
    """Samples and the records of what was predicted of them, in one order."""

    def __init__(self, samples: Sequence[Sample], records: Sequence[PredictionRecord]) -> None:
        self._samples = samples
        self._records = records
        self._places = [place for place, record in enumerate(records) if record.failure is None]

    def __len__(self) -> int:
        return len(self._places)

    def name_of(self, index: int) -> str:
        """What an error calls a sample."""
        return f"sample '{self._records[self._places[index]].id}'"

    def read(self, index: int) -> Sample:
        """The image of a sample, its query and what was predicted."""
        place = self._places[index]
        record, sample = self._records[place], self._samples[place]
        check_same(record, sample.id)
        mask = record.mask
        instances = mask[None] if len(record.objects) == 1 and mask.any() else None
        return Sample(record.id, sample.image, record.query, mask, instances=instances, task=record.task)
