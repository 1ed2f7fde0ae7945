"""The demo in a real browser: an image goes up, the mask comes back. Run it with ``pytest -m browser``."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.imaging import load_mask

pytestmark = pytest.mark.browser

FAKE = """
import sys
from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.demo import Address, serve
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, FinishReason, Size

SAID = {
    "the dogs": "<think>two of them</think><bbox>[10,20,40,60]</bbox><bbox>[50,50,90,90]</bbox>"
    "<points>[[20,30],[60,60]]</points><labels>[1,1]</labels>",
    "a cat": "<think>no cat</think><bbox></bbox><points></points><labels></labels>",
    "a riddle": Completion("<think>it may be <b>that</b>", FinishReason.LENGTH),
}

def say(request):
    return next(said for query, said in SAID.items() if query in request.instruction.user)

pipeline = Pipeline(FakeReasoner(say, Size(100, 100)), FakeSegmenter(), get_format("seg-r1"))
serve(pipeline, Address(port=int(sys.argv[1])), ready=lambda url, public: print(url, flush=True))
"""


@contextmanager
def server(*words: str) -> Iterator[str]:
    """A process that serves the page, and the page's address: the last word of the first line that it prints."""
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line.endswith("/"), f"no address but {line!r}"
            yield line.split()[-1]
        finally:
            process.terminate()


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install 'thinkseg[demo]'")
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no chromium on this machine; on Debian and Ubuntu the package chromium has it")
    with playwright.sync_playwright() as tools:
        chromium = tools.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def fake_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script = tmp_path_factory.mktemp("server") / "fake.py"
    script.write_text(FAKE)
    with server(str(script), free_port()) as url:
        yield url


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Any, fake_url: str) -> Iterator[Any]:
    width, height = request.param
    with opened(browser, fake_url, width, height) as page:
        yield page


@contextmanager
def opened(browser: Any, url: str, width: int, height: int) -> Iterator[Any]:
    """The page, which must ask no other machine for anything and stay within the screen's width."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(120_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_selector("#ask")
    yield page
    elsewhere = [there for there in asked if not there.startswith((url, "data:", "blob:"))]
    assert elsewhere == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (200, 100), (90, 120, 60)).save(path)
    return path


def ask(page: Any, image: Path | None, query: str) -> str:
    """Upload an image, type a query, press the button; what the page says of it."""
    if image is not None:
        page.set_input_files("#image input[type=file]", str(image))
        page.wait_for_selector("#image img")
    page.fill("#query textarea", query)
    page.click("#ask")
    page.wait_for_selector("#verdict .verdict:not(.waiting)")
    said: str = page.inner_text("#verdict")
    return said


def found_image(page: Any) -> np.ndarray:
    """The pixels of the image on the page with what was found."""
    page.wait_for_selector("#found img")
    answer = page.request.get(page.get_attribute("#found img", "src"))
    return np.asarray(Image.open(BytesIO(answer.body())).convert("RGB")).astype(int)


def downloaded(page: Any, button: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.click(button)
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_an_image_goes_up_and_its_masks_are_on_the_page_and_in_the_files(
    page: Any, photo: Path, tmp_path: Path
) -> None:
    said = ask(page, photo, "the dogs")
    assert "2 objects found" in said
    pixels = found_image(page)
    assert pixels.shape == (100, 200, 3)
    mask = np.zeros((100, 200), bool)
    mask[20:61, 20:81] = mask[50:91, 100:181] = True
    changed = abs(pixels - (90, 120, 60)).sum(axis=2) > 30
    assert changed[mask].mean() > 0.99
    assert changed[~mask].mean() < 0.3  # outlines, boxes and numbers reach beyond it
    assert page.input_value("#thinking textarea") == "two of them"
    assert page.locator("#objects tbody tr").count() == 2
    assert (load_mask(downloaded(page, "#mask", tmp_path)) == mask).all()
    record = json.loads(downloaded(page, "#record", tmp_path).read_text())
    assert [found["box"] for found in record["objects"]] == [[20, 20, 80, 60], [100, 50, 180, 90]]


def test_an_abstention_and_a_parse_failure_are_told_apart(page: Any, photo: Path) -> None:
    assert "Nothing there\nThe model sees nothing that “a cat” asks for." in ask(page, photo, "a cat")
    assert (found_image(page) == (90, 120, 60)).all()
    assert page.locator("#objects tbody tr").count() == 0
    page.fill("#query textarea", "a riddle")
    page.click("#ask")
    page.wait_for_selector("#verdict .unreadable")
    said = page.inner_text("#verdict")
    assert "No readable answer\nThe model ran into the length limit" in said
    page.wait_for_selector("#text .cm-content")
    assert "it may be <b>that</b>" in page.inner_text("#text .cm-content")  # opened, and shown as it was written


def test_what_is_wrong_with_a_request_is_one_sentence(page: Any, tmp_path: Path) -> None:
    assert "choose an image first" in ask(page, None, "the dogs")
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    page.set_input_files("#image input[type=file]", str(broken))
    page.wait_for_timeout(2000)
    page.click("#ask")
    page.get_by_text("is not an image of a kind that can be read").wait_for()
    told = page.inner_text("#verdict")
    assert "\n'broken.png' is not an image of a kind that can be read (PNG, JPEG" in told  # and nothing of the server
    assert told.endswith("convert it to PNG")


def test_the_pocket_models_answer_an_example_and_an_image_that_is_uploaded(browser: Any, tmp_path: Path) -> None:
    from thinkseg.serving.examples import write_examples

    example = write_examples(tmp_path)[0]
    with server("-m", "thinkseg", "demo", "--device", "cpu", "--port", free_port()) as url:
        assert url.startswith("http://127.0.0.1:")
        with opened(browser, url, 1280, 900) as page:
            page.click("#examples .thumbnail-item >> nth=0")
            page.wait_for_selector("#verdict .verdict:not(.waiting)")
            assert page.input_value("#query textarea") == example.query
            by_example = page.inner_text("#verdict"), found_image(page)
        with opened(browser, url, 1280, 900) as page:
            by_upload = ask(page, example.image, example.query), found_image(page)
            original = np.asarray(Image.open(example.image)).astype(int)
            record = json.loads(downloaded(page, "#record", tmp_path).read_text())
            mask = load_mask(downloaded(page, "#mask", tmp_path))
            assert record["failure"] is None
            assert mask.any() == bool(record["objects"])
            assert (abs(by_upload[1] - original).sum(axis=2) > 0)[mask].mean() > 0.95 or not mask.any()
        assert by_example[0] == by_upload[0]
        assert (by_example[1] == by_upload[1]).all()
