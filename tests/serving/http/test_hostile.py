"""What strangers send: images of every kind, and requests that are wrong in every way."""

import struct
import zlib
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers.reading import MAX_POINTS
from thinkseg.serving.http.limits import Limits

from .conftest import HTTP, PNG, ask, fake_pipeline, file_of, serving

PHOTO = Image.new("RGB", (20, 10), (200, 30, 30))
TEXT = b64encode(PNG).decode()


def png_that_says(width: int, height: int) -> bytes:
    """A few bytes whose header promises an image of a size, with pixels that are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def exif_turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn: 20×10 is seen as 10×20
    return file_of(PHOTO, "JPEG", exif=exif)


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    stream = BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    return stream.getvalue()


def with_zip_behind(content: bytes) -> bytes:
    stream = BytesIO()
    with ZipFile(stream, "w") as archive:
        archive.writestr("evil.html", "<script>alert(1)</script>")
    return content + stream.getvalue()


TAKEN = {
    "a JPEG": (file_of(PHOTO, "JPEG"), (20, 10)),
    "a WebP": (file_of(PHOTO, "WEBP"), (20, 10)),
    "CMYK": (file_of(PHOTO.convert("CMYK"), "JPEG"), (20, 10)),
    "16 bits of grey": (file_of(Image.fromarray(np.full((10, 20), 40000, np.uint16))), (20, 10)),
    "one bit": (file_of(PHOTO.convert("1")), (20, 10)),
    "a palette": (file_of(PHOTO.convert("P")), (20, 10)),
    "transparency": (file_of(PHOTO.convert("RGBA")), (20, 10)),
    "turned by EXIF": (exif_turned(), (10, 20)),
    "an animated PNG": (animated("PNG"), (20, 10)),
    "an animated WebP": (animated("WEBP"), (20, 10)),
    "a PNG with an archive behind it": (with_zip_behind(PNG), (20, 10)),
    "a JPEG with an archive behind it": (with_zip_behind(file_of(PHOTO, "JPEG")), (20, 10)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_sound_image_of_an_unusual_kind_is_answered_at_its_upright_size(url: str, name: str) -> None:
    content, size = TAKEN[name]
    told = ask(url, image=content).json()
    assert (told["size"]["width"], told["size"]["height"]) == size
    assert told["count"] == 1


REFUSED = {
    "nothing": (b"", 400),
    "text": (b"no image", 400),
    "a page": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", 400),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 400),
    "a GIF": (animated("GIF"), 400),
    "a TIFF": (file_of(PHOTO, "TIFF"), 400),
    "a BMP": (file_of(PHOTO, "BMP"), 400),
    "a PNG that is cut short": (PNG[: len(PNG) // 2], 400),
    "a JPEG that is cut short": (file_of(PHOTO, "JPEG")[:-200], 400),
    "a WebP that is cut short": (file_of(PHOTO, "WEBP")[:30], 400),
    "a head alone": (PNG[:8], 400),
    "a bomb": (png_that_says(60_000, 60_000), 413),
    "a lesser bomb": (png_that_says(8_000, 8_000), 413),
    "pixels that are missing": (png_that_says(500, 500), 400),
    "no width": (png_that_says(0, 10), 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_sound_image_or_too_large_a_one_is_refused_in_a_sentence(url: str, name: str) -> None:
    content, status = REFUSED[name]
    answer = ask(url, image=content)
    assert answer.status_code == status, answer.text
    message = answer.json()["error"]["message"]
    assert message[0].islower()
    for word in ("Traceback", "/", "0x", "site-packages", ".py"):
        assert word not in message.replace("boxes/", "")


def test_an_image_that_is_too_large_is_refused_before_it_is_decoded(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        pytest.fail("pixels were decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", decode)
    assert ask(url, image=png_that_says(8_000, 8_000)).status_code == 413
    with serving(fake_pipeline(), limits=Limits(image_bytes=50)) as (small, _, _):
        assert ask(small).status_code == 413


def test_nothing_is_read_or_fetched_on_a_clients_word(url: str, tmp_path: Path) -> None:
    file = tmp_path / "private.png"
    file.write_bytes(PNG)
    for image in (str(file), f"file://{file}", f"{url}/health", "https://evil.example/a.png", "data:image/png,raw"):
        answer = HTTP.post(f"{url}/v1/segment", json={"image": image, "query": "a"})
        assert answer.status_code == 400
        assert "private" not in answer.text
        form = HTTP.post(f"{url}/v1/segment", data={"image": image, "query": "a"}, files={"other": b""})
        assert form.status_code == 400


WRONG: dict[str, Any] = {
    "no query": {"image": TEXT},
    "an empty query": {"image": TEXT, "query": ""},
    "a blank query": {"image": TEXT, "query": " \n"},
    "a long query": {"image": TEXT, "query": "a" * 1001},
    "a query that is a number": {"image": TEXT, "query": 3},
    "an option that does not exist": {"image": TEXT, "query": "a", "path": "/etc/passwd"},
    "an output that does not exist": {"image": TEXT, "query": "a", "output": "../mask"},
    "a flag that is text": {"image": TEXT, "query": "a", "polygons": "yes"},
    "a tolerance below 0": {"image": TEXT, "query": "a", "tolerance": -1},
    "no image": {"query": "a"},
    "a list": [],
    "text": "image",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_request_that_is_wrong_is_refused_in_a_sentence(url: str, name: str) -> None:
    for path in ("/v1/segment", "/v1/segment/stream"):
        answer = HTTP.post(url + path, json=WRONG[name])
        assert answer.status_code == (413 if name == "a long query" else 400)
        assert set(answer.json()) == {"error"}
        assert TEXT not in answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 100_000, b'{"image": "\\ud800", "query": "a"}', b"\xff\xfe", b'{"query": NaN}'],
    ids=["nothing", "half", "nested", "half a letter", "not UTF-8", "not a number"],
)
def test_a_body_that_is_no_json_is_refused(url: str, body: bytes) -> None:
    answer = HTTP.post(f"{url}/v1/segment", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "multipart/mixed; boundary=a"])
def test_a_body_of_another_type_is_refused(url: str, kind: str) -> None:
    answer = HTTP.post(f"{url}/v1/segment", content=b"a", headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported")


@pytest.mark.parametrize(
    "head", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x"]
)
def test_a_damaged_form_is_refused(url: str, head: str) -> None:
    answer = HTTP.post(f"{url}/v1/segment", content=b"--x\r\nbroken", headers={"Content-Type": head})
    assert answer.status_code == 400


def test_a_form_of_many_parts_is_refused(url: str) -> None:
    many = [("image", ("a.png", PNG))] * 5
    assert HTTP.post(f"{url}/v1/segment", data={"query": "a"}, files=many).status_code == 400
    fields = {f"field{number}": "x" for number in range(50)}
    assert ask(url, **fields).status_code == 400


def box(*values: Any) -> dict[str, Any]:
    return {"box": list(values)}


ASKED: dict[str, Any] = {
    "a box of three numbers": [[box(1, 2, 3)]],
    "a box of text": [[box("1", "2", "3", "4")]],
    "a box inside out": [[box(8, 8, 1, 1)]],
    "a negative box": [[box(-1, 1, 8, 8)]],
    "a box without an end": [[box(1, 1, 8, 1e300)]],
    "a label of 2": [[{"points": [[3, 4, 2]]}]],
    "neither": [[{}]],
    "no lists": {"box": [1, 1, 8, 8]},
    "too many answers": [[] for _ in range(300)],
    "too many points": [[{"points": [[1, 1, 1]] * (MAX_POINTS + 1)}]],
}


@pytest.mark.parametrize("name", ASKED)
def test_boxes_and_points_that_cannot_be_are_refused(url: str, name: str) -> None:
    answer = HTTP.post(f"{url}/v1/masks", json={"image": TEXT, "answers": ASKED[name]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request"), answer.text


def test_a_box_beyond_the_image_is_taken_as_models_write_such(url: str) -> None:
    answer = HTTP.post(f"{url}/v1/masks", json={"image": TEXT, "answers": [[box(1, 1, 800, 800)]]})
    assert answer.status_code == 200
    assert len(answer.json()["answers"][0]["objects"]) == 1


def test_more_masks_than_memory_has_room_for_are_refused() -> None:
    with serving(fake_pipeline(), limits=Limits(mask_pixels=1000)) as (url, _, _):
        asked = {"image": TEXT, "answers": [[box(1, 1, 8, 8)] * 6]}
        answer = HTTP.post(f"{url}/v1/masks", json=asked)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_path_or_a_method_that_there_is_not_is_told_in_the_same_form(url: str) -> None:
    assert HTTP.get(f"{url}/nothing").json()["error"]["code"] == "not_found"
    assert HTTP.get(f"{url}/v1/segment").json()["error"]["code"] == "method_not_allowed"
    assert HTTP.get(f"{url}/docs").status_code == 404
