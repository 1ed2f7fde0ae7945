"""Answers the requests of a page about the images that were uploaded to it, one after the other."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import quote

from PIL import Image

from thinkseg.answers.reading import thinking_so_far
from thinkseg.errors import InputError
from thinkseg.imaging import load_image
from thinkseg.results.files import safe_stem
from thinkseg.results.result import Result
from thinkseg.serving.guarding import Store
from thinkseg.serving.page.choices import Choices, Chosen
from thinkseg.serving.page.files import write_files, write_shown
from thinkseg.serving.page.scene import FoundScene, read_edits, refined
from thinkseg.serving.page.showing import (
    Shown,
    downloads_html,
    refined_html,
    show_error,
    show_scene,
    show_waiting,
    show_writing,
    verdict_html,
)
from thinkseg.serving.page.viewer import ShownImage
from thinkseg.types import Size

KEPT_ANSWERS = 16
"""Answers whose files are kept; whoever wants an older one asks again."""

NO_IMAGE = "choose an image first: upload one, or take an example"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request of a page."""

    source: str | None
    """The path of an image in the store; any other is treated as none."""
    choice: Chosen
    query: str = ""
    visitor: str | None = None
    """Who asks, and alone may have the files of the answer."""
    session: str | None = None
    """By which it can be stopped."""
    shared: str = ""
    """What the page's address says of it behind the question mark."""


