from collections.abc import Callable

import numpy as np
import pytest

from thinkseg.errors import DataError
from thinkseg.evaluation.comparison.paired import CHUNK_VALUES, Gain, compare, paired_bootstrap
from thinkseg.evaluation.records import PredictionRecord


def noisy_pairs(gain: float, count: int = 400, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Values of samples that differ much in difficulty, and a change that is small beside it."""
    rng = np.random.default_rng(seed)
    before = rng.uniform(0, 1, count)
    return before, before + gain + rng.normal(0, 0.1, count)


def test_a_planted_gain_is_found_although_samples_differ_more_than_it() -> None:
    gain = paired_bootstrap(*noisy_pairs(0.03))
    assert gain.is_real
    assert gain.low < 0.03 < gain.high
    assert gain.n == 400


def test_where_nothing_changed_on_average_the_interval_holds_zero() -> None:
    gain = paired_bootstrap(*noisy_pairs(0.0))
    assert gain.low < 0 < gain.high
    assert not gain.is_real
    assert "No change" in gain.in_words()


def test_a_loss_is_called_a_loss() -> None:
    gain = paired_bootstrap(*noisy_pairs(-0.05))
    assert gain.high < 0
    assert gain.in_words().startswith("Mean IoU fell by 0.0")


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for trial in range(200):
        gain = paired_bootstrap(*noisy_pairs(0.02, count=60, seed=trial), resamples=500)
        hits += gain.low <= 0.02 <= gain.high
    assert 0.90 <= hits / 200 <= 0.99


def test_the_interval_is_that_of_the_normal_distribution_for_many_samples() -> None:
    before, after = noisy_pairs(0.02, count=2000)
    error = (after - before).std() / np.sqrt(2000)
    gain = paired_bootstrap(before, after)
    assert gain.mean == pytest.approx((after - before).mean())
    assert gain.high - gain.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_the_same_seed_gives_the_same_interval_and_equal_runs_give_zero() -> None:
    pairs = noisy_pairs(0.01)
    assert paired_bootstrap(*pairs, seed=5) == paired_bootstrap(*pairs, seed=5)
    assert paired_bootstrap(pairs[0], pairs[0]) == Gain(0, 0, 0, 400)


def test_more_samples_than_fit_into_one_chunk_are_drawn_in_several() -> None:
    before, after = noisy_pairs(0.03, count=CHUNK_VALUES // 8)
    gain = paired_bootstrap(before, after, resamples=20)
    assert gain.low < gain.mean < gain.high


def test_runs_of_different_samples_are_not_compared(create_record: Callable[..., PredictionRecord]) -> None:
    with pytest.raises(DataError, match="same samples"):
        paired_bootstrap(np.zeros(3), np.zeros(4))
    with pytest.raises(DataError, match="at least one"):
        paired_bootstrap(np.zeros(0), np.zeros(0))
    with pytest.raises(DataError, match="same order"):
        compare([create_record(1, 0.5)], [create_record(2, 0.5)])


def test_every_task_has_its_own_gain(create_record: Callable[..., PredictionRecord]) -> None:
    tasks = ("salient", "referring")
    before = [create_record(index, 0.4, tasks[index % 2]) for index in range(40)]
    after = [create_record(index, 0.6 if index % 2 else 0.4, tasks[index % 2]) for index in range(40)]
    gains = compare(before, after)
    assert list(gains) == ["all", "salient", "referring"]
    assert gains["salient"] == Gain(0, 0, 0, 20)
    assert gains["referring"].mean == pytest.approx(0.2)
    assert gains["all"].n == 40
