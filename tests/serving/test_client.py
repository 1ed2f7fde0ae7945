"""A service asked from Python: what comes back is what a pipeline gives, and what goes wrong is a sentence."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg.errors import ImageError, InputError
from thinkseg.serving.asking import Pointed, ServiceAnswerError, Thinking
from thinkseg.serving.http.batching import MOST_GIVEN_UP
from thinkseg.serving.http.gate import Access
from thinkseg.serving.http.limits import Limits

from .http.conftest import SLOW, Scripted, fake_pipeline, serving, until

PHOTO = Image.new("RGB", (40, 30), (200, 30, 30))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(fake_pipeline()) as (address, _, _):
        yield address


@pytest.fixture
def client(url: str) -> Iterator[thinkseg.Client]:
    with thinkseg.Client(url) as client:
        yield client


def same(one: thinkseg.Result, other: thinkseg.Result) -> bool:
    records = [{**result.to_record(), "model": None, "image": None} for result in (one, other)]
    return records[0] == records[1] and np.array_equal(one.image, other.image)


def test_a_result_from_a_service_is_that_of_the_pipeline_behind_it(client: thinkseg.Client, tmp_path: Path) -> None:
    here = fake_pipeline().segment(PHOTO, "the red thing")
    assert same(client.segment(PHOTO, "the red thing"), here)
    assert same(client.segment(np.asarray(PHOTO), "the red thing"), here)
    for name in ("photo.png", "photo.bmp"):
        PHOTO.save(tmp_path / name)
        result = client.segment(tmp_path / name, "the red thing")
        assert same(result, here)
        assert result.source == str(tmp_path / name)
    assert result.save(tmp_path / "out")[-1].name == "photo.json"


def test_a_photo_that_is_turned_comes_back_upright(client: thinkseg.Client, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    PHOTO.save(tmp_path / "photo.jpg", exif=exif)
    result = client.segment(tmp_path / "photo.jpg", "the red thing")
    assert result.image.size == result.size.wh == (30, 40)
    assert result.masks.shape == (1, 40, 30)


def test_a_stream_gives_the_thinking_the_answer_and_the_result(client: thinkseg.Client) -> None:
    heard = list(client.stream(PHOTO, "the red thing"))
    thought = [each.text for each in heard if isinstance(each, Thinking)]
    assert thought[-1] == "There it is."
    assert all(later.startswith(earlier) for earlier, later in pairwise(thought))
    pointed, result = heard[-2:]
    assert isinstance(pointed, Pointed)
    assert isinstance(result, thinkseg.Result)
    assert pointed.answer.frame.wh == (40, 30)
    assert pointed.answer.objects[0].box == result.boxes[0]


def test_whoever_stops_listening_ends_the_request() -> None:
    reasoner = Scripted()
    with serving(fake_pipeline(reasoner)) as (url, service, _), thinkseg.Client(url) as client:
        stream = client.stream(PHOTO, "slow")
        assert next(stream) == Thinking("word")
        stream.close()
        until(lambda: service.inside == 0)
        assert reasoner.tokens < SLOW


def test_the_same_from_an_event_loop(url: str) -> None:
    async def ask() -> None:
        async with thinkseg.AsyncClient(url) as client:
            results = await asyncio.gather(*(client.segment(PHOTO, "the red thing") for _ in range(3)))
            heard = [each async for each in client.stream(PHOTO, "the red thing")]
            assert await client.is_ready()
            assert (await client.models())["segmenter"]["masks"] == "single"
        here = fake_pipeline().segment(PHOTO, "the red thing")
        assert all(same(result, here) for result in [*results, heard[-1]])

    asyncio.run(ask())


def test_it_knows_the_models_and_whether_the_service_is_ready(client: thinkseg.Client) -> None:
    assert client.is_ready()
    assert client.models()["limits"]["query_length"] == 1000
    with thinkseg.Client("http://127.0.0.1:9") as nobody:
        assert not nobody.is_ready()


def test_the_key_comes_from_the_call_or_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(fake_pipeline(), access=Access(key="open")) as (url, _, _):
        with thinkseg.Client(url) as stranger, pytest.raises(ServiceAnswerError, match="the key is missing") as told:
            stranger.models()
        assert told.value.code == "unauthorized"
        with thinkseg.Client(url, key="open") as known:
            assert known.segment(PHOTO, "a").found
        monkeypatch.setenv("THINKSEG_API_KEY", "open")
        with thinkseg.Client(url) as known:
            assert known.models()


def test_a_busy_service_is_asked_again_as_long_as_one_has_patience() -> None:
    with serving(fake_pipeline(Scripted()), limits=Limits(queue=1)) as (url, service, _):

        def ask_slowly() -> None:
            with thinkseg.Client(url) as other:
                other.segment(PHOTO, "slow")

        busy = threading.Thread(target=ask_slowly)
        busy.start()
        until(lambda: service.inside == 1)
        with thinkseg.Client(url, patience=0) as hasty, pytest.raises(ServiceAnswerError) as told:
            hasty.segment(PHOTO, "a")
        assert told.value.code == "busy"
        with thinkseg.Client(url, patience=20) as patient:
            assert patient.segment(PHOTO, "a").found
        busy.join()


def test_what_is_wrong_with_the_call_is_told_before_anything_is_sent(client: thinkseg.Client, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the query is empty"):
        client.segment(PHOTO, " ")
    with pytest.raises(ImageError, match="found no such file"):
        client.segment(tmp_path / "photo.png", "a")
    with pytest.raises(ImageError, match="nothing is fetched"):
        client.segment("https://example.org/a.png", "a")
    with pytest.raises(InputError, match="'image' of segment should be a path"):
        client.segment(3, "a")
    with pytest.raises(InputError, match="expected the address of a service"):
        thinkseg.Client("127.0.0.1:8000")


def test_a_refusal_has_the_services_own_sentence(client: thinkseg.Client) -> None:
    with pytest.raises(ServiceAnswerError, match="a query has at most 1000 characters") as told:
        client.segment(PHOTO, "a" * 2000)
    assert told.value.code == "too_large"


def test_where_nobody_answers_or_somebody_else_the_error_says_so() -> None:
    with thinkseg.Client("http://127.0.0.1:9") as nobody, pytest.raises(ServiceAnswerError, match="is it running"):
        nobody.models()

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(418)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with thinkseg.Client(address) as other, pytest.raises(ServiceAnswerError, match="found one that says 418"):
            other.models()


def test_a_service_with_too_many_threads_that_hang_says_that_it_should_be_started_anew() -> None:
    import httpx

    with serving(fake_pipeline()) as (url, service, _):
        service._reasoner.given_up = MOST_GIVEN_UP
        assert httpx.get(f"{url}/health").status_code == 503
        assert httpx.get(f"{url}/ready").status_code == 503
