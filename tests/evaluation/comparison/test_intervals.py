import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkseg.errors import DataError
from thinkseg.evaluation.comparison.intervals import ENOUGH, Gain, compare, differences, interval_of
from thinkseg.evaluation.measures.registry import measure
from thinkseg.evaluation.records import PredictionRecord

CreateRecords = Callable[[Sequence[float]], list[PredictionRecord]]


@pytest.fixture(scope="session")
def blank(request: pytest.FixtureRequest) -> PredictionRecord:
    from thinkseg.evaluation.measures.pairs import score_pair

    return score_pair("blank", np.ones((2, 2), bool), np.ones((2, 2), bool))


@pytest.fixture(scope="session")
def create_records(blank: PredictionRecord) -> CreateRecords:
    """Records of these IoUs; the union of each is another."""

    def create(ious: Sequence[float]) -> list[PredictionRecord]:
        return [
            replace(blank, id=str(index), iou=float(iou), intersection=round(iou * 1000), union=1000 + 10 * index)
            for index, iou in enumerate(ious)
        ]

    return create


def noisy_pairs(gain: float, count: int = 400, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Values of samples that differ much in difficulty, and a change that is small beside it."""
    rng = np.random.default_rng(seed)
    before = rng.uniform(0, 1, count)
    return before, before + gain + rng.normal(0, 0.1, count)


@pytest.fixture
def gain_of(create_records: CreateRecords) -> Callable[..., Gain]:
    def gain(before: Sequence[float], after: Sequence[float], name: str = "giou", **more: int) -> Gain:
        return differences([name], create_records(before), create_records(after), **more)[name]

    return gain


def test_a_planted_gain_is_found_although_samples_differ_more_than_it(gain_of: Callable[..., Gain]) -> None:
    gain = gain_of(*noisy_pairs(0.03))
    assert gain.verdict == "risen"
    assert gain.low < 0.03 < gain.high  # type: ignore[operator]
    assert gain.n == 400
    assert gain.in_words().startswith("Mean IoU rose by 0.0")


def test_where_nothing_changed_on_average_the_interval_holds_zero(gain_of: Callable[..., Gain]) -> None:
    gain = gain_of(*noisy_pairs(0.0))
    assert gain.low < 0 < gain.high  # type: ignore[operator]
    assert gain.verdict == "undecided"
    assert "No change" in gain.in_words()


def test_a_loss_is_called_a_loss(gain_of: Callable[..., Gain]) -> None:
    gain = gain_of(*noisy_pairs(-0.05))
    assert gain.verdict == "fallen"
    assert gain.in_words().startswith("Mean IoU fell by 0.0")


def test_the_interval_holds_the_truth_about_as_often_as_it_says(gain_of: Callable[..., Gain]) -> None:
    hits = 0
    for trial in range(200):
        gain = gain_of(*noisy_pairs(0.02, count=60, seed=trial), resamples=500)
        hits += gain.low <= 0.02 <= gain.high  # type: ignore[operator]
    assert 0.90 <= hits / 200 <= 0.99


def test_the_interval_is_that_of_the_normal_distribution_for_many_samples(gain_of: Callable[..., Gain]) -> None:
    before, after = noisy_pairs(0.02, count=2000)
    error = (after - before).std() / np.sqrt(2000)
    gain = gain_of(before, after)
    assert gain.mean == pytest.approx((after - before).mean())
    assert (gain.low, gain.high) == pytest.approx((gain.mean - 1.96 * error, gain.mean + 1.96 * error), abs=0.1 * error)


def test_the_interval_is_that_which_scipy_gives_for_the_paired_values(gain_of: Callable[..., Gain]) -> None:
    """The same draws, asked for in the plain way: a mean of differences, and a ratio of sums."""
    from scipy.stats import bootstrap

    before, after = noisy_pairs(0.02, count=80)
    gain = gain_of(before, after, resamples=2000, seed=4)
    found = bootstrap(
        (after - before,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(4)
    ).confidence_interval
    assert (gain.low, gain.high) == pytest.approx((found.low, found.high), abs=1e-9)
    shared = [np.array([round(iou * 1000) for iou in ious], dtype=float) for ious in (before, after)]
    union = np.array([1000.0 + 10 * index for index in range(80)])

    def difference(old: np.ndarray, new: np.ndarray, both: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray((new.sum(axis=axis) - old.sum(axis=axis)) / both.sum(axis=axis))

    found = bootstrap(
        (*shared, union), difference, n_resamples=2000, method="BCa", paired=True, rng=np.random.default_rng(4)
    ).confidence_interval
    gain = gain_of(before, after, "ciou", resamples=2000, seed=4)
    assert (gain.low, gain.high) == pytest.approx((found.low, found.high), abs=1e-9)


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly_so(gain_of: Callable[..., Gain]) -> None:
    pairs = noisy_pairs(0.01)
    assert gain_of(*pairs, seed=5) == gain_of(*pairs, seed=5)
    other = gain_of(*pairs, seed=6)
    assert other != gain_of(*pairs, seed=5)
    assert other.low == pytest.approx(gain_of(*pairs, seed=5).low, abs=0.001)


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_where_all_differences_are_the_same_the_interval_is_that_difference(
    gain_of: Callable[..., Gain], gain: float
) -> None:
    before = np.linspace(0, 0.8, 40)
    found = gain_of(before, before + gain)
    assert (found.mean, found.low, found.high) == pytest.approx((gain, gain, gain))
    assert found.low == found.mean == found.high
    assert found.verdict == ("risen" if gain else "undecided")


def test_one_sample_has_a_difference_and_no_interval(gain_of: Callable[..., Gain]) -> None:
    gain = gain_of([0.25], [0.75])
    assert gain == Gain(0.5, None, None, 1)
    assert gain.verdict == "too few"
    assert gain.in_words() == "Mean IoU differs by +0.500: 1 samples are too few to tell."


@pytest.mark.parametrize(("count", "verdict"), [(2, "too few"), (ENOUGH - 1, "too few"), (ENOUGH, "risen")])
def test_with_fewer_than_thirty_samples_nothing_is_called_better(
    gain_of: Callable[..., Gain], count: int, verdict: str
) -> None:
    before, after = noisy_pairs(0.5, count=count)
    gain = gain_of(before, after)
    assert gain.verdict == verdict
    assert gain.low is not None
    assert ("too few to tell" in gain.in_words()) == (verdict == "too few")


def test_a_measure_that_only_some_draws_can_speak_to_has_the_interval_of_these(create_records: CreateRecords) -> None:
    """Two of four samples have no target: a draw of four has none with a target in 1 of 16 cases."""
    before, after = (
        [
            replace(one, target_empty=index < 2, predicted_empty=empty)
            for index, one in enumerate(create_records([0.5] * 4))
        ]
        for empty in (True, False)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gains = differences(["t_acc", "n_acc", "false_abstentions", "ap"], before, after)
    assert gains["t_acc"] == Gain(1, 1, 1, 2)
    assert gains["n_acc"] == Gain(-1, -1, -1, 2)
    assert "ap" not in gains  # no ratio of sums, and no boxes


def test_a_measure_that_one_run_has_nothing_to_say_about_is_left_out(create_records: CreateRecords) -> None:
    before = create_records([0.5] * 3)
    after = [replace(one, intersection=0, union=0) for one in before]
    assert list(differences(["giou", "ciou"], before, after)) == ["giou"]


def test_samples_that_a_protocol_leaves_out_count_for_nothing(create_records: CreateRecords) -> None:
    before, after = (
        [replace(one, counted=index % 2 == 0) for index, one in enumerate(create_records(ious))]
        for ious in noisy_pairs(0.1, 80)
    )
    gain = differences(["giou"], before, after)["giou"]
    assert gain.mean == pytest.approx(np.mean([b.iou - a.iou for a, b in zip(before[::2], after[::2], strict=True)]))
    assert gain.n == 40


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9), st.booleans()), min_size=1, max_size=12)
)
@settings(max_examples=50, deadline=None)
def test_a_difference_is_that_of_the_two_numbers_and_lies_in_its_interval_of_finite_ends(
    blank: PredictionRecord, rows: list[tuple[int, int, int, bool]]
) -> None:
    names = ("giou", "ciou", "p50", "t_acc", "n_acc")
    runs = [
        [
            replace(
                blank,
                id=str(index),
                intersection=min(shared, union),
                union=union,
                iou=min(shared, union) / union,
                target_empty=empty,
                predicted_empty=shared == 0,
            )
            for index, (shared, union, empty) in enumerate(run)
        ]
        for run in ([(a, u, e) for a, u, _, e in rows], [(b, u, e) for _, u, b, e in rows])
    ]
    before, after = (measure(run, names) for run in runs)
    gains = differences(names, *runs, resamples=200)
    assert list(gains) == [name for name in names if name in before]
    for name, gain in gains.items():
        assert gain.mean == pytest.approx(after[name].value - before[name].value)
        assert (gain.low is None) == (gain.high is None) == (gain.n < 2)
        if gain.low is not None and gain.high is not None:
            assert np.isfinite([gain.low, gain.high]).all()
            assert gain.low <= gain.high


def test_more_samples_than_fit_into_one_chunk_are_drawn_in_several(gain_of: Callable[..., Gain]) -> None:
    pairs = noisy_pairs(0.03, count=900)
    gain = gain_of(*pairs, resamples=6000)
    assert gain.low < gain.mean < gain.high  # type: ignore[operator]


def test_runs_of_different_samples_are_not_compared(create_records: CreateRecords) -> None:
    with pytest.raises(DataError, match="same order"):
        compare(create_records([0.5, 0.5]), create_records([0.5]))
    with pytest.raises(DataError, match="same order"):
        differences(["giou"], [], [])
    with pytest.raises(DataError, match="same order"):
        compare(create_records([0.5]), [replace(create_records([0.5])[0], id="other")])


def test_every_task_has_its_own_gain(create_record: Callable[..., PredictionRecord]) -> None:
    tasks = ("salient", "referring")
    before = [create_record(index, 0.4, tasks[index % 2]) for index in range(80)]
    after = [create_record(index, 0.6 if index % 2 else 0.4, tasks[index % 2]) for index in range(80)]
    gains = compare(before, after)
    assert list(gains) == ["all", "salient", "referring"]
    assert gains["salient"] == Gain(0, 0, 0, 40)
    assert gains["referring"].mean == pytest.approx(0.2)
    assert gains["all"].n == 80


def test_the_interval_of_one_run_is_that_of_its_mean(create_records: CreateRecords) -> None:
    """Of 400 samples, half of which score 1, the mean has a standard error of .025; 95 % are 1.96 of these."""
    records = create_records([float(index % 2) for index in range(400)])
    low, high = interval_of(["giou"], records)["giou"]
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)
    assert interval_of(["giou"], records[:1]) == {}
