"""No-target accuracy, boxes and counts from records, each number worked out by hand."""

import dataclasses
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinkseg.evaluation.measures.registry import MEASURES, measure
from thinkseg.evaluation.record_file import RecordFile, read_records
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.types import Failure

CreateRecord = Callable[..., PredictionRecord]

Written = Sequence[Sequence[float]]


@pytest.fixture
def create_boxes(create_record: CreateRecord) -> Callable[..., PredictionRecord]:
    """A record of an image of 32 × 32 pixels; boxes are written in the frame, true ones are in the image."""

    def create(
        boxes: Written | None, true: Written, frame: tuple[int, int] = (32, 32), query: str = "cat", **more: Any
    ) -> PredictionRecord:
        record = create_record(0, 0.5, failure=Failure.MALFORMED_ANSWER if boxes is None else None)
        objects = [{"box": list(box), "points": []} for box in boxes or ()]
        annotated = [{"box": list(box), "area": 10.0, "crowd": False} for box in true]
        return dataclasses.replace(
            record,
            query=query,
            frame=None if boxes is None else frame,
            objects=objects,
            true_boxes=annotated,
            **more,
        )

    return create


def value(name: str, records: Sequence[PredictionRecord]) -> float | None:
    metric = MEASURES[name].how.metric(records)
    return None if metric is None else metric.value


def test_n_acc_and_t_acc_ask_whether_the_mask_is_empty(create_record: CreateRecord) -> None:
    """Three samples without a target, two masks empty: 2/3. Two with a target, one mask empty: 1/2."""
    cases = [(True, True), (True, True), (True, False), (False, True), (False, False)]
    records = [
        dataclasses.replace(create_record(index, 0.0), target_empty=target, predicted_empty=predicted)
        for index, (target, predicted) in enumerate(cases)
    ]
    metrics = measure(records, ("n_acc", "t_acc"))
    assert (metrics["n_acc"].value, metrics["n_acc"].count) == (pytest.approx(2 / 3), 3)
    assert (metrics["t_acc"].value, metrics["t_acc"].count) == (0.5, 2)


def test_a_data_set_without_empty_targets_has_no_n_acc(create_record: CreateRecord) -> None:
    assert measure([create_record(0, 0.5)], ("n_acc", "t_acc")).keys() == {"t_acc"}


@pytest.mark.parametrize(
    ("boxes", "accuracy", "any_box", "or_hull"),
    [
        ([[0, 0, 10, 10]], 1, 1, 1),
        ([[0, 0, 10, 5]], 1, 0, 0),  # IoU 1/2: enough for "at least", not for "above"
        ([[0, 0, 10, 4]], 0, 0, 0),
        ([[20, 20, 30, 30], [0, 0, 10, 10]], 0, 1, 1),  # the right one is written second
        ([[0, 0, 10, 5.4]], 1, 0, 0),  # 0.54, but in whole pixels 0.5
        ([[0, 0, 5, 5], [5, 5, 10, 10]], 0, 0, 1),  # two corners, whose hull is the whole
        ([[0, 0, 5, 5], [0, 0, 5, 12], [10, 0, 12, 4]], 0, 0, 1),  # hull 12 × 12: 100/144
        ([[0, 0, 5, 5], [14, 14, 15, 15]], 0, 0, 0),  # hull 15 × 15: 100/225
        ([], 0, 0, 0),
        (None, 0, 0, 0),  # unreadable
    ],
)
def test_a_box_is_right_from_an_iou_of_one_half_on(
    create_boxes: Callable[..., PredictionRecord], boxes: Written | None, accuracy: int, any_box: int, or_hull: int
) -> None:
    records = [create_boxes(boxes, [[0, 0, 10, 10]])]
    assert value("box_accuracy", records) == accuracy
    assert value("any_box_accuracy", records) == any_box
    assert value("any_box_or_hull_accuracy", records) == or_hull


HULLS = "2480040161000000154200001582910000920828400a280c8014100030005029010031030012605003808280084009004000"
"""What VisionReasoner's evaluation (its commit b90f474) says of the 400 answers below, a bit each: recorded."""


