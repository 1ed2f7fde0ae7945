"""Whatever a caller has an image in: paths, arrays, images in memory, and addresses where they are allowed."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import Request

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from thinkseg.errors import ImageError
from thinkseg.inputs import fetch_image, image_from_array, image_from_input, is_url


def png(size: tuple[int, int] = (6, 4), colour: tuple[int, int, int] = (200, 30, 40)) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_an_rgb_array_comes_back_to_the_bit_and_grey_is_grey(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rgb = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert (np.asarray(image_from_array(rgb)) == rgb).all()
    grey = rgb[..., 0]
    assert (np.asarray(image_from_array(grey)) == grey[..., None]).all()
    opaque = np.dstack([rgb, np.full((height, width), 255, np.uint8)])
    assert (np.asarray(image_from_array(opaque)) == rgb).all()


def test_a_view_and_a_transparent_array_are_taken() -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    assert (np.asarray(image_from_array(pixels[:, ::-1])) == pixels[:, ::-1]).all()
    assert (np.asarray(image_from_array(np.zeros((2, 2, 4), np.uint8))) == 255).all()  # laid on white


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.zeros((4, 5, 3)), "as uint8 from 0 to 255, found float64: scale it"),
        (np.zeros((4, 5), bool), "found bool"),
        (np.zeros((3, 40, 50), np.uint8), r"found \(3, 40, 50\); move the channels last with \.transpose\(1, 2, 0\)"),
        (np.zeros((4, 5, 2), np.uint8), r"found \(4, 5, 2\)$"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"found \(1, 4, 5, 3\)$"),
        (np.zeros((0, 5, 3), np.uint8), r"found \(0, 5, 3\)$"),
        (np.zeros(7, np.uint8), r"found \(7,\)$"),
    ],
)
def test_an_array_of_another_kind_is_refused_with_what_to_do(pixels: np.ndarray, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        image_from_input(pixels)


def test_paths_and_images_in_memory_are_taken_and_other_things_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    for source in (path, str(path), Image.open(path)):
        image = image_from_input(source)
        assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (6, 4), (200, 30, 40))
    for other, name in ((None, "NoneType"), (b"bytes", "bytes"), (SimpleNamespace(), r"types\.SimpleNamespace")):
        with pytest.raises(ImageError, match=f"a path, a PIL image or a NumPy array, found {name}$"):
            image_from_input(other)


def test_only_http_is_an_address() -> None:
    assert all(map(is_url, ("http://a/b.png", "HTTPS://a/b.png")))
    assert not any(map(is_url, ("ftp://a/b.png", "file:///a.png", "httpd/a.png", Path("http://a"), None)))
    with pytest.raises(ImageError, match="found no such file"):
        image_from_input("file:///a.png", allow_url=True)


def test_an_address_is_refused_unasked() -> None:
    with pytest.raises(ImageError, match=r"'https://example\.org/a\.png' is an address.*allow_url=True"):
        image_from_input("https://example.org/a.png")


class Pages(BaseHTTPRequestHandler):
    """A server on this machine: an image, a text, an error, and a way to somewhere else."""

    def do_GET(self) -> None:
        if self.path == "/away.png":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/a.png")
            self.end_headers()
            return
        content = {"/a.png": png(), "/text": b"no image"}.get(self.path)
        self.send_response(200 if content else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_allowed_address_is_fetched(site: str) -> None:
    assert image_from_input(f"{site}/a.png", allow_url=True).size == (6, 4)


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("gone.png", r"gone\.png' cannot be fetched: the server answers 404"),
        ("text", "text' is not an image of a kind that can be read"),
        ("away.png", r"away\.png' cannot be fetched: "),
    ],
)
def test_what_cannot_be_fetched_is_a_sentence(site: str, page: str, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence) as told:
        fetch_image(f"{site}/{page}")
    assert "\n" not in str(told.value)


def test_a_server_that_is_not_there_is_a_sentence(site: str) -> None:
    with pytest.raises(ImageError, match=r"cannot be fetched: .*refused"):
        fetch_image("http://127.0.0.1:9/a.png")


def test_what_is_too_large_or_too_slow_is_given_up() -> None:
    reads = 0

    class Endless(BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            nonlocal reads
            reads += 1
            return b"x" * (size or 0)

    def endless(request: Request, timeout: float) -> BytesIO:
        return Endless()

    with pytest.raises(ImageError, match="has more than 200,000 bytes"):
        fetch_image("http://a/b.png", max_bytes=200_000, opener=endless)
    assert reads == 4
    with pytest.raises(ImageError, match="took more than 0 seconds"):
        fetch_image("http://a/b.png", timeout=0, opener=endless)
