"""What a page answers to whom: the names that it is asked by, whose pages may ask it, and whose files it hands out.

A page on this machine can be reached by every site that its user visits: a site may let its own name point to
127.0.0.1 and then read the answers (DNS rebinding). So a request has to ask for a host by a name that the page has, and
a page that sends one has to be this page. Files go out as attachments and under names that cannot be guessed; those of
an answer go to the browser that asked for it alone.

Nothing here knows of Gradio beyond the form of its addresses of files.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

VISITOR = "thinkseg-visitor"
"""The cookie by which a browser is known again; it holds a random word and nothing else."""

KEPT_SECONDS = 3600.0
"""How long an upload or an answer is kept."""

KEPT_BYTES = 2 * 1024**3
"""Space that all uploads and answers may take; the oldest go first."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of this machine, seen by itself alone."""

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::", ""})
_FILE = "/file="
_FORWARDED = "/proxy="
_WORD_BYTES = 24

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def hosts_of(host: str) -> frozenset[str]:
    """The names under which a page that listens at this address is asked."""
    own = {socket.gethostname().lower()} if host in _EVERY_ADDRESS else {host.strip("[]").lower()}
    return LOOPBACK | own


@dataclass
class Store:
    """The files that a page hands out: each upload and each answer in a folder of its own, in one folder.

    What lies there when serving begins, the examples, is kept.
    """

    folder: Path
    """Where they lie."""
    kept_seconds: float = KEPT_SECONDS
    """How long each is kept."""
    kept_bytes: int = KEPT_BYTES
    """Space that all may take."""
    _owners: dict[str, str] = field(default_factory=dict, init=False)
    _permanent: frozenset[str] = field(default=frozenset(), init=False)

    def keep_what_is_there(self) -> None:
        """Never prune what lies in the folder by now."""
        self._permanent = frozenset(path.name for path in self._entries())

    def new_folder(self, visitor: str | None) -> Path:
        """A folder that does not exist yet for an answer, under a name that nobody can guess.

        Args:
            visitor: whose answer it is; None for whoever has its name.
        """
        name = secrets.token_urlsafe(_WORD_BYTES)
        if visitor is not None:
            self._owners[name] = visitor
        return self.folder / name

    def holds(self, path: str) -> bool:
        """Whether a path is that of a file in one of the folders, links followed."""
        return self._folder_of(path) is not None and Path(path).is_file()

    def is_permanent(self, path: str) -> bool:
        """Whether a path is that of a file that was there when serving began, and that everybody may see."""
        return self.holds(path) and self._folder_of(path) in self._permanent

    def may_have(self, path: str, visitor: str | None) -> bool:
        """Whether a visitor may have the file at a path."""
        folder = self._folder_of(path)
        if folder is None:
            return False
        owner = self._owners.get(folder)
        return owner is None or (visitor is not None and secrets.compare_digest(owner, visitor))

    def forget(self, folder: Path) -> None:
        """Remove one of the folders with all that is in it."""
        shutil.rmtree(folder, ignore_errors=True)
        self._owners.pop(folder.name, None)

    def prune(self, now: float | None = None) -> None:
        """Remove what is older than it is kept, and the oldest while all takes more space than it may."""
        now = time.time() if now is None else now
        found = [(_changed(path), _bytes(path), path) for path in self._entries() if path.name not in self._permanent]
        total = sum(size for _, size, _ in found)
        for changed, size, path in sorted(found):
            if now - changed <= self.kept_seconds and total <= self.kept_bytes:
                break
            self.forget(path)
            total -= size

    def _entries(self) -> Iterable[Path]:
        return [path for path in self.folder.iterdir() if path.is_dir()] if self.folder.is_dir() else []

    def _folder_of(self, path: str) -> str | None:
        """The name of the folder in which a path lies; None where it lies elsewhere."""
        try:
            within = Path(path).resolve().relative_to(self.folder.resolve()).parts
        except (OSError, ValueError, RuntimeError):  # a path with a null byte, elsewhere, a loop of links
            return None
        return within[0] if len(within) > 1 else None


class Janitor:
    """Prunes a store every so often, from entering to leaving it."""

    def __init__(self, store: Store, every_seconds: float = 30.0) -> None:
        self._store = store
        self._every = every_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="thinkseg-janitor")

    def __enter__(self) -> Janitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._every):
            try:
                self._store.prune()
            except OSError:  # a folder that goes while it is looked at: the next time will do
                _log.debug("pruning was cut short", exc_info=True)


