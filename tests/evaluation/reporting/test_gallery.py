from collections.abc import Callable

from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.reporting.gallery import choose_items


def test_each_task_shows_its_extremes_its_median_and_one_by_lot(create_record: Callable[..., PredictionRecord]) -> None:
    before = [create_record(index, 0.5) for index in range(9)]
    after = [create_record(index, 0.1 * (index + 1)) for index in range(9)]
    reasons = {case.reason: case.index for case in choose_items(before, after)}
    assert reasons["largest gain"] == 8
    assert reasons["second largest gain"] == 7
    assert reasons["median"] == 4
    assert reasons["largest loss"] == 0
    assert reasons["second largest loss"] == 1


def test_a_single_run_is_ranked_by_its_iou(create_record: Callable[..., PredictionRecord]) -> None:
    records = [create_record(index, iou) for index, iou in enumerate((0.4, 0.9, 0.1, 0.5, 0.6))]
    reasons = {case.reason: case.index for case in choose_items(None, records)}
    assert (reasons["best"], reasons["median"], reasons["worst"]) == (1, 3, 2)


def test_no_sample_is_shown_twice_however_few_there_are(create_record: Callable[..., PredictionRecord]) -> None:
    for count in (1, 2, 3):
        records = [create_record(index, 0.3) for index in range(count)]
        shown = [case.index for case in choose_items(records, records)]
        assert sorted(shown) == sorted(set(shown))
        assert set(shown) <= set(range(count))
        assert shown


def test_the_smallest_gain_is_not_called_a_loss(create_record: Callable[..., PredictionRecord]) -> None:
    before = [create_record(index, 0.1) for index in range(4)]
    after = [create_record(index, 0.2 + 0.1 * index) for index in range(4)]
    reasons = [case.reason for case in choose_items(before, after)]
    assert "smallest gain" in reasons
    assert not any("loss" in reason for reason in reasons)


def test_what_did_not_change_is_called_neither_a_gain_nor_a_loss(
    create_record: Callable[..., PredictionRecord],
) -> None:
    before = [create_record(index, 0.5) for index in range(8)]
    after = [create_record(index, 0.75 if index == 3 else 0.5) for index in range(8)]
    reasons = {case.index: case.reason for case in choose_items(before, after)}
    assert reasons.pop(3) == "largest gain"
    assert set(reasons.values()) <= {"unchanged", "median", "drawn at random"}
    assert "unchanged" in reasons.values()


def test_the_draw_by_lot_depends_on_the_seed_alone(create_record: Callable[..., PredictionRecord]) -> None:
    records = [create_record(index, 0.01 * index) for index in range(80)]

    def drawn(seed: int) -> list[int]:
        return [case.index for case in choose_items(None, records, seed) if case.reason == "drawn at random"]

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(8)}) > 1
