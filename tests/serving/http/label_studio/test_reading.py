"""Images of tasks come from the places that the operator names, and from nowhere else."""

import asyncio
import base64
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import ClassVar
from urllib.request import Request

import pytest

from thinkseg.errors import InputError
from thinkseg.serving.http.errors import RequestError
from thinkseg.serving.http.label_studio.reading import TaskImages
from thinkseg.serving.http.limits import Limits

LIMITS = Limits(image_bytes=100)


class Studio(BaseHTTPRequestHandler):
    """What of Label Studio has images: a file, one that leads elsewhere, a large one; and tokens for tokens."""

    asked: ClassVar[list[tuple[str, str | None]]] = []
    over: ClassVar[set[str]] = set()
    """Access tokens whose minutes are over."""
    given = itertools.count(1)
    """Numbers of access tokens."""

    def do_GET(self) -> None:
        authorization = self.headers["Authorization"]
        self.asked.append((self.path, authorization))
        if authorization in self.over:
            self.send_response(401)
            self.end_headers()
            return
        if self.path.startswith("/data/upload/1/elsewhere"):
            self.send_response(302)
            self.send_header("Location", "/data/upload/1/a.png")
            self.end_headers()
            return
        self.send_response(200 if self.path.startswith("/data/") else 404)
        self.end_headers()
        self.wfile.write(b"x" * 1000 if "large" in self.path else b"content")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, body.decode()))
        self.send_response(200)
        self.end_headers()
        access = f'{{"access": "minutes.{next(Studio.given)}"}}'.encode()
        self.wfile.write(access if b"good" in body else b'{"detail": "no"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Studio)
    Studio.asked.clear()
    Studio.over.clear()
    Studio.given = itertools.count(1)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def read(images: TaskImages, address: object) -> bytes:
    return asyncio.run(images.content(address, LIMITS))


def refused(images: TaskImages, address: object) -> tuple[str, str]:
    with pytest.raises(RequestError) as error:
        read(images, address)
    return error.value.code, error.value.message


def test_a_path_and_an_address_of_the_one_label_studio_are_fetched_with_its_token(host: str) -> None:
    images = TaskImages(host + "/", token="secret")
    assert read(images, "/data/upload/1/a%20b.png") == b"content"
    assert read(images, f"{host}/data/local-files/?d=a.png") == b"content"
    assert Studio.asked == [
        ("/data/upload/1/a%20b.png", "Token secret"),
        ("/data/local-files/?d=a.png", "Token secret"),
    ]


CHANGED = ("/api/token/refresh/", '{"refresh": "a.good.one"}')
ONE = "/data/upload/1/a.png"


def test_a_personal_token_is_changed_once_for_one_that_lives_for_minutes(host: str) -> None:
    images = TaskImages(host, token="a.good.one")
    assert [read(images, ONE) for _ in range(3)] == [b"content"] * 3
    assert Studio.asked == [CHANGED, *[(ONE, "Bearer minutes.1")] * 3]
    assert refused(TaskImages(host, token="a.bad.one"), ONE)[0] == "bad_request"


def test_and_again_when_its_minutes_are_over(host: str) -> None:
    images = TaskImages(host, token="a.good.one")
    read(images, ONE)
    Studio.over.add("Bearer minutes.1")
    assert [read(images, ONE) for _ in range(2)] == [b"content"] * 2
    assert Studio.asked[2:] == [(ONE, "Bearer minutes.1"), CHANGED, *[(ONE, "Bearer minutes.2")] * 2]


def test_many_images_at_once_change_it_once(host: str) -> None:
    images = TaskImages(host, token="a.good.one")
    read(images, ONE)
    Studio.over.add("Bearer minutes.1")
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(read, [images] * 8, [ONE] * 8)) == [b"content"] * 8
    assert Studio.asked.count(CHANGED) == 2


def test_many_images_share_one_wait_for_a_label_studio_that_does_not_answer_about_the_token() -> None:
    asked: list[str] = []
    silent = threading.Event()

    def opener(request: Request, timeout: float) -> BytesIO:
        del timeout
        asked.append(request.full_url)
        silent.wait(20)
        raise TimeoutError("timed out")

    images = TaskImages("http://studio.example", token="a.good.one", opener=opener)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(refused, images, ONE) for _ in range(8)]
        assert not wait(waiting, 0.5).done
        silent.set()
        assert {each.result() for each in waiting} == {
            ("bad_request", "the image cannot be fetched from Label Studio: see the log")
        }
    assert set(asked) == {"http://studio.example/api/token/refresh/"}
    assert len(asked) < 4  # one, but for an image that comes late to a machine that is busy
    before = len(asked)
    refused(images, ONE)
    assert len(asked) == before + 1


def test_an_image_that_is_refused_to_a_token_of_this_minute_is_refused(host: str) -> None:
    Studio.over.update(f"Bearer minutes.{number}" for number in range(9))
    images = TaskImages(host, token="a.good.one")
    assert refused(images, ONE)[0] == "bad_request"
    assert len(Studio.asked) == 2
    assert refused(images, ONE)[0] == "bad_request"
    assert len(Studio.asked) == 5


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/data/upload/1/a.png",
        "http://example.org/data/upload/1/a.png",
        "//example.org/data/upload/1/a.png",
        "http://127.0.0.1:99999/data/upload/1/a.png",
        "https://HOST/data/upload/1/a.png",
        "http://HOST@example.org/data/upload/1/a.png",
        "file:///etc/passwd",
        "s3://bucket/a.png",
        "/etc/passwd",
        "/api/current-user/token",
        "/data/upload/../../api/current-user/token",
        "/data/upload/%2e%2e/%2e%2e/api/current-user/token",
        "/data/upload/..\\..\\api/",
        "a.png",
        "http://[",
        "//[",
    ],
)
def test_nothing_else_is_asked(host: str, address: str) -> None:
    images = TaskImages(host, token="secret")
    assert refused(images, address.replace("HOST", host.removeprefix("http://")))[0] in ("forbidden", "bad_request")
    assert Studio.asked == []


