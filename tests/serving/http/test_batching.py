"""Requests that are worked on together, without a server."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait

import pytest

from thinkseg.serving.http.batching import Batcher, BatchJob, StalledError
from thinkseg.serving.http.limits import Batching


class Work:
    """Doubles numbers; a text raises, None hangs until `go_on`, and each call waits for `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[object]] = []
        self.gate = threading.Event()
        self.go_on = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self, jobs: Sequence[BatchJob[object, int]], live: Callable[[], None]) -> list[int]:
        self.batches.append([job.what for job in jobs])
        self.begun.release()
        self.gate.wait(10)
        if any(isinstance(job.what, str) for job in jobs):
            raise ValueError(f"cannot double {[job.what for job in jobs]}")
        if any(job.what is None for job in jobs):
            self.go_on.wait(10)
        return [job.what * 2 for job in jobs]  # type: ignore[operator]


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.gate.set()
    work.go_on.set()


def test_what_comes_while_a_batch_is_worked_on_makes_up_the_next_one(work: Work) -> None:
    batcher: Batcher[object, int] = Batcher("test", work, Batching(most=3, wait=0))
    first = batcher.submit(1)
    assert work.begun.acquire(timeout=10)
    others = [batcher.submit(number) for number in (2, 3, 4, 5)]
    assert batcher.waiting == 4
    work.gate.set()
    assert [future.result(10) for future in (first, *others)] == [2, 4, 6, 8, 10]
    assert work.batches == [[1], [2, 3, 4], [5]]
    batcher.close()


def test_a_lone_request_is_never_kept_waiting_for_others(work: Work) -> None:
    work.gate.set()
    batcher: Batcher[object, int] = Batcher("test", work, Batching(most=8, wait=30))
    began = time.monotonic()
    assert [batcher.submit(number).result(10) for number in (1, 2, 3)] == [2, 4, 6]
    assert time.monotonic() - began < 10
    batcher.close()


def test_after_a_batch_of_several_the_next_one_waits_for_as_many(work: Work) -> None:
    batcher: Batcher[object, int] = Batcher("test", work, Batching(most=8, wait=5))
    first = batcher.submit(0)
    assert work.begun.acquire(timeout=10)
    together = [batcher.submit(number) for number in (1, 2)]
    work.gate.set()
    wait([first, *together], 10)
    again = batcher.submit(3)
    time.sleep(0.05)
    wait([again, batcher.submit(4)], 10)
    assert work.batches == [[0], [1, 2], [3, 4]]
    batcher.close()


def test_one_that_raises_ends_up_alone_and_the_others_get_their_answers(work: Work) -> None:
    batcher: Batcher[object, int] = Batcher("test", work, Batching(most=4, wait=0))
    first = batcher.submit(0)
    assert work.begun.acquire(timeout=10)
    others = [batcher.submit(what) for what in (1, 2, "bad", 4)]
    work.gate.set()
    assert first.result(10) == 0
    with pytest.raises(ValueError, match=r"cannot double \['bad'\]"):
        others[2].result(10)
    assert [others[place].result(10) for place in (0, 1, 3)] == [2, 4, 8]
    assert work.batches == [[0], [1, 2, "bad", 4], [1, 2], ["bad", 4], ["bad"], [4]]
    batcher.close()


def test_one_that_hangs_is_given_up_and_the_others_get_their_answers(work: Work) -> None:
    batcher: Batcher[object, int] = Batcher("test", work, Batching(most=4, wait=0, stall=0.1))
    work.gate.set()
    work.gate.clear()
    first = batcher.submit(0)
    assert work.begun.acquire(timeout=10)
    others = [batcher.submit(what) for what in (1, None, 3)]
    work.gate.set()
    assert first.result(10) == 0
    with pytest.raises(StalledError, match="without an end"):
        others[1].result(10)
    assert [others[place].result(10) for place in (0, 2)] == [2, 6]
    assert batcher.given_up >= 2
    work.go_on.set()  # the threads that were given up find that it is another one's turn
    assert batcher.submit(7).result(10) == 14
    batcher.close()


def test_work_that_gives_signs_of_life_is_not_given_up() -> None:
    def slow(jobs: Sequence[BatchJob[object, int]], live: Callable[[], None]) -> list[int]:
        for _ in range(10):
            time.sleep(0.05)
            live()
        return [1] * len(jobs)

    batcher: Batcher[object, int] = Batcher("test", slow, Batching(stall=0.2))
    assert batcher.submit(1).result(10) == 1
    assert batcher.given_up == 0
    batcher.close()


def test_one_who_has_left_before_the_work_began_is_not_worked_on(work: Work) -> None:
    batcher: Batcher[object, int] = Batcher("test", work, Batching(most=1, wait=0))
    first, second, third = (batcher.submit(number) for number in (1, 2, 3))
    assert work.begun.acquire(timeout=10)
    assert second.cancel()
    work.gate.set()
    assert (first.result(10), third.result(10)) == (2, 6)
    assert work.batches == [[1], [3]]
    batcher.close()


def test_one_who_leaves_during_the_work_is_known_to_it_and_harms_nobody() -> None:
    left: list[bool] = []
    begun, gone = threading.Event(), threading.Event()

    def work(jobs: Sequence[BatchJob[object, int]], live: Callable[[], None]) -> list[int]:
        begun.set()
        gone.wait(10)
        left.extend(job.has_left() for job in jobs)
        return [0] * len(jobs)

    batcher: Batcher[object, int] = Batcher("test", work)
    future = batcher.submit(1)
    assert begun.wait(10)
    assert future.cancel()
    gone.set()
    assert batcher.submit(2).result(10) == 0
    assert left == [True, False]
    batcher.close()


def test_what_waits_when_it_is_closed_fails(work: Work) -> None:
    batcher: Batcher[object, int] = Batcher("test", work, Batching(most=1))
    batcher.submit(1)
    assert work.begun.acquire(timeout=10)
    second = batcher.submit(2)
    batcher.close()
    with pytest.raises(StalledError, match="stopped"):
        second.result(10)
