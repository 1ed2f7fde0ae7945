"""The service as a client meets it, over real sockets: what is answered, under load too."""

import asyncio
import json
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from thinkseg.imaging import mask_from_rle
from thinkseg.models.engines.served_segmenter import load_served_segmenter
from thinkseg.serving.http.gate import Access
from thinkseg.serving.http.limits import Batching, Limits
from thinkseg.serving.http.schemas import MasksAnswer, ModelsAnswer, SegmentAnswer
from thinkseg.testing import FakeSegmenter
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

from .conftest import HTTP, PNG, SAID, SLOW, Scripted, ask, fake_pipeline, file_of, serving, until

TEXT = b64encode(PNG).decode()


def boxed() -> np.ndarray:
    """What the fake segmenter makes of the box of `SAID` in `PNG`."""
    mask = np.zeros((10, 20), dtype=bool)
    mask[1:9, 1:9] = True
    return mask


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_query_is_answered_with_the_thinking_the_objects_and_their_masks(url: str) -> None:
    answer = ask(url)
    assert answer.status_code == 200
    found = SegmentAnswer.model_validate_json(answer.content, strict=True)
    assert (found.thinking, found.failure, found.nothing_there) == ("There it is.", None, False)
    assert (found.size.width, found.size.height, found.query) == (20, 10, "the red thing")
    (thing,) = found.objects
    assert (thing.box, thing.points, thing.labels, thing.score) == ([1, 1, 8, 8], [[4, 4]], [1], 0.5)
    assert np.array_equal(mask_from_rle(thing.mask.model_dump()), boxed())
    assert thing.polygons is None
    assert found.completion.text == SAID
    assert 0 < found.timings.reasoner < found.timings.total


def test_json_with_an_image_in_base64_or_a_data_url_is_answered_as_a_form_is(url: str) -> None:
    expected = ask(url).json()["objects"]
    for image in (TEXT, f"data:image/png;base64,{TEXT}"):
        answer = HTTP.post(f"{url}/v1/segment", json={"image": image, "query": "the red thing"})
        assert answer.json()["objects"] == expected


def test_polygons_come_on_request_along_the_edges_of_the_pixels(url: str) -> None:
    (found,) = ask(url, polygons="true", tolerance="0").json()["objects"]
    (ring,) = found["polygons"]
    assert sorted(map(tuple, ring)) == [(1, 1), (1, 9), (9, 1), (9, 9)]


@pytest.mark.parametrize(
    ("output", "mode", "values"), [("mask", "L", {0, 255}), ("index", "P", {0, 1}), ("cutout", "RGBA", None)]
)
def test_a_png_comes_on_request(url: str, output: str, mode: str, values: set[int] | None) -> None:
    answer = ask(url, output=output)
    assert answer.headers["content-type"] == "image/png"
    assert "X-ThinkSeg-Failure" not in answer.headers
    image = Image.open(BytesIO(answer.content))
    assert image.size == (20, 10)
    pixels = np.asarray(image.getchannel("A") if output == "cutout" else image)
    assert np.array_equal(pixels > 0, boxed())
    assert image.mode == mode
    assert values is None or set(np.unique(pixels)) == values


