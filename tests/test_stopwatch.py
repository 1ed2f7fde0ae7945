"""Parts of work add up for whoever listens, and for nobody else."""

import threading
from itertools import count as numbers

import pytest

from thinkseg.stopwatch import Stopwatch, count, timed, unheard


def ticking() -> Stopwatch:
    """One whose clock goes on by a second each time that it is read."""
    return Stopwatch(clock=numbers().__next__)


def test_a_part_has_the_seconds_of_all_its_turns_and_of_the_parts_within_it() -> None:
    watch = ticking()
    with watch.running():  # 0
        for _ in range(2):
            with timed("outer"), timed("inner"):  # 1 2, 3 4; 5 6, 7 8
                pass
        with timed("inner"):  # 9, 10
            pass
    assert watch.seconds == {("outer", "inner"): 2, ("outer",): 6, ("inner",): 1}
    assert watch.total == 11


def test_a_part_that_fails_has_its_time_and_leaves_the_next_one_its_own() -> None:
    watch = ticking()
    with watch.running():
        with pytest.raises(ValueError, match="lost"), timed("fails"):
            raise ValueError("lost")
        with timed("next"):
            pass
    assert set(watch.seconds) == {("fails",), ("next",)}


def test_all_who_listen_hear_the_same() -> None:
    outer, inner = ticking(), ticking()
    with outer.running():
        count("samples", 2)
        with inner.running(), timed("part"):
            count("samples", 3)
    assert outer.counts == {"samples": 5}
    assert inner.counts == {"samples": 3}
    assert outer.seconds.keys() == inner.seconds.keys() == {("part",)}


def test_what_nobody_listens_to_and_what_other_threads_do_is_not_added_up() -> None:
    watch = ticking()
    with timed("before"):
        count("samples", 1)
    with watch.running():
        with timed("validation"), unheard(), timed("model"):
            count("samples", 1)
        thread = threading.Thread(target=count, args=("samples", 1))
        thread.start()
        thread.join()
    assert watch.counts == {}
    assert watch.seconds == {("validation",): 1}


def test_a_device_is_waited_for_before_a_parts_clock_is_read() -> None:
    told: list[str] = []

    def clock() -> float:
        told.append("clock")
        return 0.0

    watch = Stopwatch(clock, settle=lambda: told.append("settle"))
    with watch.part("x"):
        told.append("work")
    assert told == ["settle", "clock", "work", "settle", "clock"]


def test_a_summary_says_rates_with_two_digits_and_one_of_a_thing_in_the_singular() -> None:
    watch = Stopwatch(clock=iter([0.0, 200.0]).__next__)
    with watch.running():
        count("steps", 1)
        count("samples", 420)
        count("tokens", 50_000)
        count("images", 0)
    assert watch.summary() == "took 3:20: 1 step (0.005/s), 420 samples (2.1/s), 50,000 tokens (250/s)"
