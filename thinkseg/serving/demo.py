"""A page to try a model in a browser: an image, a request, the thinking, and what was found.

It is served to this machine alone unless the caller says otherwise. Nothing is loaded from elsewhere and nothing is
sent anywhere: no fonts, no statistics. Models are loaded once; requests are answered one after the other. What is
uploaded and answered lies in a temporary folder that is pruned while the page is served and removed at the end, also
when the process is told to end. `thinkseg.serving.guarding` says who is answered.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import InputError, MissingExtraError
from thinkseg.serving.examples import Example, write_examples
from thinkseg.serving.guarding import Guard, Janitor, Store, visitor_of
from thinkseg.serving.showing import Shown, show_error, show_result

if TYPE_CHECKING:
    from thinkseg.models.pipeline import Pipeline

_KEPT_ANSWERS = 16
"""Answers whose files are kept; whoever wants an older one asks again."""

_MAX_UPLOAD = "200mb"

_SHOWN = "thinkseg.shown.png"
"""The image on the page, among the files of an answer."""

_log = logging.getLogger(__name__)


def require_gradio() -> Any:
    """Gradio, told to keep to itself.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    try:
        return importlib.import_module("gradio")
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise MissingExtraError("gradio", "demo", "for the web page") from error


@dataclass(frozen=True, slots=True)
class Address:
    """Where a page is served."""

    host: str = "127.0.0.1"
    """The address to listen at; the default is seen by this machine alone."""
    port: int | None = None
    """None for the first free one from 7860 on."""
    share: bool = False
    """Whether to open a public tunnel to the page, through a service of Gradio's makers."""


