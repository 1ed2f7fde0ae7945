"""One held-out scene, cut out by the trained model as a user would do it."""

from collections.abc import Sequence
from pathlib import Path

from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.reporting.report import ReportContext
from thinkseg.imaging import load_image
from thinkseg.quickstart.job import CHECKPOINT, Tools
from thinkseg.results.record import in_words


def segment_example(out: Path, context: ReportContext, tools: Tools) -> tuple[str, str]:
    """Cut the target out of one held-out scene: the best answer to a request that takes some thought.

    Returns:
        The query, and what ``thinkseg segment`` says of it.
    """
    records = context.runs[-1].records
    sample = context.samples[most_telling(records)]
    path = out / "example.png"
    load_image(sample.image).save(path)
    result = tools.load(str(out / CHECKPOINT)).segment(path, sample.query)
    return sample.query, in_words(result.to_record(), result.save(out, "example"))


def most_telling(records: Sequence[PredictionRecord]) -> int:
    """The place of the best answer among the requests that take some thought, or among all."""

    def rank(index: int) -> tuple[bool, bool, float]:
        record = records[index]
        return not record.target_empty, record.task in ("reasoning", "referring"), record.iou

    return max(range(len(records)), key=rank)
