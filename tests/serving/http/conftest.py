"""A real server on loopback in front of models that are quick, slow, or broken as a test wants them."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.http.app import create_app
from thinkseg.serving.http.gate import Access
from thinkseg.serving.http.limits import Batching, Limits
from thinkseg.serving.http.server import Server
from thinkseg.serving.http.service import Service
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, Request, Size

SAID = "<think>There it is.</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"
"""Of an image of its own size: a box from (1, 1) to (8, 8), which the fake segmenter fills with 64 pixels."""


SLOW = 100
"""Tokens of a completion that takes half a second at least."""


class Scripted:
    """A reasoner whose completions do what the query says: "hang", "raise", "slow", "babble"; else it answers.

    Attributes:
        batches: how many requests each call brought.
        tokens: how many have been written by now.
        go_on: ends what hangs.
    """

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.tokens = 0
        self.go_on = threading.Event()

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        return self.stream(requests, lambda number, text: None)

    def frame_of(self, image: Image.Image) -> Size:
        return Size(*image.size)

    def stream(self, requests: Sequence[Request], listen: Callable[[int, str], bool | None]) -> list[Completion]:
        self.batches.append(len(requests))
        said = [request.instruction.user for request in requests]
        if any("raise" in query for query in said):
            raise ZeroDivisionError("/models/secret.py")
        if any("hang" in query for query in said):
            self.go_on.wait(30)
        wanted = set(range(len(requests)))
        for count in range(1, 1 + (SLOW if any("slow" in query for query in said) else 1)):
            if not wanted:
                break
            time.sleep(0.005)
            self.tokens += 1
            wanted = {number for number in wanted if listen(number, "<think>" + "word " * count) is not False}
        return [Completion("nothing to read" if "babble" in query else SAID) for query in said]


def fake_pipeline(reasoner: Any = None) -> Pipeline:
    return Pipeline(reasoner or FakeReasoner(lambda _: SAID), FakeSegmenter(score=0.5), get_format("seg-r1"))


@contextmanager
def serving(
    pipeline: Pipeline,
    *,
    limits: Limits | None = None,
    batching: Batching | None = None,
    access: Access | None = None,
    **more: Any,
) -> Iterator[tuple[str, Service, Server]]:
    """The address of a server that runs, its service, and itself."""
    service = Service(pipeline, limits=limits, batching=batching)
    heard: list[str] = []
    server = Server(create_app(service, access, **more), service, "127.0.0.1", 0, heard.append)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: bool(heard))
    try:
        yield heard[0], service, server
    finally:
        server.should_exit = True
        thread.join(20)
        service.close()
        assert not thread.is_alive()


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come to hold"
        time.sleep(0.005)


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


PNG = file_of(Image.new("RGB", (20, 10), (200, 30, 30)))


HTTP = httpx.Client(verify=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
"""Asks services; made once, as that takes longer than a request."""


def ask(url: str, query: str = "the red thing", image: bytes = PNG, path: str = "/v1/segment", **fields: str) -> Any:
    """The answer to a form."""
    data = {"query": query, **fields}
    return HTTP.post(url + path, data=data, files={"image": ("a.png", image)})


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """A service of fakes that answer at once."""
    with serving(fake_pipeline()) as (address, _, _):
        yield address
