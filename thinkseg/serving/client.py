"""`thinkseg.Client`: a service of ThinkSeg, asked from Python; it gives what a pipeline in this process would.

::

    with thinkseg.Client("http://127.0.0.1:8000") as client:
        result = client.segment("photo.jpg", "what could fly away")
        result.save("out")

`AsyncClient` has the same methods to be awaited. Both need httpx, which the extra ``serve`` brings.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from PIL import Image

from thinkseg.arguments import PATH, TEXT, Kind, instance, optional, takes
from thinkseg.inputs import ImageInput
from thinkseg.results.result import Result
from thinkseg.serving.asking import EventReader, Heard, Question, ask, explained, json_of, load_httpx, wait, where_is

if TYPE_CHECKING:
    import httpx

_SECONDS = Kind("a number of seconds", lambda value: isinstance(value, int | float) and value >= 0)
_TAKEN = {"url": TEXT, "key": optional(TEXT), "timeout": _SECONDS, "patience": _SECONDS}
_IMAGE = PATH | instance("a PIL image", Image.Image) | Kind("an array", lambda value: hasattr(value, "__array__"))


class Client:
    """A service, asked from this thread or from several.

    Args:
        url: its address.
        key: its key, if it has one; that of the environment's ``THINKSEG_API_KEY`` when None.
        timeout: seconds to wait for an answer.
        patience: seconds in which a request is sent again, after as many as the service says, where it is busy.

    Raises:
        InputError: the address is none.
        MissingExtraError: httpx is not installed.
    """

    @takes(**_TAKEN)
    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout: float = 180.0,
        patience: float = 60.0,
    ) -> None:
        self._where = where_is(url, key, timeout, patience)
        self._http: httpx.Client = load_httpx().Client(**self._where.options)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @takes(image=_IMAGE, query=TEXT)
    def segment(self, image: ImageInput, query: str) -> Result:
        """What `Pipeline.segment` gives, from the service.

        Args:
            image: a path, a PIL image or an array; an address is not fetched.
            query: what to look for, in words.

        Raises:
            ImageError: the image is missing or cannot be read.
            InputError: the query is empty.
            ServiceAnswerError: the service cannot be reached, or refuses.
        """
        asked = ask(image, query)
        with self._answer("POST", "/v1/segment", **asked.parts) as answer:
            answer.read()
            return asked.result(json_of(answer))

    @takes(image=_IMAGE, query=TEXT)
    def stream(self, image: ImageInput, query: str) -> Iterator[Heard]:
        """What is heard of a request: the thinking while it is written, the answer, and last the `Result`.

        Whoever stops listening ends the request.

        Args:
            image: as for `segment`.
            query: what to look for, in words.

        Raises:
            ImageError: the image is missing or cannot be read.
            InputError: the query is empty.
            ServiceAnswerError: the service cannot be reached, or refuses.
        """
        asked = ask(image, query)
        return self._stream(asked)

    def _stream(self, asked: Question) -> Iterator[Heard]:
        with self._answer("POST", "/v1/segment/stream", **asked.parts) as answer:
            hearing = EventReader(asked)
            for line in answer.iter_lines():
                yield from hearing.of(line)

    def models(self) -> dict[str, Any]:
        """Which models the service has, by ``reasoner`` and ``segmenter``, and its ``limits``.

        Raises:
            ServiceAnswerError: the service cannot be reached, or refuses.
        """
        with self._answer("GET", "/v1/models") as answer:
            answer.read()
            return json_of(answer)

    def is_ready(self) -> bool:
        """Whether the service would take a request now; one that cannot be reached would not."""
        try:
            return bool(self._http.get("/ready").status_code == 200)
        except load_httpx().HTTPError:
            return False

    @contextmanager
    def _answer(self, method: str, path: str, **parts: Any) -> Iterator[httpx.Response]:
        until = time.monotonic() + self._where.patience
        while True:
            with explained(self._where), self._http.stream(method, path, **parts) as answer:
                if answer.status_code == 200:
                    yield answer
                    return
                answer.read()
                seconds = wait(answer, until)
            time.sleep(seconds)


class AsyncClient:
    """A service, asked from an event loop; the same as `Client`, to be awaited.

    Args:
        url: its address.
        key: its key, if it has one; that of the environment's ``THINKSEG_API_KEY`` when None.
        timeout: seconds to wait for an answer.
        patience: seconds in which a request is sent again, after as many as the service says, where it is busy.

    Raises:
        InputError: the address is none.
        MissingExtraError: httpx is not installed.
    """

    @takes(**_TAKEN)
    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout: float = 180.0,
        patience: float = 60.0,
    ) -> None:
        self._where = where_is(url, key, timeout, patience)
        self._http: httpx.AsyncClient = load_httpx().AsyncClient(**self._where.options)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @takes(image=_IMAGE, query=TEXT)
    async def segment(self, image: ImageInput, query: str) -> Result:
        """As `Client.segment`."""
        asked = await asyncio.to_thread(ask, image, query)
        async with self._answer("POST", "/v1/segment", **asked.parts) as answer:
            await answer.aread()
            return await asyncio.to_thread(asked.result, json_of(answer))

    @takes(image=_IMAGE, query=TEXT)
    async def stream(self, image: ImageInput, query: str) -> AsyncIterator[Heard]:
        """As `Client.stream`."""
        asked = await asyncio.to_thread(ask, image, query)
        async with self._answer("POST", "/v1/segment/stream", **asked.parts) as answer:
            hearing = EventReader(asked)
            async for line in answer.aiter_lines():
                for heard in hearing.of(line):
                    yield heard

    async def models(self) -> dict[str, Any]:
        """As `Client.models`."""
        async with self._answer("GET", "/v1/models") as answer:
            await answer.aread()
            return json_of(answer)

    async def is_ready(self) -> bool:
        """As `Client.is_ready`."""
        try:
            return bool((await self._http.get("/ready")).status_code == 200)
        except load_httpx().HTTPError:
            return False

    @asynccontextmanager
    async def _answer(self, method: str, path: str, **parts: Any) -> AsyncIterator[httpx.Response]:
        until = time.monotonic() + self._where.patience
        while True:
            with explained(self._where):
                async with self._http.stream(method, path, **parts) as answer:
                    if answer.status_code == 200:
                        yield answer
                        return
                    await answer.aread()
                    seconds = wait(answer, until)
            await asyncio.sleep(seconds)