def test_a_completion_that_cannot_be_read_is_an_answer_that_says_so() -> None:
    with serving(fake_pipeline(Scripted())) as (url, _, _):
        told = ask(url, "babble").json()
        assert (told["failure"], told["objects"], told["thinking"]) == ("malformed_answer", [], None)
        assert told["failure_detail"]
        drawn = ask(url, "babble", output="mask")
        assert drawn.headers["X-ThinkSeg-Failure"] == "malformed_answer"
        assert not np.asarray(Image.open(BytesIO(drawn.content))).any()
        assert 'thinkseg_failures_total{failure="malformed_answer"} 2.0' in HTTP.get(f"{url}/metrics").text


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_a_stream_tells_the_thinking_then_the_boxes_then_the_masks(url: str) -> None:
    answer = ask(url, path="/v1/segment/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer)
    names = [name for name, _ in told]
    assert names == ["thinking"] * (len(names) - 2) + ["boxes", "masks"]
    assert names.count("thinking") > 1
    assert "".join(data["text"] for name, data in told if name == "thinking") == "There it is."
    assert told[-2][1]["objects"] == [{"box": [1, 1, 8, 8], "points": [[4, 4]], "labels": [1]}]
    whole = ask(url).json()
    assert {**told[-1][1], "timings": 0} == {**whole, "timings": 0}


def test_a_stream_that_cannot_begin_is_refused_with_its_status(url: str) -> None:
    assert error_of(ask(url, image=b"no image", path="/v1/segment/stream")) == (400, "bad_request")
    assert error_of(ask(url, output="mask", path="/v1/segment/stream")) == (400, "bad_request")


def test_boxes_and_points_are_answered_with_masks_answer_by_answer(url: str) -> None:
    objects = [{"box": [1, 1, 8, 8]}, {"points": [[4, 4, 1], [15, 4, 0]]}]
    answer = HTTP.post(f"{url}/v1/masks", json={"image": TEXT, "answers": [objects, [], objects[:1]]})
    assert answer.status_code == 200
    found = MasksAnswer.model_validate_json(answer.content, strict=True)
    assert found.size == [20, 10]
    assert [len(each.objects) for each in found.answers] == [2, 0, 1]
    assert np.array_equal(mask_from_rle(found.answers[0].objects[0].mask.model_dump()), boxed())
    assert found.answers[2].objects[0] == found.answers[0].objects[0]
    assert found.answers[0].objects[0].score == 0.5


def test_a_segmenter_that_is_shared_has_the_masks_of_the_one_behind_the_service(url: str) -> None:
    image = Image.new("RGB", (20, 10), (200, 30, 30))
    found = ObjectPrompt(Box(4, 4, 16, 12)), ObjectPrompt(None, (Point(30, 10),))
    answers = [Answer(Size(40, 20), found), Answer(Size(9, 9))]
    there, here = load_served_segmenter(url).segment(image, answers), FakeSegmenter().segment(image, answers)
    assert [np.array_equal(one.masks, other.masks) for one, other in zip(there, here, strict=True)] == [True, True]
    assert here[0].masks.any(axis=(1, 2)).all()


def test_it_says_which_models_it_has_and_how_it_is(url: str) -> None:
    models = ModelsAnswer.model_validate(HTTP.get(f"{url}/v1/models").json())
    assert models.segmenter.masks == "single"
    assert models.limits["formats"] == ["PNG", "JPEG", "WEBP"]
    assert HTTP.get(f"{url}/health").json()["status"] == "UP"
    assert HTTP.get(f"{url}/ready").json()["status"] == "READY"


def test_figures_for_prometheus_count_requests_and_batches() -> None:
    with serving(fake_pipeline()) as (url, _, _):
        ask(url)
        ask(url, image=b"no image")
        HTTP.get(f"{url}/no/such/path")
        told = HTTP.get(f"{url}/metrics").text
    assert 'thinkseg_requests_total{route="/v1/segment",status="200"} 1.0' in told
    assert 'thinkseg_requests_total{route="/v1/segment",status="400"} 1.0' in told
    assert 'thinkseg_requests_total{route="other",status="404"} 1.0' in told
    assert 'thinkseg_batch_size_count{model="reasoner"} 1.0' in told
    assert "/no/such/path" not in told


def test_many_at_once_are_worked_on_together_and_each_gets_its_own_answer() -> None:
    reasoner = Scripted()
    sizes = [(20 + number, 10) for number in range(12)]
    images = [file_of(Image.new("RGB", size)) for size in sizes]
    together = Batching(most=8, wait=0.05)
    with serving(fake_pipeline(reasoner), batching=together) as (url, _, _), ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda image: ask(url, "slow", image).json(), images))
    assert [(told["size"]["width"], told["size"]["height"]) for told in answers] == sizes
    assert sum(reasoner.batches) == 12
    assert len(reasoner.batches) <= 6
    assert max(reasoner.batches) <= 8


