"""A server that is asked patiently: what may pass is waited for, what will not is told at once."""

import socket
import threading
import time
from email.utils import formatdate

import pytest

from thinkseg.errors import InputError
from thinkseg.models.engines.service import JsonService, Patience, ServiceError, checked_address, is_address, key_from

from .servers import answering, hang_up, send

QUICK = Patience(timeout=60.0, retries=2, first_wait=0.01)


class Waits:
    """A clock that `sleep` moves on, and the seconds that were slept."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def clock(self):
        return self.now


def in_turn(*answers):
    """Give each answer once, and the last for ever."""
    left = list(answers)

    def answer(handler, path, body):
        give = left.pop(0) if len(left) > 1 else left[0]
        give(handler)

    return answer


def fine(handler):
    send(handler, {"right": True})


def status(code, *headers, content=b""):
    return lambda handler: send(handler, content, code, headers)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(code):
    with answering(in_turn(status(code), status(code), fine)) as server:
        assert JsonService(server.address, patience=QUICK).post("/x", {"a": 1}) == {"right": True}
    assert server.posts() == [{"a": 1}] * 3


def test_a_connection_that_breaks_and_an_answer_that_is_no_json_are_tried_again():
    with answering(in_turn(hang_up, status(200, content=b"<html>busy"), fine)) as server:
        assert JsonService(server.address, patience=QUICK).get("/x") == {"right": True}
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"error": {"code": "bad", "message": "no such model"}}', r"refuses the request: HTTP 404 \(no such model\)"),
        (b'{"detail": "gone"}', r"HTTP 404 \(gone\)"),
        (b"plain\nwords", r"HTTP 404 \(plain words\)"),
        (b"", "HTTP 404$"),
        (b'{"error": [1]}', r"HTTP 404 \("),
    ],
)
def test_what_will_not_pass_is_told_at_once_in_the_servers_words(content, said):
    with (
        answering(in_turn(status(404, content=content))) as server,
        pytest.raises(ServiceError, match=said) as raised,
    ):
        JsonService(server.address, patience=QUICK).get("/x")
    assert len(server.asked) == 1
    assert (raised.value.status, raised.value.reached) == (404, True)


def test_it_is_given_up_after_the_last_try_with_the_reason_of_that_one():
    with (
        answering(in_turn(status(500), status(500), status(503, content=b"full"))) as server,
        pytest.raises(ServiceError, match=r"asked 3 times without success: HTTP 503 \(full\)"),
    ):
        JsonService(server.address, patience=QUICK).get("/x")


def test_waits_grow_and_are_never_longer_than_the_longest():
    waits = Waits()
    patience = Patience(timeout=5.0, retries=6, first_wait=1.0, longest_wait=4.0)
    with answering(in_turn(status(500))) as server, pytest.raises(ServiceError):
        JsonService(server.address, patience=patience, sleep=waits.sleep, clock=waits.clock).get("/x")
    for waited, longest in zip(waits.slept, [1, 2, 4, 4, 4, 4], strict=True):
        assert longest / 2 <= waited <= longest


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_in_seconds_is_kept_to(code):
    waits = Waits()
    with answering(in_turn(status(code, ("Retry-After", "7")), fine)) as server:
        JsonService(server.address, patience=QUICK, sleep=waits.sleep, clock=waits.clock).get("/x")
    assert sum(waits.slept) == pytest.approx(7)


def test_retry_after_as_a_date_is_kept_to():
    waits = Waits()
    date = formatdate(time.time() + 60, usegmt=True)
    with answering(in_turn(status(429, ("Retry-After", date)), fine)) as server:
        JsonService(server.address, patience=QUICK, sleep=waits.sleep, clock=waits.clock).get("/x")
    assert 55 < sum(waits.slept) <= 61


@pytest.mark.parametrize("strange", ["soon", "nan", "inf", "-3", "Mon, 99 Foo 2026"])
def test_a_retry_after_that_says_nothing_leaves_the_usual_wait(strange):
    waits = Waits()
    with answering(in_turn(status(429, ("Retry-After", strange)), fine)) as server:
        JsonService(server.address, patience=QUICK, sleep=waits.sleep, clock=waits.clock).get("/x")
    assert sum(waits.slept) < 1


def test_a_server_that_wants_hours_of_quiet_is_given_up():
    with (
        answering(in_turn(status(429, ("Retry-After", "7200")))) as server,
        pytest.raises(ServiceError, match=r"wants 7200 seconds of quiet, more than the 600 kept"),
    ):
        JsonService(server.address, patience=QUICK).get("/x")
    assert len(server.asked) == 1


def test_while_one_thread_is_asked_to_wait_the_others_keep_quiet_too():
    at = []
    first = threading.Event()

    def answer(handler, path, body):
        at.append(time.monotonic())
        if len(at) == 1:
            send(handler, b"", 429, [("Retry-After", "0.3")])
            first.set()
        else:
            fine(handler)

    with answering(answer) as server:
        service = JsonService(server.address, patience=QUICK)
        threads = [threading.Thread(target=service.get, args=("/x",)) for _ in range(3)]
        threads[0].start()
        first.wait(60)
        time.sleep(0.05)  # until the first thread has read its answer
        for thread in threads[1:]:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(at) == 4
    assert min(at[1:]) - at[0] > 0.25


def test_a_server_that_says_nothing_is_left_when_its_time_is_up():
    patience = Patience(timeout=0.2, retries=0)
    with (
        answering(lambda *_: time.sleep(1)) as server,
        pytest.raises(ServiceError, match=r"asked once .*no answer within 0\.2 seconds"),
    ):
        JsonService(server.address, patience=patience).get("/x")


def test_a_server_that_trickles_is_left_when_its_time_is_up():
    def trickle(handler, path, body):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)

    with answering(trickle) as server, pytest.raises(ServiceError, match=r"no whole answer within 0\.3 seconds"):
        JsonService(server.address, patience=Patience(timeout=0.3, retries=0)).get("/x")


def test_an_endless_answer_is_cut():
    patience = Patience(timeout=5.0, retries=2, most_bytes=1000)
    with (
        answering(in_turn(status(200, content=b"1" * 100_000))) as server,
        pytest.raises(ServiceError, match="more than 1,000 bytes"),
    ):
        JsonService(server.address, patience=patience).get("/x")
    assert len(server.asked) == 1


def test_the_key_is_sent_and_does_not_follow_to_another_address():
    with answering(in_turn(status(307, ("Location", "http://127.0.0.1:9/other")))) as server:
        with pytest.raises(ServiceError, match=r"leads elsewhere \(HTTP 307\), which is not followed"):
            JsonService(server.address, "sesame", QUICK).get("/x")
        assert [headers["Authorization"] for _, _, _, headers in server.asked] == ["Bearer sesame"]


def test_where_nothing_listens_a_request_waits_and_the_next_ones_do_not():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    waits = Waits()
    service = JsonService(address, patience=QUICK, sleep=waits.sleep, clock=waits.clock)
    with pytest.raises(ServiceError, match=r"asked 3 times without success: no connection") as raised:
        service.get("/x")
    assert not raised.value.reached
    waited = len(waits.slept)
    with pytest.raises(ServiceError, match=r"asked once without success: no connection"):
        service.get("/x")
    assert len(waits.slept) == waited


@pytest.mark.parametrize(
    "name",
    ["http://", "http:///v1", "http://host:port/v1", "http://a:99999", "https://u:p@h/", "http://h/?a=1", "http://h /"],
)
def test_an_address_that_is_none_is_told_with_what_one_looks_like(name):
    with pytest.raises(InputError, match=r"expected the address of a server, such as http://127\.0\.0\.1:8000/v1"):
        checked_address(name, "a server")


def test_addresses_are_told_from_folders_hub_ids_and_code():
    assert all(map(is_address, ["http://a", "https://a:1/v1", "HTTP://A"]))
    assert not any(map(is_address, ["pocket", "facebook/sam2", "my.py:Seg", "/http://a", None, "httpx"]))
    assert checked_address("http://a:1/v1/", "a server") == "http://a:1/v1"


def test_a_key_that_no_header_takes_is_refused_and_not_shown(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sëcret")
    with pytest.raises(InputError, match="SOME_KEY") as raised:
        key_from("SOME_KEY")
    assert "cret" not in str(raised.value)
    monkeypatch.setenv("SOME_KEY", " right\n")
    assert key_from("SOME_KEY") == "right"
    monkeypatch.delenv("SOME_KEY")
    assert key_from("SOME_KEY") is None