@dataclass
class Desk:
    """Answers the requests of a page about the images that were uploaded to it."""

    pipeline: Pipeline
    store: Store
    """Where the images lie that may be asked about, and the files of the last answers."""
    model: Mapping[str, Any] | None = None
    """What the records say about the models, if anything."""
    _kept: deque[Path] = field(default_factory=deque, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    def answer(self, source: str | None, query: str, visitor: str | None = None) -> Shown:
        """What the page shows for a request; a fault of the machine is told in a sentence and logged whole.

        Args:
            source: the path of an image in the store; any other is treated as none.
            query: what to look for.
            visitor: who asks, and alone may have the files of the answer.
        """
        with self._turn:
            folder = self.store.new_folder(visitor)
            self._kept.append(folder)
            if len(self._kept) > _KEPT_ANSWERS:
                self.store.forget(self._kept.popleft())
            try:
                return self._answer(source, query or "", folder)
            except Exception as error:  # noqa: BLE001 - a page has to live on, whatever a model does
                _log.exception("a request could not be answered")
                return show_error(f"{type(error).__name__}: {error}. The server's log has more.")

    def _answer(self, source: str | None, query: str, folder: Path) -> Shown:
        """Ask the models, write the files, show the result, or what is wrong with the request."""
        # Whether there is a file elsewhere on the server is nobody's business: it gets the same sentence as none.
        if source is None or not self.store.holds(source):
            return show_error("choose an image first: upload one, or take an example")
        name = Path(source).name  # where an upload lies on the server is nobody's business either
        try:
            result = self.pipeline.segment(source, query)
        except InputError as error:
            return show_error(str(error).replace(source, name))
        result = dataclasses.replace(result, source=name, model=self.model)
        shown = show_result(result, result.save(folder, "thinkseg", index=True))
        assert shown.image is not None
        shown.image.save(folder / _SHOWN)
        return dataclasses.replace(shown, overlay=folder / _SHOWN)


def build(desk: Desk, examples: Sequence[Example] = (), about: str = "") -> Any:
    """The page, not served yet: a `gradio.Blocks`.

    Args:
        desk: answers.
        examples: to pick from.
        about: a line on what runs.
    """
    gr = require_gradio()
    with gr.Blocks(title="ThinkSeg", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(_heading(about))
        with gr.Row(equal_height=False, elem_classes="workbench"):
            with gr.Column(scale=5, min_width=280):
                image = gr.Image(
                    label="Image",
                    type="filepath",
                    sources=["upload", "clipboard"],
                    height=380,
                    buttons=[],
                    elem_id="image",
                )
                # Gradio would open the file first, and with sentences of its own; the path is checked before this.
                image.preprocess = lambda payload: payload.path if payload else None
                _fetch_nothing(image)
                query = gr.Textbox(
                    label="What to look for", placeholder="the animal that gives milk", max_lines=3, elem_id="query"
                )
                button = gr.Button("Think, point, segment", variant="primary", elem_id="ask")
            with gr.Column(scale=6, min_width=280):
                verdict = gr.HTML(_invitation(bool(examples)), elem_id="verdict")
                shown = gr.Image(
                    label="What was found",
                    show_label=False,  # it would lie on the image
                    type="filepath",
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="found",
                    visible=False,
                )
                thinking = gr.Textbox(label="Thinking", interactive=False, lines=1, elem_id="thinking", visible=False)
                table = gr.HTML(elem_id="objects", visible=False)
                with gr.Row(visible=False, elem_id="downloads") as downloads:
                    mask = gr.DownloadButton("Mask", size="sm", min_width=60, elem_id="mask")
                    index = gr.DownloadButton("Numbered", size="sm", min_width=60, elem_id="index")
                    record = gr.DownloadButton("JSON", size="sm", min_width=60, elem_id="record")
                with gr.Accordion("What the model wrote", open=False, visible=False, elem_id="written") as written:
                    text = gr.Code(language=None, show_label=False, interactive=False, wrap_lines=True, elem_id="text")
        if examples:
            gr.HTML('<h2 class="examples">Or take an example</h2>')
            gallery = gr.Gallery(
                [(str(example.image), example.query) for example in examples],
                show_label=False,
                columns=6,
                height="auto",
                object_fit="cover",
                allow_preview=False,
                interactive=False,
                container=False,
                buttons=[],
                elem_id="examples",
            )
        outputs = [verdict, shown, thinking, table, downloads, mask, index, record, written, text]

        def answer(source: str | None, asked: str, request: Any) -> list[Any]:
            return _updates(gr, desk.answer(source, asked, visitor_of(request.request.scope)))

        answer.__annotations__["request"] = gr.Request  # by which Gradio knows what to hand over

        asking: dict[str, Any] = {
            "fn": answer,
            "inputs": [image, query],
            "outputs": outputs,
            "concurrency_limit": 1,
            "concurrency_id": "models",
            "show_progress_on": [verdict],
            "api_visibility": "private",
        }
        button.click(**asking)
        query.submit(**asking)
        if examples:
            take = _taker(gr, examples)
            gallery.select(take, outputs=[image, query], api_visibility="private").then(**asking)
    return page


def serve(
    pipeline: Pipeline,
    address: Address = Address(),
    *,
    model: Mapping[str, Any] | None = None,
    about: str = "",
    examples: Callable[[Path], Sequence[Example]] = write_examples,
    ready: Callable[[str, str | None], None] = lambda url, public: None,
    stop: threading.Event | None = None,
) -> None:
    """Serve the page until somebody stops it.

    Args:
        pipeline: the models.
        address: where; seen by this machine alone unless it says otherwise.
        model: what the records say about the models.
        about: a line on what runs.
        examples: writes what there is to begin with into a folder.
        ready: called with the page's address, and the public one if there is one, once it is served.
        stop: ends the serving when set; None for until it is interrupted.

    Raises:
        MissingExtraError: Gradio is not installed.
        InputError: the port is taken, or the address is not this machine's.
    """
    gr = require_gradio()
    _ask_loopback_directly()
    stop = stop or threading.Event()
    with tempfile.TemporaryDirectory(prefix="thinkseg-demo-") as name, _told_to_end(stop):
        store = Store(Path(name) / "files")
        os.environ["GRADIO_TEMP_DIR"] = str(store.folder)
        page = build(Desk(pipeline, store, model), examples(Path(name) / "examples"), about)
        store.keep_what_is_there()
        guards: list[Guard] = []

        @asynccontextmanager
        async def guarded(app: Any) -> AsyncIterator[None]:
            """Stand before everything else of the page, from before the first request on."""
            guards.append(Guard(app.middleware_stack, store, address.host))
            app.middleware_stack = guards[0]
            yield

        page.queue(max_size=32)
        try:
            _, url, public = page.launch(
                server_name=address.host,
                server_port=address.port,
                share=address.share,
                prevent_thread_lock=True,
                quiet=True,
                inbrowser=False,
                show_error=False,
                footer_links=[],
                max_file_size=_MAX_UPLOAD,
                app_kwargs={"lifespan": guarded},
                ssr_mode=False,
                run_history=False,
                enable_monitoring=False,
                mcp_server=False,
                pwa=False,
                theme=_theme(gr),
                css=resources.files("thinkseg.serving").joinpath("templates/demo.css").read_text(encoding="utf-8"),
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"the page cannot be served at {address.host}, port {address.port or '7860 to 7959'} ({error}); choose "
                "others with --host and --port"
            ) from error
        try:
            assert guards, "the page is served without its guard"
            guards[0].also_called(public)
            with Janitor(store):
                ready(url, public or None)
                stop.wait()
        finally:
            page.close(verbose=False)


@contextmanager
def _told_to_end(stop: threading.Event) -> Iterator[None]:
    """While this is open, the signals that tell a process to end set the event, so that its files are removed."""
    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    taken = [name for name in names if before[name] is signal.SIG_DFL]  # nohup wants to ignore the second one
    for name in taken:
        signal.signal(getattr(signal, name), lambda *_: stop.set())
    try:
        yield
    finally:
        for name in taken:
            signal.signal(getattr(signal, name), before[name])


def _fetch_nothing(image: Any) -> None:
    """Let a component take files only: Gradio would fetch an address that somebody names in place of an upload."""
    take = image.async_move_resource_to_block_cache

    async def take_file(path: Any) -> Any:
        if "://" in str(path):
            raise InputError("nothing is fetched from elsewhere: upload the image")
        return await take(path)

    image.async_move_resource_to_block_cache = take_file


def _updates(gr: Any, shown: Shown) -> list[Any]:
    """The new state of each part of the page, in the order of its outputs."""
    failed = shown.image is not None and bool(shown.text) and not shown.thinking and not shown.table_html
    return [
        gr.update(value=shown.verdict_html),
        gr.update(value=None if shown.overlay is None else str(shown.overlay), visible=shown.overlay is not None),
        gr.update(value=shown.thinking, visible=bool(shown.thinking)),
        gr.update(value=shown.table_html, visible=bool(shown.table_html)),
        gr.update(visible=shown.record is not None),
        *(gr.update(value=None if path is None else str(path)) for path in (shown.mask, shown.index, shown.record)),
        gr.update(visible=shown.image is not None, open=failed),
        gr.update(value=shown.text),
    ]


def _taker(gr: Any, examples: Sequence[Example]) -> Callable[..., tuple[str, str]]:
    """What happens when an example is picked."""

    def take(event: Any) -> tuple[str, str]:
        example = examples[event.index]
        return str(example.image), example.query

    take.__annotations__["event"] = gr.SelectData  # by which Gradio knows what to hand over
    return take


def _theme(gr: Any) -> Any:
    """Colours and the system's own fonts."""
    plain = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif"]
    mono = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]
    return gr.themes.Base(primary_hue="teal", neutral_hue="zinc", radius_size="lg", font=plain, font_mono=mono)


def _heading(about: str) -> str:
    line = f'<p class="about">{escape(about)}</p>' if about else ""
    return (
        '<header class="heading"><h1>ThinkSeg</h1>'
        "<p>A model thinks about a request, points at what was asked for, and cuts it out.</p>"
        f"{line}</header>"
    )


def _invitation(examples: bool) -> str:
    more = ", or take one of the examples" if examples else ""
    return (
        '<div class="verdict waiting"><strong>Nothing asked yet</strong>'
        f"<span>Upload an image and say what to look for{more}.</span></div>"
    )


def _ask_loopback_directly() -> None:
    """Keep Gradio's check of its own address away from a proxy that the environment names."""
    for name in ("no_proxy", "NO_PROXY"):
        known = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*known, "localhost", "127.0.0.1", "::1"]))
