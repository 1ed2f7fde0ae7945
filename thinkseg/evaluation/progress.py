"""How far an evaluation is: one contract, and a bar or lines on stderr with rate, time left and running mean IoU."""

from collections.abc import Callable
from types import TracebackType

from thinkseg.meter import Meter

Progress = Callable[[int, int, float | None], None]
"""Called with the samples done, their number in all, and the IoU of the last one; the first call tells what was done
before, with None for the IoU."""


class ProgressBar:
    """Called as `Progress` has it. Use it in a ``with``.

    Args:
        title: what stands before the bar.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._meter: Meter | None = None
        self._sum = 0.0
        self._count = 0

    def __call__(self, done: int, total: int, iou: float | None) -> None:
        """Draw the bar at the first call, move it at the others."""
        if self._meter is None:
            self._meter = Meter(self._title, "sample", total, done)
        if iou is not None:
            self._sum += iou
            self._count += 1
            self._meter.note(f"mean IoU {self._sum / self._count:.3f}")
        self._meter.move(done, total)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._meter is not None:
            self._meter.close()