class HostNames:
    """The names by which something that listens is asked, and the pages that may ask it: its own.

    Args:
        host: the address at which it listens.
        started_by: the command that printed its address, for the sentence.
    """

    def __init__(self, host: str, started_by: str) -> None:
        self._names = set(hosts_of(host))
        self._by_address = host in _EVERY_ADDRESS
        self._started_by = started_by

    def add(self, name: str) -> None:
        """Let it be asked by one more name."""
        self._names.add(name.lower())

    def refusal(self, scope: Scope, *, any_name: bool = False, origins: Collection[str] = ()) -> str | None:
        """Why a request is refused; None where it asks by a known name, and comes from no other page.

        Args:
            scope: of the request.
            any_name: whether it may ask by any name, as whoever asks is known otherwise.
            origins: of other pages that may ask; "*" for all.
        """
        hosts = _values(scope, "host")
        asked = hosts + [part.strip() for value in _values(scope, "x-forwarded-host") for part in value.split(",")]
        if len(hosts) != 1 or not (any_name or all(self._is_known(host) for host in asked)):
            return f"this page is not served under that name: ask it by the address that '{self._started_by}' printed"
        # A tunnel may end TLS before the page, so the scheme says nothing.
        others = [origin for origin in _values(scope, "origin") if "*" not in origins and origin not in origins]
        if any(_netloc(origin) not in map(str.lower, asked) for origin in others):
            return "this page answers its own requests only, and this one comes from another page"
        return None

    def _is_known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is None:
            return False
        # No site can be named by an address that is not its own, so that addresses are safe to answer to.
        return name.rstrip(".") in self._names or (self._by_address and _is_address(name))


class Guard:
    """An ASGI application before another one: it lets through what the page is there for.

    Args:
        app: the page.
        store: the files that it hands out.
        host: the address at which it listens.
    """

    def __init__(self, app: App, store: Store, host: str) -> None:
        self._app = app
        self._store = store
        self._names = HostNames(host, "thinkseg demo")

    def also_called(self, url: str | None) -> None:
        """Let the page be asked by the name in an address too, such as that of a tunnel."""
        name = urlsplit(url or "").hostname
        if name:
            self._names.add(name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with a sentence."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = self._reason(scope)
        if reason is not None:
            await _refuse(scope, send, reason)
            return
        await self._app(scope, receive, self._marked(scope, send))

    def _reason(self, scope: Scope) -> str | None:
        """Why a request is refused."""
        reason = self._names.refusal(scope)
        if reason is not None:
            return reason
        path = str(scope["path"])
        if _FORWARDED in path:
            return "nothing is fetched from elsewhere"
        if _FILE in path and not self._store.may_have(path.split(_FILE, 1)[1], visitor_of(scope)):
            return "there is no such file, or it is another visitor's"
        return None

    def _marked(self, scope: Scope, send: Send) -> Send:
        """Sends files as attachments, and gives a browser that comes for the first time its word."""
        is_file = _FILE in str(scope["path"])
        is_new = visitor_of(scope) is None

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message.get("headers", ())]
                headers.append((b"x-content-type-options", b"nosniff"))
                if is_file:
                    headers = [(name, _as_attachment(name, value)) for name, value in headers]
                    headers.append((b"content-security-policy", b"sandbox; default-src 'none'"))
                    headers.append((b"cache-control", b"private"))
                elif is_new:
                    word = secrets.token_urlsafe(_WORD_BYTES)
                    headers.append((b"set-cookie", f"{VISITOR}={word}; Path=/; HttpOnly; SameSite=Lax".encode()))
                message = {**message, "headers": headers}
            await send(message)

        return marked


def visitor_of(scope: Scope) -> str | None:
    """The word of the browser that sends a request; None for one that has none yet."""
    for value in _values(scope, "cookie"):
        try:
            cookie = SimpleCookie(value).get(VISITOR)
        except CookieError:
            continue
        if cookie is not None and cookie.value.isascii():
            return cookie.value
    return None


def _values(scope: Scope, name: str) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name.encode()]


def _netloc(origin: str) -> str:
    """Host and port of an origin; the word itself where it has none, such as "null"."""
    try:
        return urlsplit(origin).netloc.lower() or origin
    except ValueError:
        return origin


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _as_attachment(name: bytes, value: bytes) -> bytes:
    if name.lower() != b"content-disposition":
        return value
    _, semicolon, rest = value.partition(b";")
    return b"attachment" + semicolon + rest


async def _refuse(scope: Scope, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    body = f"{reason}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _changed(folder: Path) -> float:
    """When a folder, or anything in it, was last changed, in seconds since the epoch."""
    return max((_stat(path, "st_ctime") for path in (folder, *folder.rglob("*"))), default=0.0)


def _bytes(folder: Path) -> int:
    return int(sum(_stat(path, "st_size") for path in folder.rglob("*")))


def _stat(path: Path, field_name: str) -> float:
    try:
        return float(getattr(path.lstat(), field_name))
    except OSError:  # gone meanwhile
        return 0.0