def test_a_request_that_raises_harms_only_itself_and_tells_nothing_of_the_machine() -> None:
    asked = ["slow", "raise", "slow", "slow", "raise", "slow"]
    together = Batching(most=8, wait=0.2)
    with serving(fake_pipeline(Scripted()), batching=together) as (url, _, _), ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda query: ask(url, query), asked))
    assert [answer.status_code for answer in answers] == [200, 500, 200, 200, 500, 200]
    assert error_of(answers[1]) == (500, "internal")
    assert "secret" not in answers[1].text
    assert "Error" not in answers[1].text


def test_a_request_that_hangs_is_given_up_and_harms_only_itself() -> None:
    reasoner = Scripted()
    with serving(fake_pipeline(reasoner), batching=Batching(most=8, wait=0.2, stall=0.4)) as (url, _, _):
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda query: ask(url, query), ["fine", "hang", "fine", "fine"]))
        assert [answer.status_code for answer in answers] == [200, 504, 200, 200]
        assert ask(url).status_code == 200
        reasoner.go_on.set()


def test_a_timeout_answers_504_frees_the_slot_and_ends_the_writing() -> None:
    reasoner = Scripted()
    with serving(fake_pipeline(reasoner), limits=Limits(timeout=0.3, queue=1)) as (url, service, _):
        answer = ask(url, "slow")
        assert error_of(answer) == (504, "timeout")
        assert service.inside == 0
        assert ask(url).status_code == 200
        assert reasoner.tokens < SLOW
        stream = events(ask(url, "slow", path="/v1/segment/stream"))
        assert stream[0][0] == "thinking"
        assert stream[-1][0] == "error"
        assert stream[-1][1]["error"]["code"] == "timeout"


@pytest.mark.parametrize("path", ["/v1/segment", "/v1/segment/stream"])
def test_a_client_that_goes_away_stops_its_generation(path: str) -> None:
    reasoner = Scripted()
    with serving(fake_pipeline(reasoner)) as (url, service, _):

        async def leave() -> None:
            async with httpx.AsyncClient() as client:
                asking = asyncio.ensure_future(
                    client.post(url + path, data={"query": "slow"}, files={"image": ("a.png", PNG)})
                )
                while reasoner.tokens < 3:
                    await asyncio.sleep(0.005)
                asking.cancel()

        asyncio.run(leave())
        until(lambda: service.inside == 0)
        written = reasoner.tokens
        time.sleep(0.1)
        assert reasoner.tokens <= written + 1
        assert written < SLOW
        assert "thinkseg_clients_left_total 1.0" in HTTP.get(f"{url}/metrics").text


def test_a_full_queue_answers_429_and_says_when_to_come_again() -> None:
    reasoner = Scripted()
    with serving(fake_pipeline(reasoner), limits=Limits(queue=2), batching=Batching(most=1)) as (url, service, _):
        with ThreadPoolExecutor(2) as pool:
            inside = [pool.submit(ask, url, "slow") for _ in range(2)]
            until(lambda: service.inside == 2)
            refused = ask(url)
            assert error_of(refused) == (429, "busy")
            assert int(refused.headers["Retry-After"]) >= 1
            assert HTTP.get(f"{url}/ready").status_code == 503
            assert HTTP.get(f"{url}/health").status_code == 200
        assert [future.result().status_code for future in inside] == [200, 200]
        assert ask(url).status_code == 200


def test_pixels_that_wait_have_a_limit_too_but_one_image_is_always_taken() -> None:
    with serving(fake_pipeline(Scripted()), limits=Limits(queue_pixels=200)) as (url, service, _):
        with ThreadPoolExecutor(1) as pool:
            inside = pool.submit(ask, url, "slow", file_of(Image.new("RGB", (30, 10))))
            until(lambda: service.inside == 1)
            assert error_of(ask(url)) == (429, "busy")
        assert inside.result().status_code == 200


