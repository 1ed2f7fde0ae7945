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
from pathlib import Path
from types import TracebackType

from PIL import Image

from thinkseg.errors import InputError
from thinkseg.imaging.images import load_image


class ImagesAhead:
    """Decodes files in the order in which they will be needed, one at a time; a file that is named twice, once.

    As many images are held as were named last. It has to be closed, by ``with``: what is being decoded then is waited
    for, what has not begun is left out, and no thread stays.

    Args:
        load: decodes a file, as `load_image` does.
    """

    def __init__(self, load: Callable[[str], Image.Image] = load_image) -> None:
        self._load = load
        self._pool = ThreadPoolExecutor(1, "images-ahead")
        self._known: dict[str, Future[Image.Image]] = {}

    def __enter__(self) -> ImagesAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._known = {}

    def keep(self, files: Iterable[Path | str]) -> None:
        """Decode these in their order, if that has not begun, and forget all others."""
        before, self._known = self._known, {}
        for file in map(str, files):
            if file in before:
                self._known[file] = before.pop(file)
            elif file not in self._known:
                self._known[file] = self._pool.submit(self._load, file)
        for left in before.values():
            left.cancel()

    def take(self, file: Path | str) -> Image.Image | None:
        """The image in a file, which is waited for; None where it was not named, or cannot be read.

        Whoever opens it himself then is told why.
        """
        decoded = self._known.get(str(file))
        if decoded is None:
            return None
        try:
            return decoded.result()
        except InputError:
            return None
