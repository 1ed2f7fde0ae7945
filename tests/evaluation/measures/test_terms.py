from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from py_sod_metrics import Emeasure, FmeasureHandler, FmeasureV2, WeightedFmeasure

from thinkseg.errors import DataError
from thinkseg.evaluation.measures.extra_metrics import dichotomous, foreground
from thinkseg.evaluation.measures.registry import MASK_MEASURES, MEASURES, measure
from thinkseg.evaluation.measures.terms import TERMS, metric
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.scoring import score
from thinkseg.metrics.saliency import SaliencySums, measure_saliency
from thinkseg.types import Answer, Completion, Failure, Mask, Prediction, Sample, Size


def records_of(pairs: list[tuple[Mask, Mask]]) -> list[PredictionRecord]:
    records = []
    for index, (pred, target) in enumerate(pairs):
        height, width = target.shape
        prediction = Prediction(str(index), Completion(""), Answer(Size(width, height)), pred[None])
        records.append(score(Sample(str(index), "none.png", "it", target), prediction, dichotomous))
    return records


@pytest.fixture
def pairs() -> list[tuple[Mask, Mask]]:
    rng = np.random.default_rng(8)
    pairs = []
    for index in range(14):
        target = np.zeros((40 + index, 50), dtype=bool)
        target[8:30, 5 : 20 + index] = True
        pred = np.roll(target, rng.integers(-5, 6, 2), (0, 1)) ^ (rng.random(target.shape) < 0.02)
        pairs.append((np.zeros_like(pred) if index == 3 else np.ones_like(pred) if index == 4 else pred, target))
    return pairs


def test_the_foreground_numbers_of_a_report_are_those_of_pysodmetrics(pairs: list[tuple[Mask, Mask]]) -> None:
    """Every one to 1e-6, although a record holds four counts in the place of curves of 256 values."""
    records = records_of(pairs)
    f, e = FmeasureV2({"f": FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=0.3)}), Emeasure()
    weighted = WeightedFmeasure()
    for pred, target in pairs:
        for one in (f, e, weighted):
            one.step(pred.astype(np.float64), target, normalize=False)
    f_scores, e_scores = f.get_results()["f"], e.get_results()["em"]
    expected = {
        "weighted_f": weighted.get_results()["wfm"],
        "mean_f": f_scores["dynamic"].mean(),
        "max_f": f_scores["dynamic"].max(),
        "adaptive_f": f_scores["adaptive"],
        "mean_e": e_scores["curve"].mean(),
        "max_e": e_scores["curve"].max(),
        "adaptive_e": e_scores["adp"],
    }
    for name, value in expected.items():
        found = metric(name, records)
        assert found is not None
        assert found.value == pytest.approx(float(value), abs=1e-6)
        assert found.count == len(pairs)


def test_a_report_and_thinkseg_metrics_agree_on_every_number(pairs: list[tuple[Mask, Mask]]) -> None:
    scores = sum((measure_saliency(*pair, effort=True) for pair in pairs), SaliencySums()).scores()
    found = measure(records_of(pairs), tuple(scores))
    assert {name: one.value for name, one in found.items()} == pytest.approx(scores, abs=1e-9)


def test_shards_in_any_order_add_up_to_the_last_digit(pairs: list[tuple[Mask, Mask]]) -> None:
    records = records_of(pairs)
    mixed = [*records[1::3], *records[2::3], *records[::3]]
    for name in TERMS:
        assert metric(name, mixed) == metric(name, records)


def test_a_measure_with_terms_is_the_same_with_and_without_them(create_record: Callable[..., PredictionRecord]) -> None:
    records = [
        create_record(index, index / 20, failure=Failure.TRUNCATED if index == 7 else None) for index in range(20)
    ]
    records += [replace(create_record(30, 0.0), target_empty=True), replace(records[0], objects=[], target_empty=True)]
    for name in MASK_MEASURES:
        direct, by_terms = MEASURES[name].of(records), metric(name, records)
        assert direct is not None
        assert by_terms is not None
        assert direct.value == pytest.approx(by_terms.value, abs=1e-12)
        assert direct.count == by_terms.count


def test_precision_is_the_share_of_ious_above_a_threshold(create_record: Callable[..., PredictionRecord]) -> None:
    records = [create_record(index, iou) for index, iou in enumerate((0.5, 0.51, 0.75, 0.91))]
    assert [metric(f"p{percent}", records).value for percent in (50, 60, 70, 80, 90)] == [0.75, 0.5, 0.5, 0.25, 0.25]  # type: ignore[union-attr]


def test_what_a_record_has_not_measured_is_told_with_a_way_out(create_record: Callable[..., PredictionRecord]) -> None:
    with pytest.raises(DataError, match=r"have no 'weighted_f' for sample 'square-1'.* another folder with --out"):
        metric("weighted_f", [create_record(1, 0.5)])
    assert metric("giou", []) is None


def test_ignored_pixels_count_in_no_foreground_measure() -> None:
    target, ignore, pred = (np.zeros((20, 20), dtype=bool) for _ in range(3))
    target[5:15, 5:15] = True
    ignore[:, 12:] = True
    pred[5:15, 5:12] = True
    pred[0:3, 15:] = True
    prediction = Prediction("a", Completion(""), Answer(Size(20, 20)), pred[None])
    record = score(Sample("a", "none.png", "it", target, ignore), prediction, foreground)
    assert record.iou == 1
    assert record.details["weighted_f"] == pytest.approx(1)
    assert record.details["target"] == 70
