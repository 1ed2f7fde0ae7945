"""The laws of the registry hold for every measure in it, and independent oracles give the same numbers."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from py_sod_metrics import MAE, Emeasure, FmeasureHandler, FmeasureV2, WeightedFmeasure

from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.measures.base import OverAll, RatioOfSums, ratio
from thinkseg.evaluation.measures.groups import MASK_MEASURES, SALIENCY_MEASURES
from thinkseg.evaluation.measures.pairs import score_pair
from thinkseg.evaluation.measures.registry import (
    MEASURES,
    extra_metrics,
    get_measure,
    measure,
    measure_by_task,
)
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.metrics.boundary import boundary_accuracy, boundary_iou, correction_effort
from thinkseg.types import Failure, Mask

Pairs = list[tuple[Mask, Mask]]

FROM_MASKS = tuple(name for name, one in MEASURES.items() if one.from_masks)
EXTRA = extra_metrics(MEASURES)
QUICK = {name: of for name, of in EXTRA.items() if name != "hce"}


@st.composite
def drawn_pairs(draw: st.DrawFn, most: int = 8) -> Pairs:
    """Pairs of masks of all kinds, empty and full ones among them."""
    pairs = []
    for _ in range(draw(st.integers(1, most))):
        shape = draw(st.tuples(st.integers(2, 12), st.integers(2, 12)))
        masks = [
            draw(st.one_of(arrays(np.bool_, shape), st.just(np.zeros(shape, bool)), st.just(np.ones(shape, bool))))
            for _ in range(2)
        ]
        pairs.append((masks[0], draw(st.sampled_from(masks))))
    return pairs


TOLD = st.fixed_dictionaries(
    {
        "task": st.sampled_from(["", "salient", "counting"]),
        "failure": st.sampled_from([None, None, None, *Failure]),
        "boxes": st.lists(st.sampled_from([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 2.0, 1.0]]), max_size=3),
        "true_count": st.none() | st.integers(0, 3),
        "true_boxes": st.none() | st.just([{"box": [0.0, 0.0, 2.0, 2.0], "area": 4.0, "crowd": False}]),
        "hce": st.integers(0, 40),
    }
)
"""What is told of a sample besides its masks."""
DRAWN = drawn_pairs().flatmap(lambda pairs: st.tuples(st.just(pairs), st.lists(TOLD, min_size=8, max_size=8)))


def records_from(drawn: tuple[Pairs, list[dict[str, Any]]]) -> list[PredictionRecord]:
    """Records of drawn masks, with answers, failures, true counts and tasks of all kinds."""
    records = []
    for index, ((pred, target), told) in enumerate(zip(*drawn, strict=False)):
        record = score_pair(str(index), pred, target, extra=QUICK)
        height, width = target.shape
        records.append(
            replace(
                record,
                task=told["task"],
                frame=None if told["failure"] else (width, height),
                failure=told["failure"],
                objects=[] if told["failure"] else [{"box": box, "points": []} for box in told["boxes"]],
                true_count=told["true_count"],
                true_boxes=told["true_boxes"],
                extra=record.extra | {"hce": float(told["hce"])},
            )
        )
    return records


def records_of(pairs: Pairs) -> list[PredictionRecord]:
    return [score_pair(str(index), *pair, extra=EXTRA) for index, pair in enumerate(pairs)]


@pytest.fixture
def pairs() -> Pairs:
    rng = np.random.default_rng(8)
    pairs = []
    for index in range(14):
        target = np.zeros((40 + index, 50), dtype=bool)
        target[8:30, 5 : 20 + index] = True
        pred = np.roll(target, rng.integers(-5, 6, 2), (0, 1)) ^ (rng.random(target.shape) < 0.02)
        pairs.append((np.zeros_like(pred) if index == 3 else np.ones_like(pred) if index == 4 else pred, target))
    return pairs


@given(DRAWN, st.permutations(range(8)))
@settings(max_examples=60, deadline=None)
def test_shards_in_any_order_add_up_to_the_same_number(drawn: Any, order: list[int]) -> None:
    """To the last digit: sums are exact, and the ratio comes last."""
    records = records_from(drawn)
    mixed = [records[index] for index in order if index < len(records)]
    names = [name for name, one in MEASURES.items() if isinstance(one.how, RatioOfSums)]
    assert measure(mixed, names) == measure(records, names)
    for name in names:
        how = MEASURES[name].how
        assert isinstance(how, RatioOfSums)
        halves = [how.rows(half) for half in (records[::2], records[1::2]) if half]
        sums = np.array([math.fsum(column) for column in np.concatenate(halves).T])
        whole = how.metric(records)
        assert whole is None if np.isnan(ratio(sums)) else whole is not None and whole.value == float(ratio(sums))


@given(DRAWN)
@settings(max_examples=60, deadline=None)
def test_every_measure_rests_on_so_many_records_and_a_share_is_between_0_and_1(drawn: Any) -> None:
    records = records_from(drawn)
    for name, found in measure(records, list(MEASURES)).items():
        assert 1 <= found.count <= len(records)
        assert math.isfinite(found.value)
        if MEASURES[name].unit == "share":
            assert 0 <= found.value <= 1


@given(drawn_pairs())
@settings(max_examples=100, deadline=None)
def test_what_counts_pixels_is_what_numpy_counts(pairs: Pairs) -> None:
    found = measure(records_of(pairs), ("giou", "ciou", "mae", "n_acc", "t_acc", "p50", "p90"))
    shared = [int((pred & target).sum()) for pred, target in pairs]
    union = [int((pred | target).sum()) for pred, target in pairs]
    ious = [one / all_ if all_ else 1.0 for one, all_ in zip(shared, union, strict=True)]
    expected = {
        "giou": np.mean(ious),
        "mae": np.mean([(pred != target).mean() for pred, target in pairs]),
        "p50": np.mean([iou > 0.5 for iou in ious]),
        "p90": np.mean([iou > 0.9 for iou in ious]),
    }
    if sum(union):
        expected["ciou"] = sum(shared) / sum(union)
    empty = [not pred.any() for pred, target in pairs if not target.any()]
    filled = [bool(pred.any()) for pred, target in pairs if target.any()]
    expected |= {"n_acc": np.mean(empty)} if empty else {}
    expected |= {"t_acc": np.mean(filled)} if filled else {}
    assert {name: one.value for name, one in found.items()} == pytest.approx(expected, abs=1e-12)


def test_ciou_counts_where_there_is_a_pixel_and_is_none_where_there_is_none() -> None:
    """Two empty masks add nothing; false alarms on empty targets are a union with nothing in common."""
    nothing, mask = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    assert "ciou" not in measure(records_of([(nothing, nothing)]), ("ciou",))
    alarm = measure(records_of([(mask, nothing), (nothing, nothing)]), ("ciou",))["ciou"]
    assert (alarm.value, alarm.count) == (0, 1)
    both = measure(records_of([(mask, mask), (nothing, nothing)]), ("ciou", "giou"))
    assert (both["ciou"].value, both["ciou"].count, both["giou"].count) == (1, 1, 2)


def test_the_foreground_numbers_of_a_report_are_those_of_pysodmetrics(pairs: Pairs) -> None:
    """Every one to 1e-6, although a record holds four counts in the place of curves of 256 values."""
    f, e = FmeasureV2({"f": FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=0.3)}), Emeasure()
    weighted, mae = WeightedFmeasure(), MAE()
    for pred, target in pairs:
        for one in (f, e, weighted, mae):
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
        "mae": mae.get_results()["mae"],
        "mba": np.mean([boundary_accuracy(*pair) for pair in pairs]),
        "biou": np.mean([boundary_iou(*pair) for pair in pairs]),
        "hce": np.mean([correction_effort(*pair) for pair in pairs]),
    }
    found = measure(records_of(pairs), tuple(expected))
    assert {name: one.value for name, one in found.items()} == pytest.approx(expected, abs=1e-6)
    assert {one.count for one in found.values()} == {len(pairs)}


def test_masks_and_grey_maps_may_be_measured_together(pairs: Pairs) -> None:
    """A mask is a map of two values: one among maps has the curve that it has alone."""
    records = records_of(pairs)
    grey = [score_pair(str(index), pred + 0.0, target, extra=EXTRA) for index, (pred, target) in enumerate(pairs)]
    names = (*SALIENCY_MEASURES, "giou", "ciou")
    expected = {name: one.value for name, one in measure(records, names).items()}
    for mixed in (grey, [*records[:5], *grey[5:]]):
        assert {name: one.value for name, one in measure(mixed, names).items()} == pytest.approx(expected, abs=1e-6)


def test_the_maximum_is_that_of_the_mean_curve(pairs: Pairs) -> None:
    rng = np.random.default_rng(4)
    soft = [(0.5 * target + 0.5 * rng.random(target.shape), target) for _, target in pairs[:4]]
    records = [score_pair(str(index), *pair, extra=EXTRA) for index, pair in enumerate(soft)]
    each = [measure([record], ("max_f", "max_e")) for record in records]
    whole = measure(records, ("max_f", "max_e"))
    for name, one in whole.items():
        assert one.value <= np.mean([alone[name].value for alone in each]) + 1e-12


def test_abstentions_are_asked_of_those_that_they_can_be_right_about(
    create_record: Callable[..., PredictionRecord],
) -> None:
    kinds = list(itertools.product((True, False), (True, False), (None, Failure.TRUNCATED)))
    records = []
    for index, (empty, silent, failure) in enumerate(kinds):
        record = replace(create_record(index, 0.5, failure=failure), target_empty=empty)
        records.append(replace(record, objects=[]) if silent else record)
    found = measure(records, ("correct_abstentions", "false_abstentions", "parse_failures"))
    assert {name: (one.value, one.count) for name, one in found.items()} == {
        "correct_abstentions": (0.25, 4),  # a failure has no objects, and is no abstention
        "false_abstentions": (0.25, 4),
        "parse_failures": (0.5, 8),
    }
    assert set(measure(records[:4], MASK_MEASURES)) == set(MASK_MEASURES) - {"false_abstentions"}


def test_precision_is_the_share_of_ious_above_a_threshold(create_record: Callable[..., PredictionRecord]) -> None:
    records = [create_record(index, iou) for index, iou in enumerate((0.5, 0.51, 0.75, 0.91))]
    found = measure(records, [f"p{percent}" for percent in (50, 60, 70, 80, 90)])
    assert [one.value for one in found.values()] == [0.75, 0.5, 0.5, 0.25, 0.25]


def test_what_a_record_has_not_measured_is_told_with_a_way_out(create_record: Callable[..., PredictionRecord]) -> None:
    with pytest.raises(DataError, match=r"have no 'weighted_f' for sample 'square-1'.* another folder with --out"):
        measure([create_record(1, 0.5)], ("weighted_f",))
    assert measure([], ("giou",)) == {}


def test_ignored_pixels_count_in_no_foreground_measure() -> None:
    target, ignore, pred = (np.zeros((20, 20), dtype=bool) for _ in range(3))
    target[5:15, 5:15] = True
    ignore[:, 12:] = True
    pred[5:15, 5:12] = True
    pred[0:3, 15:] = True
    record = score_pair("a", pred, target, ignore=ignore, extra=EXTRA)
    assert (record.iou, record.mae) == (1, 0)
    assert record.extra["weighted_f"] == pytest.approx(1)
    assert record.extra["target"] == 70
    grey = score_pair("a", pred + 0.0, target, ignore=ignore, extra=EXTRA)
    assert (grey.iou, grey.mae, grey.s_measure) == (1, 0, pytest.approx(1))


def test_the_tasks_are_measured_one_by_one(create_record: Callable[..., PredictionRecord]) -> None:
    records = [
        create_record(0, 0.2, "b"),
        create_record(1, 0.4, "a"),
        create_record(2, 0.6, "b"),
        create_record(3, 1, ""),
    ]
    found = measure_by_task(records, ("giou",))
    assert list(found) == ["b", "a"]
    assert found["b"]["giou"].value == pytest.approx(0.4)


def test_the_registry_says_of_every_measure_how_it_is_made() -> None:
    assert {name for name, one in MEASURES.items() if isinstance(one.how, OverAll)} == {
        *("ap", "ap50", "ap75", "ap_by_area", "ap50_by_area", "ap75_by_area"),
    }
    for one in MEASURES.values():
        assert one.label
        assert one.meaning.endswith(".")
        assert not isinstance(one.how, OverAll) or "pycocotools" in one.how.by
    with pytest.raises(InputError, match=r"no measure 'giuo': did you mean 'giou'\?"):
        get_measure("giuo")


def test_lower_is_better_of_errors_and_efforts_alone() -> None:
    lower = {name for name, one in MEASURES.items() if one.better == "lower"}
    assert lower == {"mae", "hce", "parse_failures", "false_abstentions", "count_error"}
    assert MEASURES["mae"].is_better(-0.1)
    assert not MEASURES["giou"].is_better(-0.1)
