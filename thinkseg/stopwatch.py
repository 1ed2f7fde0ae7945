"""Where the time of long work goes, and how much of it is done: its parts say what they are, and who listens adds up.

>>> watch = Stopwatch(clock=iter([0.0, 1.0, 2.0, 5.0, 7.0, 9.0]).__next__)
>>> with watch.running(), timed("rubric"):
...     with timed("segmenter"):
...         count("samples", 4)
>>> {" / ".join(part): seconds for part, seconds in watch.seconds.items()}
{'rubric / segmenter': 3.0, 'rubric': 6.0}
>>> watch.summary()
'took 0:09: 4 samples (0.44/s)'

Where nobody listens, `timed` and `count` do nothing. What other threads do is not added up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

from thinkseg.meter import Clock, clock_time

_listening: ContextVar[tuple[Stopwatch, ...]] = ContextVar("listening", default=())


class Stopwatch:
    """Adds up the seconds of the parts of some work.

    Args:
        clock: tells the time in seconds.
        settle: called before the clock is read for a part: waits for a device that works on its own, if need be.

    Attributes:
        seconds: of each part, by its name behind those of the parts that it is within; parts within it included.
        counts: how much was done, by what is counted, in the plural.
        total: seconds that it has run.
    """

    def __init__(self, clock: Clock = time.perf_counter, settle: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._settle = settle
        self._within: tuple[str, ...] = ()
        self.seconds: dict[tuple[str, ...], float] = {}
        self.counts: dict[str, int] = {}
        self.total = 0.0

    @contextmanager
    def running(self) -> Iterator[Stopwatch]:
        """While this is open, it listens, beside others that do."""
        token = _listening.set((*_listening.get(), self))
        began = self._clock()
        try:
            yield self
        finally:
            self.total += self._clock() - began
            _listening.reset(token)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """While this is open, time is this part's."""
        outer, self._within = self._within, (*self._within, name)
        part = self._within
        self._settle()
        began = self._clock()
        try:
            yield
        finally:
            self._settle()
            self.seconds[part] = self.seconds.get(part, 0.0) + self._clock() - began
            self._within = outer

    def summary(self) -> str:
        """How long it took and how much was done, in a line."""
        done = [f"{number:,} {_name(name, number)} ({_rate(number / self.total)}/s)" for name, number in self._done()]
        return f"took {clock_time(self.total)}" + (f": {', '.join(done)}" if done else "")

    def _done(self) -> list[tuple[str, int]]:
        return [(name, number) for name, number in self.counts.items() if number and self.total > 0]


def _name(plural: str, number: int) -> str:
    return plural.removesuffix("s") if number == 1 else plural


def _rate(rate: float) -> str:
    """Two digits at least, and no more than are told."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


@contextmanager
def timed(name: str) -> Iterator[None]:
    """While this is open, time is this part's for whoever listens."""
    with ExitStack() as parts:
        for watch in _listening.get():
            parts.enter_context(watch.part(name))
        yield


@contextmanager
def unheard() -> Iterator[None]:
    """While this is open, nobody listens: what is done is no part of the work that is asked for, but serves it."""
    token = _listening.set(())
    try:
        yield
    finally:
        _listening.reset(token)


def count(name: str, number: int) -> None:
    """So much was done.

    Args:
        name: what is counted, in the plural.
        number: how many more.
    """
    for watch in _listening.get():
        watch.counts[name] = watch.counts.get(name, 0) + number
