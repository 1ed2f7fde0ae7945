"""A query answered in server-sent events: the thinking as it is written, the boxes, the masks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from thinkseg.answers.reading import thinking_so_far
from thinkseg.serving.guarding import Receive, Scope, Send
from thinkseg.serving.http.answering import boxes_record, event
from thinkseg.serving.http.errors import explained
from thinkseg.serving.http.leaving import ClientLeftError, while_connected
from thinkseg.serving.http.metrics import Metrics
from thinkseg.types import Answer, Size

MEDIA_TYPE = "text/event-stream"
EVENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["thinking", "boxes", "masks", "error"]},
        "data": {"type": "string", "description": "An object in JSON."},
    },
    "required": ["event", "data"],
}
"""Each of a stream's events, as a JSON schema."""


class Announced:
    """Makes events of what the models tell of a request, for its event loop."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._size = Size(1, 1)
        self._thought = ""

    def about(self, size: Size) -> Announced:
        """The same, knowing the size of the image."""
        self._size = size
        return self

    def wrote(self, text: str) -> None:
        """As `service.RequestListener`; in the thread of the model."""
        thought = thinking_so_far(text)
        if len(thought) > len(self._thought):
            piece, self._thought = thought[len(self._thought) :], thought
            self._loop.call_soon_threadsafe(self.events.put_nowait, event("thinking", {"text": piece}))

    def read(self, answer: Answer) -> None:
        """As `service.RequestListener`."""
        self.events.put_nowait(event("boxes", boxes_record(answer, self._size)))


class EventStream(Response):
    """Sends events as they come, and then the one that the work ends with: ``masks``, or ``error``.

    What goes wrong before there is an event is answered with its status.

    Args:
        request: whose body has been read.
        work: tells events and gives what ``masks`` says.
        metrics: count clients that go away.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, request: Request, work: Callable[[Announced], Coroutine[Any, Any, dict[str, Any]]], metrics: Metrics
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._request = request
        self._work = work
        self._metrics = metrics
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        told = Announced()
        sending = asyncio.ensure_future(self._send(told, send))
        try:
            last = event("masks", await while_connected(self._request, self._work(told)))
        except ClientLeftError:
            self._metrics.left.inc()
            sending.cancel()
            return
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one request is told to it alone
            own = explained(error)
            if told.events.empty() and not self._begun:
                sending.cancel()
                await own.response()(scope, receive, send)
                return
            last = event("error", own.body())
        told.events.put_nowait(last)
        told.events.put_nowait(None)
        await sending

    async def _send(self, told: Announced, send: Send) -> None:
        while (piece := await told.events.get()) is not None:
            if not self._begun:
                self._begun = True
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