@pytest.mark.parametrize(
    "address", ["%2Fdata%2Fupload%2F.evil.example/a.png", "%2Fdata%2Fupload%2F@evil.example/a.png", "/data/upload/@x"]
)
def test_no_address_changes_the_host_that_gets_the_token(address: str) -> None:
    asked: list[str] = []

    def opener(request: Request, timeout: float) -> BytesIO:
        del timeout
        asked.append(request.host)
        return BytesIO(b"content")

    read(TaskImages("http://studio.example", token="secret", opener=opener), address)
    assert asked == ["studio.example"]


def test_a_name_in_other_letters_is_asked_for_as_a_browser_does(host: str) -> None:
    assert read(TaskImages(host), "/data/upload/1/ä b.png") == b"content"
    assert read(TaskImages(host), "/data/local-files/?d=ä b%20c.png") == b"content"
    assert [path for path, _ in Studio.asked] == [
        "/data/upload/1/%C3%A4%20b.png",
        "/data/local-files/?d=%C3%A4%20b%20c.png",
    ]


def test_a_label_studio_below_a_path_says_the_path_in_its_addresses_or_not() -> None:
    asked: list[str] = []

    def opener(request: Request, timeout: float) -> BytesIO:
        del timeout
        asked.append(request.full_url)
        return BytesIO(b"content")

    images = TaskImages("http://a.example/studio/", opener=opener)
    for address in ("http://a.example/studio/data/upload/a.png", "/studio/data/upload/a.png", "/data/upload/a.png"):
        read(images, address)
    assert asked == ["http://a.example/studio/data/upload/a.png"] * 3
    assert refused(images, "http://a.example/studiodata/upload/a.png")[0] == "forbidden"


def test_without_a_host_no_path_is_fetched() -> None:
    code, sentence = refused(TaskImages(), "/data/upload/1/a.png")
    assert code == "forbidden"
    assert "'thinkseg serve --label-studio URL' names the one Label Studio" in sentence


@pytest.mark.parametrize("address", ["/data/upload/1/elsewhere", "/data/upload/1/large", "/tasks/7/resolve/?fileuri=x"])
def test_what_leads_elsewhere_is_too_large_or_missing_is_refused_without_telling_the_address(
    host: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    code, sentence = refused(TaskImages(host), address)
    assert (code, sentence) == ("bad_request", "the image cannot be fetched from Label Studio: see the log")
    assert address in caplog.text
    assert len(Studio.asked) == 1


def test_local_files_come_from_the_folder_that_is_named_and_no_link_leaves_it(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside/a b.png").write_bytes(b"content")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "one.png").symlink_to(folder / "other.png")
    (folder / "other.png").symlink_to(folder / "one.png")
    images = TaskImages(folder=folder)
    assert read(images, "/data/local-files/?d=inside/a%20b.png") == b"content"
    for name in ("link.png", "../secret.png", str(tmp_path / "secret.png"), "none.png", "inside", "", "%00", "one.png"):
        code, sentence = refused(images, f"/data/local-files/?d={name}")
        assert (code, str(tmp_path) in sentence) == ("bad_request", False)
    assert refused(images, "/data/upload/1/a.png")[0] == "forbidden"
    assert refused(images, "http://studio.example/data/local-files/?d=inside/a%20b.png")[0] == "forbidden"
    named = TaskImages("http://studio.example", folder=folder)
    assert read(named, "http://studio.example:80/data/local-files/?d=inside/a%20b.png") == b"content"


def test_a_local_file_is_read_no_further_than_an_image_may_go(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(b"x" * 1000)
    assert len(read(TaskImages(folder=tmp_path), "/data/local-files/?d=large.png")) == LIMITS.image_bytes + 1


def test_an_image_may_stand_in_the_task_itself() -> None:
    assert read(TaskImages(), f"data:image/png;base64,{base64.b64encode(b'content').decode()}") == b"content"
    assert refused(TaskImages(), None) == ("bad_request", "expected an image in the task's data, found none")
    assert refused(TaskImages(), ["a"]) == ("bad_request", "expected an image in the task's data, found none")


def test_an_address_or_a_folder_that_is_none_is_refused_at_once_and_a_token_is_never_shown(tmp_path: Path) -> None:
    for host in (
        "localhost:8080", "ftp://studio", "http://", "http://studio/?a=b", "http://[", "http://studio:port",
        "http://me:word@studio", "http://a studio",
    ):  # fmt: skip
        with pytest.raises(InputError, match="expected the address of a Label Studio"):
            TaskImages(host)
    with pytest.raises(InputError, match="expected a folder with Label Studio's local files"):
        TaskImages(folder=tmp_path / "none")
    assert "secret" not in repr(TaskImages(token="secret"))
