"""Runs a pipeline over a benchmark and writes one line per sample, so that any number of interruptions cost little.

::

    samples ─▶ pipeline.predict ─▶ score ─▶ OUT/predictions.jsonl ─▶ measures ─▶ Report

Started again on the same folder, a run goes on after the last whole line; a killed one loses the batch that it was at.
Shards write ``predictions.2-of-4.jsonl`` and the like; `thinkseg.evaluation.parallel.shards` puts them together.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from thinkseg.answers.codec import prompt_to_json
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.measures.extra_metrics import Details, no_extra_metrics
from thinkseg.evaluation.measures.registry import MASK_MEASURES, measure, measure_by_task
from thinkseg.evaluation.parallel.shards import WHOLE, Shard, found_elsewhere
from thinkseg.evaluation.protocols import apply_to_prediction, apply_to_record, counted_records
from thinkseg.evaluation.provenance import checkpoint_revision, commit, package_versions
from thinkseg.evaluation.records import (
    PredictionRecord,
    RecordFile,
    RunHeader,
    boxes_to_json,
    claim_folder,
)
from thinkseg.imaging import rle_from_mask
from thinkseg.metrics.overlap import count_overlap
from thinkseg.metrics.saliency import s_measure
from thinkseg.models.loading import locate
from thinkseg.types import Prediction, Report, Sample

Progress = Callable[[int, int, PredictionRecord | None], None]
"""Called with the samples done, their number in all, and the last one; the first call tells what was done before."""


@runtime_checkable
class Predictor(Protocol):
    """What is evaluated: a `Pipeline`, or anything that predicts as it does."""

    def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        """One prediction per sample, in order."""
        ...


def create_header(
    benchmark: str,
    model: str,
    segmenter: str | None,
    answer_format: str,
    seed: int,
    *,
    protocol: str = "default",
    data: str = "",
    asked: str = "",
) -> RunHeader:
    """What is run, with a digest of the checkpoint, so that a run never goes on with another one.

    Raises:
        CheckpointError: the model is neither ``pocket``, a checkpoint folder nor a hub id.
    """
    return RunHeader(
        benchmark=benchmark,
        model=model,
        model_revision=checkpoint_revision(locate(model, "reasoner")),
        segmenter=segmenter or "the model's own",
        seed=seed,
        answer_format=answer_format,
        protocol=protocol,
        data=data,
        asked=asked,
    )


def evaluate(
    pipeline: Predictor,
    samples: Sequence[Sample],
    out: Path,
    header: RunHeader,
    *,
    batch_size: int = 8,
    shard: Shard = WHOLE,
    resume: bool = True,
    progress: Progress | None = None,
    measures: Sequence[str] = MASK_MEASURES,
    details: Details = no_extra_metrics,
) -> Report:
    """Predict and score every sample of the shard that the folder does not hold yet, and measure all of them.

    Args:
        pipeline: what answers; its numbers must not depend on how samples are batched.
        samples: with targets; each is asked for once, when its turn comes.
        out: the folder; made if it is not there.
        header: what is run; the folder must hold the same or nothing.
        batch_size: how many samples the pipeline gets at a time.
        shard: which part of the samples.
        resume: whether to go on where an earlier start ended; otherwise a folder with predictions is refused.
        progress: told after every sample.
        measures: names in `MEASURES` for the report.
        details: what these need besides the overlap, measured once for every sample.

    Returns:
        The measures over the shard's samples; all are in the denominator, unless a protocol leaves some out.

    Raises:
        DataError: the folder holds another run or other samples, or a sample has no target or one of the wrong size.
    """
    if batch_size < 1:
        raise InputError(f"A batch has at least 1 sample, found {batch_size}.")
    claim_folder(out / "run.json", header)
    indices = shard.indices(len(samples))
    with RecordFile(shard.path(out)) as file:
        if resume:
            for record in found_elsewhere(out, shard, len(samples), len(file.records)):
                file.append(record)
        _check_what_is_there(file.records, samples, indices, out, resume)
        if progress is not None:
            progress(len(file.records), len(indices), None)
        for start in range(len(file.records), len(indices), batch_size):
            batch = [samples[index] for index in indices[start : start + batch_size]]
            for sample, prediction in zip(batch, pipeline.predict(batch, batch_size), strict=True):
                record = score(sample, apply_to_prediction(sample, prediction, header.protocol), details)
                file.append(apply_to_record(record, header.protocol))
                if progress is not None:
                    progress(len(file.records), len(indices), file.records[-1])
    return summarize(header, file.records, measures)


def _check_what_is_there(
    records: Sequence[PredictionRecord], samples: Sequence[Sample], indices: Sequence[int], out: Path, resume: bool
) -> None:
    """Make sure that what was done before is the beginning of what is to be done."""
    if not records:
        return
    if not resume:
        raise DataError(f"{out} holds {len(records)} predictions already; choose another folder with --out.")
    if len(records) > len(indices):
        raise DataError(
            f"{out} holds {len(records)} predictions, more than the {len(indices)} asked for; "
            "choose another folder with --out, or a higher --limit."
        )
    expected = samples[indices[len(records) - 1]].id
    if records[-1].id != expected:
        raise DataError(
            f"{out} holds other samples: its line {len(records)} is '{records[-1].id}', expected '{expected}'. "
            "Choose another folder with --out."
        )


def score(sample: Sample, prediction: Prediction, details: Details = no_extra_metrics) -> PredictionRecord:
    """Hold one prediction against the truth; a failure is an empty mask.

    Args:
        sample: with its target.
        prediction: of the same size.
        details: what else to measure.

    Raises:
        DataError: the sample has no target, boxes or count, or prediction and target differ in size.
    """
    predicted = prediction.mask
    comparable = sample.count is not None or sample.boxes is not None  # without a mask, too
    target = np.zeros_like(predicted) if sample.target is None and comparable else sample.target
    if target is None:
        raise DataError(f"Sample '{sample.id}' has no target mask, so it cannot be evaluated.")
    if target.shape != predicted.shape or prediction.sample_id != sample.id:
        raise DataError(
            f"Expected a prediction for '{sample.id}' of {target.shape[1]}×{target.shape[0]} pixels, found one for "
            f"'{prediction.sample_id}' of {predicted.shape[1]}×{predicted.shape[0]}; its image and its target must "
            "have the same size."
        )
    counted = target.size
    if sample.ignore is not None:  # these pixels count neither way: empty on both sides
        target, predicted = target & ~sample.ignore, predicted & ~sample.ignore
        counted -= int(sample.ignore.sum())
    counts = count_overlap(predicted, target)
    answer = prediction.answer
    record = PredictionRecord(
        id=sample.id,
        task=sample.task,
        query=sample.query,
        text=prediction.completion.text,
        finish_reason=prediction.completion.finish_reason.value,
        frame=answer.frame.wh if answer is not None else None,
        objects=[prompt_to_json(prompt) for prompt in answer.objects] if answer is not None else [],
        failure=prediction.failure,
        failure_detail=prediction.failure_detail,
        intersection=counts.intersection,
        union=counts.union,
        iou=counts.iou,
        s_measure=s_measure(predicted, target),
        mae=(counts.union - counts.intersection) / max(counted, 1),
        target_empty=not target.any(),
        predicted_empty=not predicted.any(),
        rle=rle_from_mask(prediction.mask),
        true_boxes=boxes_to_json(sample.boxes),
        true_count=sample.count,
        details={name: float(value) for name, value in details(predicted, target).items()},
    )
    if sample.target is not None:
        return record
    nothing_there = sample.count == 0 or sample.boxes == ()
    return dataclasses.replace(
        record, union=0, iou=0.0, s_measure=0.0, mae=0.0, target_empty=nothing_there, has_target=False
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
