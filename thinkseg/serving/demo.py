"""A page to try models in a browser: an image, a request, the thinking, and what was found.

It is served to this machine alone unless the caller says otherwise. Nothing is loaded from elsewhere and nothing is
sent anywhere: no fonts, no statistics. Models are loaded once; requests are answered one after the other. What is
uploaded and answered lies in a temporary folder that is pruned while the page is served and removed at the end, also
when the process is told to end. `thinkseg.serving.guarding` says who is answered; `thinkseg.serving.page` has the parts
of the page. `serve` serves it alone, `application` is for mounting it in another application.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.errors import InputError
from thinkseg.serving.examples import Example, write_examples
from thinkseg.serving.guarding import App, Guard, Janitor, Receive, Scope, Send, Store
from thinkseg.serving.page.blocks import Content, build, look
from thinkseg.serving.page.browsing import Browsed
from thinkseg.serving.page.choices import Choices
from thinkseg.serving.page.desk import Desk
from thinkseg.serving.page.web import require_gradio

_MAX_UPLOAD = "200mb"

WriteExamples = Callable[[Path], Sequence[Example]]
"""Writes what there is to begin with into a folder."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a page is served."""

    host: str = "127.0.0.1"
    """The address to listen at; the default is seen by this machine alone."""
    port: int | None = None
    """None for the first free one from 7860 on."""
    share: bool = False
    """Whether to open a public tunnel to the page, through a service of Gradio's makers."""


@dataclass(frozen=True, slots=True)
class Furnishing:
    """What a page has besides its models."""

    about: str = ""
    """A line on what runs."""
    examples: WriteExamples = write_examples
    runs: Sequence[Browsed] = ()
    """Evaluations to look through."""


def serve(
    choices: Choices,
    address: Address = Address(),
    furnishing: Furnishing = Furnishing(),
    *,
    ready: Callable[[str, str | None], None] = lambda url, public: None,
    stop: threading.Event | None = None,
) -> None:
    """Serve the page until somebody stops it.

    Args:
        choices: the models.
        address: where; seen by this machine alone unless it says otherwise.
        furnishing: what else is on the page.
        ready: called with the page's address, and the public one if there is one, once it is served.
        stop: ends the serving when set; None for until it is interrupted.

    Raises:
        MissingExtraError: Gradio is not installed.
        InputError: the port is taken, or the address is not this machine's.
    """
    require_gradio()
    _ask_loopback_directly()
    stop = stop or threading.Event()
    with _told_to_end(stop), _page(choices, furnishing) as (page, store):
        guards: list[Guard] = []

        @asynccontextmanager
        async def guarded(app: Any) -> AsyncIterator[None]:
            """Stand before everything else of the page, from before the first request on."""
            guards.append(Guard(app.middleware_stack, store, address.host))
            app.middleware_stack = guards[0]
            yield

        try:
            _, url, public = page.launch(
                server_name=address.host,
                server_port=address.port,
                share=address.share,
                prevent_thread_lock=True,
                quiet=True,
                inbrowser=False,
                app_kwargs={"lifespan": guarded},
                **_settings(),
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
def application(
    choices: Choices,
    furnishing: Furnishing = Furnishing(),
    *,
    path: str = "/",
    host: str = "127.0.0.1",
    names: Sequence[str] = (),
) -> Iterator[App]:
    """The page as an ASGI application, to be mounted in another one, for as long as this is open.

    ::

        with application(Choices.of(pipeline)) as page:
            app.mount("/", page)  # behind the routes that the application answers by itself
            uvicorn.run(app)

    The guard of the page stands before it; names and origins of other requests are the application's own to check.

    Args:
        choices: the models.
        furnishing: what else is on the page.
        path: where it will be mounted.
        host: the address that the application listens at; says by which names the page is asked.
        names: by which it is asked besides.

    Raises:
        MissingExtraError: Gradio is not installed.
    """
    gr = require_gradio()
    with _page(choices, furnishing) as (page, store), Janitor(store):
        holder = gr.mount_gradio_app(gr.routes.FastAPI(), page, path=path, **_settings())
        guard = Guard(_Begun(holder.routes[-1].app, page), store, host)
        for name in names:
            guard.also_called(f"//{name}")
        yield guard


class _Begun:
    """Gradio's application, which begins its work with the first request: not every server tells when it starts."""

    def __init__(self, app: App, page: Any) -> None:
        self._app = app
        self._page: Any | None = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        page, self._page = self._page, None
        if page is not None:
            page.run_startup_events()
            await page.run_extra_startup_events()
        await self._app(scope, receive, send)


@contextmanager
def _page(choices: Choices, furnishing: Furnishing) -> Iterator[tuple[Any, Store]]:
    """The page and where its files lie, which are removed at the end."""
    with tempfile.TemporaryDirectory(prefix="thinkseg-demo-") as name:
        store = Store(Path(name) / "files")
        os.environ["GRADIO_TEMP_DIR"] = str(store.folder)
        examples = furnishing.examples(Path(name) / "examples")
        page = build(Desk(choices, store), Content(examples, furnishing.about, furnishing.runs))
        store.keep_what_is_there()
        page.queue(max_size=32)
        yield page, store


def _settings() -> dict[str, Any]:
    """What Gradio is told of every page."""
    return {
        "show_error": False,
        "footer_links": [],
        "max_file_size": _MAX_UPLOAD,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "pwa": False,
        "theme": _theme(require_gradio()),
        **look(),
    }


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


def _theme(gr: Any) -> Any:
    """Colours and the system's own fonts."""
    plain = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif"]
    mono = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="zinc", radius_size="lg", font=plain, font_mono=mono)
    # Gradio's own greys, and white on its teal, are hard to read: every text has a contrast of 4.5 at least.
    soft = {"": "#52525b", "_dark": "#b4b4be"}
    texts = ("body_text_color_subdued", "input_placeholder_color", "block_label_text_color", "block_title_text_color")
    colours = {f"{name}{mode}": colour for name in texts for mode, colour in soft.items()}
    for mode in soft:
        colours[f"button_primary_background_fill{mode}"] = "#0f766e"
        colours[f"button_primary_background_fill_hover{mode}"] = "#115e59"
        colours[f"button_primary_text_color{mode}"] = "#ffffff"
    return theme.set(**colours)


def _ask_loopback_directly() -> None:
    """Keep Gradio's check of its own address away from a proxy that the environment names."""
    for name in ("no_proxy", "NO_PROXY"):
        known = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*known, "localhost", "127.0.0.1", "::1"]))