@dataclass
class Desk:
    """Answers the requests of a page."""

    choices: Choices
    store: Store
    """Where the images lie that may be asked about, and the files of the last answers."""
    _kept: deque[Path] = field(default_factory=deque, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)
    _books: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stops: dict[str, list[threading.Event]] = field(default_factory=dict, init=False)

    def ask(self, asked: PageRequest, scene: FoundScene | None = None) -> Iterator[Shown]:
        """What the page shows of a request, step by step: the thinking while it is written, the answer, its files.

        A fault of the machine is told in a sentence and logged whole.

        Args:
            asked: what is asked.
            scene: what has been found so far; kept where it is of the same image.
        """
        yield from self._told(asked, self._answer(asked, scene))

    def refine(self, asked: PageRequest, scene: FoundScene | None, edits: str) -> Iterator[Shown]:
        """What the page shows of a scene after edits (`scene.read_edits`), which the segmenter alone answers."""
        yield from self._told(asked, self._refine(asked, scene, edits))

    def result(self, asked: PageRequest, listen: Callable[[str], bool | None] | None = None) -> Result:
        """The answer to a request; its image is called as it was when it was uploaded.

        Raises:
            InputError: what is wrong with the request, in a sentence that names no path of the server.
        """
        with named_as_uploaded(asked.source):
            image = self._image(asked.source)
            assert asked.source is not None
            with self._turn:
                result = self.choices.pipeline(asked.choice).segment(image, asked.query, listen=listen)
        identity = self.choices.identity(asked.choice)
        return dataclasses.replace(result, source=Path(asked.source).name, model=identity)

    def refined(self, asked: PageRequest, scene: FoundScene, edits: str) -> FoundScene:
        """A scene after edits.

        Raises:
            InputError: as `result`.
        """
        with named_as_uploaded(asked.source):
            image = self._image(asked.source)
            read = read_edits(edits, Size(*image.size))
            with self._turn:
                return refined(scene, read, image, self.choices.pipeline(asked.choice).segmenter)

    def stop(self, session: str | None) -> None:
        """End what the models write for a session."""
        with self._books:
            for event in self._stops.get(session or "", ()):
                event.set()

    def _told(self, asked: PageRequest, steps: Iterator[Shown]) -> Iterator[Shown]:
        """What the page shows, with whatever goes wrong told in a sentence."""
        try:
            if self._turn.locked():
                yield show_waiting("Waiting", "Another request is being answered.")
            with named_as_uploaded(asked.source):
                yield from steps
        except InputError as error:
            yield show_error(str(error))
        except Exception as error:  # noqa: BLE001 - a page has to live on, whatever a model does
            _log.exception("a request could not be answered")
            yield show_error(f"{type(error).__name__}: {error}. The server's log has more.")

    def _image(self, source: str | None) -> Image.Image:
        # Whether there is a file elsewhere on the server is nobody's business: it gets the same sentence as none.
        if source is None or not self.store.holds(source):
            raise InputError(NO_IMAGE)
        return load_image(source)

    def _answer(self, asked: PageRequest, scene: FoundScene | None) -> Iterator[Shown]:
        image = self._image(asked.source)
        assert asked.source is not None
        if not asked.query.strip():
            raise InputError("the query is empty: say in words what to look for")
        if not self.choices.is_loaded(asked.choice):
            yield show_waiting("Loading …", f"{asked.choice.model} is loaded for the first request that needs it.")
        result, stopped = yield from self._writing(asked)
        before = scene if scene is not None and scene.source == asked.source else FoundScene(asked.source)
        yield from self._found(asked, before.with_result(result), image, result, verdict_html(result, stopped=stopped))

    def _refine(self, asked: PageRequest, scene: FoundScene | None, edits: str) -> Iterator[Shown]:
        image = self._image(asked.source)
        assert asked.source is not None
        before = scene if scene is not None and scene.source == asked.source else FoundScene(asked.source)
        changes = len(read_edits(edits, Size(*image.size)))
        yield show_waiting("Segmenting …", "The segmenter alone is asked; the model's words stay as they are.")
        after = self.refined(asked, before, edits)
        told = after.results(image)[-1]
        yield from self._found(asked, after, image, told, refined_html(changes, after.count))

    def _writing(self, asked: PageRequest) -> Generator[Shown, None, tuple[Result, bool]]:
        """Show what the model writes while it writes it; its answer, and whether it was stopped."""
        texts: SimpleQueue[str | None] = SimpleQueue()
        stop = threading.Event()

        def listen(text: str) -> bool:
            texts.put(text)
            return not stop.is_set()

        pool = ThreadPoolExecutor(1, "thinkseg-writing")
        with self.stoppable(asked.session, stop):
            try:
                answer = pool.submit(self.result, asked, listen)
                answer.add_done_callback(lambda _: texts.put(None))
                yield show_writing("")
                while (text := _newest(texts)) is not None:
                    yield show_writing(thinking_so_far(text))
                return answer.result(), stop.is_set()
            finally:
                stop.set()  # whoever has closed the page wants no more of it
                pool.shutdown(wait=False)

    @contextmanager
    def stoppable(self, session: str | None, stop: threading.Event) -> Iterator[None]:
        """While this is open, `stop` of the session sets the event."""
        key = session or ""
        with self._books:
            self._stops.setdefault(key, []).append(stop)
        try:
            yield
        finally:
            with self._books:
                self._stops[key].remove(stop)
                if not self._stops[key]:
                    del self._stops[key]

    def _found(
        self, asked: PageRequest, scene: FoundScene, image: Image.Image, told: Result, verdict: str
    ) -> Iterator[Shown]:
        """Show a scene, then its files, which take longer."""
        assert asked.source is not None
        source, folder = Path(asked.source), self._new_folder(asked.visitor)
        shown = write_shown(image, folder, safe_stem(source.stem).name)
        results = scene.results(image)
        if not results:
            yield Shown(verdict, "", "", "", "", "", scene)
            return
        yield show_scene(scene, results, told, ShownImage(address_of(shown), asked.shared), verdict)
        files = write_files(results, source, folder)
        yield Shown(downloads_html=downloads_html([(label, path.name, address_of(path)) for label, path in files]))

    def _new_folder(self, visitor: str | None) -> Path:
        """A folder for the files of an answer; the oldest goes where there are too many."""
        with self._books:
            folder = self.store.new_folder(visitor)
            self._kept.append(folder)
            if len(self._kept) > KEPT_ANSWERS:
                self.store.forget(self._kept.popleft())
        return folder


@contextmanager
def named_as_uploaded(source: str | None) -> Iterator[None]:
    """While this is open, an error calls an image by its own name: where it lies is nobody's business."""
    try:
        yield
    except InputError as error:
        if source is None or source not in str(error):
            raise
        raise InputError(str(error).replace(source, Path(source).name)) from error


def address_of(path: Path) -> str:
    """The address of a file of the store, from the page's own on."""
    return f"gradio_api/file={quote(str(path))}"


def _newest(texts: SimpleQueue[str | None]) -> str | None:
    """The last of the texts that have come, waiting for one; None at their end."""
    text = texts.get()
    while text is not None and not texts.empty():
        following = texts.get()
        if following is None:
            texts.put(None)
            break
        text = following
    return text
