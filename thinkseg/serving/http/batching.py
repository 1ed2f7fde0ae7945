"""Dynamic micro-batching: what is asked while a batch is worked on makes up the next one.

A thread works on batches, one after the other. Whoever asks may leave, and is left out or told to the work. One that
raises harms itself alone: its batch is halved until it is by itself. One that hangs does so, too: a batch without a
sign of life is given up with its thread, and another thread goes on with the halves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from thinkseg.serving.http.limits import Batching

T = TypeVar("T")
R = TypeVar("R")

MOST_GIVEN_UP = 8
"""Threads that hang; with more of them a process should be started anew."""

_log = logging.getLogger(__name__)


class StalledError(Exception):
    """Work on a request has stopped without an end."""


@dataclass(eq=False)
class BatchJob(Generic[T, R]):
    """One request."""

    what: T
    company: int
    """How many it may be worked on with, itself among them."""
    done: Future[R] = field(default_factory=Future)

    def has_left(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.done.cancelled()

    def succeed(self, result: R) -> None:
        """Hand over what came of it, where somebody waits."""
        if self.done.set_running_or_notify_cancel():
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Hand over what went wrong, where somebody waits."""
        if self.done.set_running_or_notify_cancel():
            self.done.set_exception(error)


Work = Callable[[Sequence[Any], Callable[[], None]], Sequence[Any]]
"""From what was asked to a result for each, in order; calls the second argument now and then as a sign of life."""


class Batcher(Generic[T, R]):
    """Works on requests in batches.

    Args:
        name: of the threads.
        work: on a batch of jobs.
        batching: how they are put together.
        seen: told of each batch that was worked on: how many jobs, how many seconds.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[BatchJob[T, R]], Callable[[], None]], Sequence[R]],
        batching: Batching | None = None,
        seen: Callable[[int, float], None] = lambda jobs, seconds: None,
    ) -> None:
        self.name = name
        self.batching = batching or Batching()
        self.given_up = 0
        self._work = work
        self._seen = seen
        self._pending: deque[BatchJob[T, R]] = deque()
        self._running: list[BatchJob[T, R]] = []
        self._changed = threading.Condition()
        self._turn = 0
        self._beat = 0.0
        self._last = 1
        self._closed = threading.Event()
        self._start()
        threading.Thread(target=self._watch, name=f"{name}, watched", daemon=True).start()

    def submit(self, what: T) -> Future[R]:
        """Ask for something; who cancels the future leaves."""
        job: BatchJob[T, R] = BatchJob(what, self.batching.most)
        with self._changed:
            stopped = self._closed.is_set()
            if not stopped:
                self._pending.append(job)
                self._changed.notify_all()
        if stopped:
            job.fail(StalledError("the service has stopped"))
        return job.done

    @property
    def waiting(self) -> int:
        """How many jobs nobody works on yet."""
        return len(self._pending)

    def close(self) -> None:
        """Work on nothing more; what waits fails."""
        self._closed.set()
        with self._changed:
            self._turn += 1
            left, self._pending = list(self._pending), deque()
            self._changed.notify_all()
        for job in left:
            job.fail(StalledError("the service has stopped"))

    def _start(self) -> None:
        threading.Thread(target=self._run, args=(self._turn,), name=self.name, daemon=True).start()

    def _run(self, turn: int) -> None:
        """What a thread does until it is another one's turn."""
        while batch := self._take(turn):
            began = time.monotonic()
            results: Sequence[R] = ()
            failure: Exception | None = None
            try:
                results = self._work(batch, lambda: self._live(turn))
                assert len(results) == len(batch), "one result a job"
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one request, the others go on
                failure = error
            with self._changed:
                if turn != self._turn:
                    return
                self._running = []
                if failure is not None and len(batch) > 1:
                    self._halve(batch)
                    continue
            self._seen(len(batch), time.monotonic() - began)
            if failure is not None:
                batch[0].fail(failure)
            for job, result in zip(batch, results):  # noqa: B905 - there are none where it failed
                job.succeed(result)

    def _take(self, turn: int) -> list[BatchJob[T, R]]:
        """The next batch; empty when it is another thread's turn."""
        with self._changed:
            while turn == self._turn and not self._waits():
                self._changed.wait()
            expected = min(self._last, self.batching.most)
            until = time.monotonic() + self.batching.wait
            while turn == self._turn and len(self._pending) < expected and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            if turn != self._turn:
                return []
            batch: list[BatchJob[T, R]] = []
            while self._waits() and len(batch) < min(job.company for job in (*batch, self._pending[0])):
                batch.append(self._pending.popleft())
            self._running, self._beat = batch, time.monotonic()
            self._last = len(batch) or 1
        return batch or self._take(turn)

    def _waits(self) -> bool:
        """Whether there is a job that somebody waits for; it is the first one then."""
        while self._pending and self._pending[0].has_left():
            self._pending.popleft()
        return bool(self._pending)

    def _halve(self, batch: Sequence[BatchJob[T, R]]) -> None:
        """Let a batch that failed be tried again in two parts, before all else."""
        for job in batch:
            job.company = (len(batch) + 1) // 2
        self._pending.extendleft(reversed(batch))

    def _live(self, turn: int) -> None:
        if turn == self._turn:
            self._beat = time.monotonic()

    def _watch(self) -> None:
        while not self._closed.wait(self.batching.stall / 4):
            with self._changed:
                batch = self._running
                if not batch or time.monotonic() - self._beat <= self.batching.stall:
                    continue
                self._turn += 1
                self.given_up += 1
                self._running = []
                if len(batch) > 1:
                    self._halve(batch)
                self._start()
                self._changed.notify_all()
            _log.error(
                "%s: a batch of %d gave no sign of life for %g s and was given up",
                self.name,
                len(batch),
                self.batching.stall,
            )
            if len(batch) == 1:
                batch[0].fail(StalledError("the work on it has stopped without an end"))
