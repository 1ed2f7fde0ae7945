"""What stands before all routes: who may ask, how much may be sent, and what is written down of it."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from thinkseg.serving.guarding import App, HostNames, Message, Receive, Scope, Send
from thinkseg.serving.http.errors import RequestError, explained
from thinkseg.serving.http.service import Service

OPEN = frozenset({"/health", "/ready"})
"""What anybody may ask: it says nothing but how the service is."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """Who is answered."""

    host: str = "127.0.0.1"
    """The address that is listened at."""
    key: str | None = None
    """Whoever asks has to have it; None for everybody."""
    names: tuple[str, ...] = ()
    """Under which the service is asked besides its addresses, where it has no key."""
    origins: tuple[str, ...] = ()
    """Of other pages whose scripts may ask; "*" for all."""


class Gate:
    """An ASGI application before another one.

    Without a key, requests have to ask by a name that the service has: else a page of somebody else's could reach a
    service on its visitor's machine by letting its own name point there. A request that comes from another page is
    refused unless that page may ask.

    Args:
        app: the routes.
        service: whose limits hold.
        access: who is answered.
    """

    def __init__(self, app: App, service: Service, access: Access) -> None:
        self._app = app
        self._service = service
        self._access = access
        self._names = HostNames(access.host, "thinkseg serve")
        for name in access.names:
            self._names.add(name)
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with a sentence."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                known = {name.lower() for name, _ in message.get("headers", ())}
                added = [(name, value) for name, value in extra if name not in known]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        self._inside += 1
        try:
            self._refuse(scope)
            await self._app(scope, self._limited(scope, receive), sending)
        except Exception as error:
            if status:
                raise
            await explained(error).response()(scope, receive, sending)
        finally:
            self._inside -= 1
            self._note(scope, status, time.monotonic() - began)

    def _refuse(self, scope: Scope) -> None:
        if self._inside > self._service.limits.connections:
            raise RequestError("unavailable", "there are too many connections: try again soon", 1)
        access = self._access
        reason = self._names.refusal(scope, any_name=access.key is not None, origins=access.origins)
        if reason is not None:
            raise RequestError("forbidden", reason)
        path = scope["path"]
        if access.key is not None and path not in OPEN and not _has_key(scope, access.key):
            raise RequestError("unauthorized", "the key is missing or wrong: send 'Authorization: Bearer KEY'")

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """The body of a request, up to as many bytes as one may have."""
        most = self._service.limits.body_bytes
        error = RequestError("too_large", f"a request has at most {most / 2**20:.1f} MB here: make the image smaller")
        told = [value for name, value in scope["headers"] if name == b"content-length"]
        if told and told[0].isdigit() and int(told[0][:20]) > most:
            raise error
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise error
            return message

        return limited

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "other"
        self._service.metrics.requests.labels(route, str(status)).inc()
        self._service.metrics.seconds.labels(route).observe(seconds)
        _log.info("%s %s %d %.3f s", scope["method"], route, status, seconds)


def _has_key(scope: Scope, key: str) -> bool:
    """Whether a request brings the key, as a bearer's or as the password of anybody; told in constant time.

    X-AnyLabeling brings it in the header ``Token``.
    """
    given = [word for name, value in scope["headers"] if name == b"authorization" for word in _words(value)]
    given += [value for name, value in scope["headers"] if name == b"token"]
    return any([hmac.compare_digest(word, key.encode()) for word in given])


def _words(value: bytes) -> Sequence[bytes]:
    scheme, _, word = value.partition(b" ")
    if scheme.lower() == b"bearer":
        return [word.strip()]
    if scheme.lower() != b"basic":
        return []
    try:
        return [base64.b64decode(word.strip(), validate=True).partition(b":")[2]]
    except (binascii.Error, ValueError):
        return []
