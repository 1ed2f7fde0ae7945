"""Images that are decoded by a thread while others are worked on.

>>> from PIL import Image
>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as folder, ImagesAhead() as images:
...     Image.new("RGB", (4, 3)).save(f"{folder}/one.png")
...     images.keep([f"{folder}/one.png", f"{folder}/none.png"])
...     images.take(f"{folder}/one.png").size, images.take(f"{folder}/none.png")
((4, 3), None)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from PIL import Image

from thinkseg.errors import InputError
from thinkseg.imaging.images import load_image

BUDGET = 10**9
"""Bytes of images that wait for their turn, the last of which may go beyond it."""

PIXEL = 4
"""Bytes of a pixel of PIL's, whose RGB has a fourth one that is not used."""


class ImagesAhead:
    """Decodes files in the order in which they will be needed, one at a time; a file that is named twice, once.

    Images are held until others are named. It has to be closed, by ``with``: what is being decoded then is waited for,
    what has not begun is left out, and no thread stays.

    Args:
        load: decodes a file, as `load_image` does.
        budget: the bytes from which on images that are needed later wait to be decoded until they are needed.
    """

    def __init__(self, load: Callable[[str], Image.Image] = load_image, budget: int = BUDGET) -> None:
        self._load = load
        self._budget = budget
        self._pool = ThreadPoolExecutor(1, "images-ahead")
        self._known: dict[str, Future[Image.Image | None]] = {}

    def __enter__(self) -> ImagesAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._known = {}

    def keep(self, files: Iterable[Path | str], later: Iterable[Path | str] = ()) -> None:
        """Decode these in their order, if that has not begun, and forget all others.

        Args:
            files: what is needed now, however large it is.
            later: what is needed after that, as much of it as the budget has room for.
        """
        before, self._known = self._known, {}
        for waiting in before.values():
            waiting.cancel()  # what is still wanted is named anew, by the room that there is now
        room = _Room(self._budget)
        for work, wanted in ((self._load, files), (partial(self._within, room), later)):
            for file in map(str, wanted):
                if file in before and _is_there(before[file]):
                    self._known[file] = before[file]
                elif file not in self._known:
                    self._known[file] = self._pool.submit(work, file)

    def _within(self, room: _Room, file: str) -> Image.Image | None:
        """An image, or None where those before it have taken the room; one thread does this, one file at a time."""
        if room.left <= 0:
            return None
        image = self._load(file)
        room.left -= image.width * image.height * PIXEL
        return image

    def take(self, file: Path | str) -> Image.Image | None:
        """The image in a file, which is waited for; None where it was not named, had no room, or cannot be read.

        Whoever opens it himself then is told why.
        """
        decoded = self._known.get(str(file))
        if decoded is None:
            return None
        try:
            return decoded.result()
        except InputError:
            return None


@dataclass
class _Room:
    """What is left of a budget."""

    left: int
    """Bytes."""


def _is_there(decoded: Future[Image.Image | None]) -> bool:
    """Whether an image is decoded or being decoded; not one that had no room."""
    if decoded.cancelled():
        return False
    return not decoded.done() or decoded.exception() is not None or decoded.result() is not None