def test_a_service_that_is_told_to_end_answers_what_it_has_begun_and_takes_no_more() -> None:
    with serving(fake_pipeline(Scripted())) as (url, service, server):
        with httpx.Client(base_url=url) as kept, ThreadPoolExecutor(1) as pool:
            assert kept.get("/ready").status_code == 200
            inside = pool.submit(ask, url, "slow")
            until(lambda: service.inside == 1)
            service.draining = True  # what SIGTERM does first
            refused = kept.post("/v1/segment", data={"query": "a"}, files={"image": ("a.png", PNG)})
            assert error_of(refused) == (503, "unavailable")
            assert int(refused.headers["Retry-After"]) >= 1
            server.handle_exit(15, None)
            assert inside.result().status_code == 200
        until(lambda: not _is_up(url))


def _is_up(url: str) -> bool:
    try:
        HTTP.get(f"{url}/health", timeout=5)
    except httpx.HTTPError:
        return False
    return True


def test_requests_need_the_key_where_there_is_one_however_they_bring_it() -> None:
    with serving(fake_pipeline(), access=Access(key="open sesame")) as (url, _, _):
        refused = HTTP.get(f"{url}/v1/models")
        assert error_of(refused) == (401, "unauthorized")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        for wrong in ("Bearer open", "Bearer", "Basic eDp5", "Basic ?", "open sesame"):
            assert HTTP.get(f"{url}/metrics", headers={"Authorization": wrong}).status_code == 401
        assert HTTP.get(f"{url}/v1/models", headers={"Authorization": "Bearer open sesame"}).status_code == 200
        assert HTTP.get(f"{url}/v1/models", auth=("anybody", "open sesame")).status_code == 200
        assert HTTP.get(f"{url}/health").status_code == 200
        assert HTTP.get(f"{url}/ready").status_code == 200


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_a_page_of_somebody_elses_cannot_ask(url: str, headers: dict[str, str]) -> None:
    answer = HTTP.get(f"{url}/v1/models", headers=headers)
    assert error_of(answer) == (403, "forbidden")
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_that_is_named_may_ask_and_no_other() -> None:
    with serving(fake_pipeline(), access=Access(origins=("https://label.example",))) as (url, _, _):
        own = HTTP.get(f"{url}/v1/models", headers={"Origin": "https://label.example"})
        assert own.headers["access-control-allow-origin"] == "https://label.example"
        other = HTTP.get(f"{url}/v1/models", headers={"Origin": "https://evil.example"})
        assert other.status_code == 403
        asked = {"Origin": "https://label.example", "Access-Control-Request-Method": "POST"}
        assert HTTP.options(f"{url}/v1/segment", headers=asked).status_code == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read() -> None:
    with serving(fake_pipeline(), limits=Limits(image_bytes=1000)) as (url, service, _):
        most = service.limits.body_bytes
        connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
        connection.putrequest("POST", "/v1/segment")
        connection.putheader("Content-Length", str(most + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()

        def endless() -> Any:
            for _ in range(most // 1000 + 2):
                yield bytes(1000)

        answer = HTTP.post(f"{url}/v1/segment", content=endless(), headers={"Content-Type": "application/json"})
        assert error_of(answer) == (413, "too_large")
        assert ask(url).status_code == 200


def test_a_request_that_never_ends_is_given_up() -> None:
    with serving(fake_pipeline(), limits=Limits(timeout=0.2)) as (url, _, _):
        go_on = threading.Event()

        def slow() -> Any:
            yield b"{"
            go_on.wait(1)

        answer = HTTP.post(f"{url}/v1/segment", content=slow(), headers={"Content-Type": "application/json"})
        go_on.set()
        assert error_of(answer) == (408, "slow_request")
