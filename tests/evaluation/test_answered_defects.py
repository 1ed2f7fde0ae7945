"""Defects of published evaluations that begin with the model's text, held off from text to number by the whole path."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import FORMATS, get_format
from thinkseg.evaluation.measures.groups import MASK_MEASURES
from thinkseg.evaluation.record_file import RecordFile, read_records
from thinkseg.evaluation.records import PredictionRecord, RunHeader
from thinkseg.evaluation.run import Run, evaluate
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Answer, Point, Sample, Size

SIDE = 40

WRONG_GROUP = '{"bbox": [0, 0, 5, 5], "points_1": [2, 2], "points_2": [3, 3]}'
RIGHT = {
    "seg-zero": '<answer>{"bbox": [10, 10, 19, 19], "points_1": [12, 12], "points_2": [15, 15]}</answer>',
    "vision-reasoner": '<answer>[{"bbox_2d": [10, 10, 19, 19], "point_2d": [12, 12]}]</answer>',
}


def sample(name: str, *, empty: bool = False) -> Sample:
    target = np.zeros((SIDE, SIDE), dtype=bool)
    if not empty:
        target[10:20, 10:20] = True
    return Sample(name, Image.new("RGB", (SIDE, SIDE), "grey"), "the square", target, task="referring")


def evaluated(
    out: Path, format_name: str, texts: Sequence[str], samples: Sequence[Sample]
) -> tuple[Run, list[PredictionRecord]]:
    """The run and the records of a model that says these texts."""
    pipeline = Pipeline(FakeReasoner(texts), FakeSegmenter(), get_format(format_name))
    header = RunHeader("planted", "pocket", "", "none", 0, format_name)
    measures = (*MASK_MEASURES, "n_acc", "t_acc")
    report = evaluate(pipeline, samples, out, header, batch_size=4, measures=measures)
    return report, read_records(out / "predictions.jsonl")


@pytest.mark.parametrize("name", RIGHT)
def test_a_brace_group_in_the_thinking_is_not_what_is_scored(name: str, tmp_path: Path) -> None:
    """Defect 13: the first brace group anywhere was taken for the answer, one inside the thinking, too."""
    text = f"<think>at first I took {WRONG_GROUP}</think>{RIGHT[name]}"
    report, _ = evaluated(tmp_path, name, [text], [sample("one")])
    assert report.metrics["giou"].value == 1


def test_a_parse_failure_is_scored_as_no_mask_and_spares_its_batch(tmp_path: Path) -> None:
    """Defects 4 and 16: the mask of the image before was scored again, or the whole batch was emptied."""
    texts = [f"<think>x</think>{RIGHT['vision-reasoner']}", "nonsense", f"<think>x</think>{RIGHT['vision-reasoner']}"]
    report, records = evaluated(tmp_path, "vision-reasoner", texts, [sample(name) for name in "abc"])
    assert [record.iou for record in records] == [1, 0, 1]
    assert report.metrics["giou"].value == pytest.approx(2 / 3)
    assert (report.metrics["parse_failures"].value, report.metrics["parse_failures"].count) == (pytest.approx(1 / 3), 3)


def test_a_box_without_points_has_a_mask(tmp_path: Path) -> None:
    """Defect 16: boxes without points gave an empty mask."""
    text = "<think>x</think><bbox>[10,10,19,19]</bbox><points></points><labels></labels>"
    report, _ = evaluated(tmp_path, "seg-r1", [text], [sample("one")])
    assert report.metrics["giou"].value == 1


@pytest.mark.parametrize("name", FORMATS)
def test_that_nothing_is_there_can_be_said_in_every_format_and_is_right_where_it_is(name: str, tmp_path: Path) -> None:
    """Defect 17: "no object" had no form, so that whoever said it was wrong."""
    nothing = get_format(name).render(Answer(Size(SIDE, SIDE)))
    report, records = evaluated(tmp_path, name, [nothing, nothing], [sample("empty", empty=True), sample("there")])
    assert [record.iou for record in records] == [1, 0]
    values = {key: metric.value for key, metric in report.metrics.items()}
    assert (values["correct_abstentions"], values["false_abstentions"], values["parse_failures"]) == (1, 1, 0)
    assert (values["n_acc"], values["t_acc"]) == (1, 0)


def test_numbers_of_numpy_in_boxes_lose_no_record(
    create_record: Callable[..., PredictionRecord], tmp_path: Path
) -> None:
    """Defect 15: a NumPy integer broke the dump at the end, and the shard was lost."""
    box = {"box": list(np.arange(4)), "area": np.int64(9), "crowd": np.bool_(False)}
    with RecordFile(tmp_path / "predictions.jsonl") as file:
        file.append(dataclasses.replace(create_record(0, 0.5), true_boxes=[box]))
    (record,) = read_records(tmp_path / "predictions.jsonl")
    assert record.true_boxes == [{"box": [0, 1, 2, 3], "area": 9, "crowd": False}]


def test_points_of_the_answer_stay_in_its_frame(tmp_path: Path) -> None:
    """The record keeps what the model wrote, so that its boxes can be carried over exactly once."""
    pipeline = Pipeline(
        FakeReasoner([f"<think>x</think>{RIGHT['vision-reasoner']}"], frame=Size(2 * SIDE, 2 * SIDE)),
        FakeSegmenter(),
        get_format("vision-reasoner"),
    )
    header = RunHeader("planted", "pocket", "", "none", 0, "vision-reasoner")
    evaluate(pipeline, [sample("one")], tmp_path, header)
    (record,) = read_records(tmp_path / "predictions.jsonl")
    assert record.frame == (2 * SIDE, 2 * SIDE)
    assert record.answer is not None
    assert record.answer.objects[0].points == (Point(12, 12),)
