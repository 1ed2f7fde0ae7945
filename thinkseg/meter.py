"""How far long work is, on stderr: a bar that moves on a terminal, and a line now and then where there is none.

A log of a scheduler, a container or CI keeps every character: a bar that is drawn over and over would be one line of
thousands of pieces there. So whatever is no terminal gets whole lines, one every `LINE_SECONDS` at most and one at
the end::

    rl: 12/100 steps, 2.31 s/step, 3:23 left, reward 0.412
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, runtime_checkable

LINE_SECONDS = 30.0
"""Seconds between two lines, at least, where stderr is no terminal."""

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)

Clock = Callable[[], float]
"""Seconds since some moment."""


@runtime_checkable
class TextSink(Protocol):
    """Where it is shown: stderr, or any file of text."""

    def write(self, text: str, /) -> Any:
        """Take a text."""

    def flush(self) -> None:
        """Hand on what was taken."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        ...


@contextmanager
def quiet() -> Iterator[None]:
    """Within it meters show nothing, and `tell` tells nothing."""
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


def tell(note: str) -> None:
    """A line on stderr about what goes on, for whoever watches: no result, no warning, no error."""
    if not _QUIET.get():
        sys.stderr.write(f"{note}\n")
        sys.stderr.flush()


class _Nowhere:
    """Takes texts and shows nothing."""

    def write(self, text: str, /) -> None:
        """Take a text."""

    def flush(self) -> None:
        """Nothing was kept."""

    def isatty(self) -> bool:
        """It is no terminal."""
        return False


class Meter:
    """Shows how much of some work is done. Use it in a ``with``, or close it.

    Args:
        title: what stands before it; may be empty.
        unit: what is counted, in the singular.
        total: how many there are; None as long as that is not known.
        done: how many were done before.
        file: where it is shown; stderr when None.
        every: seconds between two lines, at least, where the file is no terminal.
        clock: tells the time.
    """

    def __init__(
        self,
        title: str,
        unit: str,
        total: int | None = None,
        done: int = 0,
        *,
        file: TextSink | None = None,
        every: float = LINE_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._title, self._unit = title, unit
        shown: TextSink = sys.stderr if file is None else file
        self._file: TextSink = _Nowhere() if _QUIET.get() else shown
        self._every = every
        self._clock = clock
        self._total, self._done, self._note = total, done, ""
        self._first, self._began = done, clock()
        self._told_at = self._began
        self._told: tuple[int, str] | None = None
        self._closed = False
        self._bar: Any = None
        if self._file.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, initial=done, desc=title or None, unit=unit, file=self._file, dynamic_ncols=True
            )

    def move(self, done: int, total: int | None = None) -> None:
        """So many are done by now, of so many if that has become known."""
        self._done = done
        self._total = self._total if total is None else total
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.update(done - self._bar.n)
        elif done > self._first and self._clock() - self._told_at >= self._every:
            self._tell()

    def note(self, text: str) -> None:
        """What is said behind the numbers from now on."""
        self._note = text
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

    def close(self) -> None:
        """Leave it as it is; nothing more is shown."""
        if self._closed:
            return
        self._closed = True
        if self._bar is not None:
            self._bar.close()
        elif self._done > self._first and self._told != (self._done, self._note):
            self._tell()

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self) -> None:
        """Write a line."""
        self._told, self._told_at = (self._done, self._note), self._clock()
        seconds = (self._told_at - self._began) / (self._done - self._first)
        of_all = "" if self._total is None else f"/{self._total}"
        one = (self._total or self._done) == 1 or self._unit.isupper()  # MB has no plural
        plural = self._unit if one else f"{self._unit}s"
        left = [] if self._total is None else [f"{clock_time(seconds * (self._total - self._done))} left"]
        if left and self._done >= self._total:  # type: ignore[operator]
            left = [f"took {clock_time(self._told_at - self._began)}"]
        parts = [f"{self._done}{of_all} {plural}", _pace(seconds, self._unit), *left, self._note]
        title = f"{self._title}: " if self._title else ""
        self._file.write(title + ", ".join(part for part in parts if part) + "\n")
        self._file.flush()


def clock_time(seconds: float) -> str:
    """A length of time as clocks show it.

    >>> clock_time(7.4), clock_time(203), clock_time(3 * 3600 + 62)
    ('0:07', '3:23', '3:01:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _pace(seconds: float, unit: str) -> str:
    """How long one takes, or how many are done in a second."""
    return f"{seconds:.2f} s/{unit}" if seconds >= 1 or seconds <= 0 else f"{1 / seconds:.2f} {unit}/s"
