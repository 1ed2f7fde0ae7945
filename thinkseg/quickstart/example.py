"""One held-out scene, cut out by the trained model as a user would do it."""

from collections.abc import Sequence
from pathlib import Path

from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.reporting.report import ReportContext
from thinkseg.imaging import load_image
from thinkseg.quickstart.job import CHECKPOINT, Tools
from thinkseg.results import describe, endings, record_from_prediction, with_ending, write_result
from thinkseg.types import Sample


def segment_example(out: Path, context: ReportContext, tools: Tools) -> tuple[str, str]:
    """Cut the target out of one held-out scene: the best answer to a request that takes some thought.

    Returns:
        The query, and what ``thinkseg segment`` says of it.
    """
    records = context.runs[-1].records
    sample = context.samples[most_telling(records)]
    path, stem = out / "example.png", out / "example"
    load_image(sample.image).save(path)
    image = load_image(path)
    asked = Sample(id=str(path), image=image, query=sample.query)
    prediction = next(tools.load(str(out / CHECKPOINT)).predict([asked], 1))
    record = {"image": str(path), **record_from_prediction(prediction, sample.query)}
    write_result(stem, record, lambda: image)
    written = ", ".join(str(with_ending(stem, ending)) for ending in endings(record))
    said = "\n  ".join([f"{path}: {sample.query}", *describe(record), f"written: {written}"])
    return sample.query, said


def most_telling(records: Sequence[PredictionRecord]) -> int:
    """The place of the best answer among the requests that take some thought, or among all."""

    def rank(index: int) -> tuple[bool, bool, float]:
        record = records[index]
        return not record.target_empty, record.task in ("reasoning", "referring"), record.iou

    return max(range(len(records)), key=rank)