def test_boxes_and_their_hull_are_right_where_visionreasoner_counts_them(
    create_boxes: Callable[..., PredictionRecord],
) -> None:
    rng = random.Random(13)

    def draw_box(side: int) -> list[int]:
        left, right = sorted(rng.sample(range(side), 2))
        top, bottom = sorted(rng.sample(range(side), 2))
        return [left, top, right, bottom]

    def create_answer() -> PredictionRecord:
        true = draw_box(32)
        parts = [[min(840, max(0, round(edge * 840 / 32) + rng.randrange(-90, 90))) for edge in true] for _ in range(2)]
        halves = [[parts[0][0], parts[0][1], (parts[0][0] + parts[0][2]) // 2, parts[0][3]],
                  [(parts[1][0] + parts[1][2]) // 2, parts[1][1], parts[1][2], parts[1][3]]]  # fmt: skip
        boxes = (parts + halves + [draw_box(840)])[rng.randrange(5) : rng.randrange(6)]
        boxes = [box for box in boxes if box[0] < box[2] and box[1] < box[3]]
        return create_boxes(boxes, [true], frame=(840, 840))

    bits = "".join(str(round(value("any_box_or_hull_accuracy", [create_answer()]) or 0)) for _ in range(400))
    assert f"{int(bits, 2):0100x}" == HULLS


def test_boxes_are_carried_from_the_models_frame_to_the_image(create_boxes: Callable[..., PredictionRecord]) -> None:
    twice = create_boxes([[0, 0, 20, 20]], [[0, 0, 10, 10]], frame=(64, 64))
    assert value("box_accuracy", [twice]) == 1
    assert value("ap", [twice]) == 1


def test_an_expression_of_several_objects_has_no_box_accuracy(create_boxes: Callable[..., PredictionRecord]) -> None:
    assert value("box_accuracy", [create_boxes([[0, 0, 9, 9]], [[0, 0, 9, 9], [5, 5, 9, 9]])]) is None


def test_the_largest_box_is_the_surest_only_by_area(create_boxes: Callable[..., PredictionRecord]) -> None:
    """A large wrong box and a small right one: ranked by area the wrong one is first, precision 1/2 all along.

    Two small wrong ones and the right one: ranked by area the right one is first, precision 1; unranked 1/3.
    """
    wrong_first = [create_boxes([[10, 10, 30, 30], [0, 0, 8, 8]], [[0, 0, 8, 8]])]
    assert value("ap_by_area", wrong_first) == pytest.approx(0.5)
    assert value("ap", wrong_first) == pytest.approx(0.5)
    right_first = [create_boxes([[10, 10, 14, 14], [20, 20, 24, 24], [0, 0, 8, 8]], [[0, 0, 8, 8]])]
    assert value("ap_by_area", right_first) == pytest.approx(1.0)
    assert value("ap", right_first) == pytest.approx(1 / 3)
    assert value("box_precision", right_first) == pytest.approx(1 / 3)
    assert value("box_recall", right_first) == 1


def test_a_parse_failure_has_no_box_and_its_objects_are_missed(create_boxes: Callable[..., PredictionRecord]) -> None:
    records = [create_boxes([[0, 0, 8, 8]], [[0, 0, 8, 8]]), create_boxes(None, [[0, 0, 8, 8]])]
    assert value("box_recall", records) == 0.5
    assert value("ap", records) == pytest.approx(51 / 101)


def test_what_was_matched_for_one_list_is_not_taken_for_another(create_boxes: Callable[..., PredictionRecord]) -> None:
    records = [create_boxes([[0, 0, 8, 8]], [[0, 0, 8, 8]])]
    assert value("ap", records) == 1
    records[0] = create_boxes([[20, 20, 28, 28]], [[0, 0, 8, 8]])
    assert value("ap", records) == 0


def test_counts_are_exact_or_wrong_by_so_many(create_boxes: Callable[..., PredictionRecord]) -> None:
    """2 of 2, 1 of 4, unreadable (0) of 3: one of three exact, wrong by (0 + 3 + 3) / 3 = 2."""
    box = [0, 0, 8, 8]
    records = [
        create_boxes([box, box], [], true_count=2),
        create_boxes([box], [], true_count=4),
        create_boxes(None, [], true_count=3),
    ]
    metrics = measure(records, ("exact_count", "count_error"))
    assert (metrics["exact_count"].value, metrics["exact_count"].count) == (pytest.approx(1 / 3), 3)
    assert (metrics["count_error"].value, metrics["count_error"].count) == (2, 3)


def test_records_keep_boxes_and_counts_on_disk(create_boxes: Callable[..., PredictionRecord], tmp_path: Path) -> None:
    record = create_boxes([[0, 0, 8, 8]], [[0, 0, 8, 8]], true_count=1, has_target=False, counted=False)
    with RecordFile(tmp_path / "predictions.jsonl") as file:
        file.append(record)
    assert read_records(tmp_path / "predictions.jsonl") == [record]


def test_without_a_mask_samples_are_ranked_by_their_count(create_boxes: Callable[..., PredictionRecord]) -> None:
    near = create_boxes([[0, 0, 8, 8]], [], true_count=2, has_target=False)
    far = create_boxes([], [], true_count=2, has_target=False)
    assert near.quality == pytest.approx(1 / 2)
    assert far.quality == pytest.approx(1 / 3)
    assert near.outcome == "1 found, 2 there"
    assert np.isclose(dataclasses.replace(near, has_target=True).quality, 0.5)


def test_precision_and_recall_of_boxes_add_up_over_shards(create_boxes: Callable[..., PredictionRecord]) -> None:
    """Two boxes for one object, none for the other, and a sample without annotated boxes: 1 of 2, and 1 of 2."""
    records = [
        create_boxes([[0, 0, 8, 8], [20, 20, 28, 28]], [[0, 0, 8, 8]]),
        create_boxes(None, [[0, 0, 8, 8]], query="dog"),
        dataclasses.replace(create_boxes([[0, 0, 8, 8]], []), true_boxes=None),
    ]
    rows = {name: MEASURES[name].how.rows(records).tolist() for name in ("box_precision", "box_recall")}  # type: ignore[union-attr]
    assert rows == {"box_precision": [[1, 2], [0, 0], [0, 0]], "box_recall": [[1, 1], [0, 1], [0, 0]]}
    metrics = measure(records, ("box_precision", "box_recall"))
    assert {name: (one.value, one.count) for name, one in metrics.items()} == {
        "box_precision": (0.5, 1),
        "box_recall": (0.5, 2),
    }
