"""The demo in a real browser: an image goes up, the objects come back. Run it with ``pytest -m browser``."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from thinkseg.imaging import load_mask

pytestmark = pytest.mark.browser

FAKE = """
import sys, time
from pathlib import Path
from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.demo import Address, Furnishing, serve
from thinkseg.serving.page.browsing import Browsed
from thinkseg.serving.page.choices import Choices, Offered
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, FinishReason, Size

SAID = {
    "the dogs": "<think>two of them</think><bbox>[10,20,40,60]</bbox><bbox>[50,50,90,90]</bbox>"
    "<points>[[20,30],[60,60]]</points><labels>[1,1]</labels>",
    "the bird": "<think>up there</think><bbox>[80,5,95,20]</bbox><points>[[85,10]]</points><labels>[1]</labels>",
    "a story": "<think>" + "on and on " * 40 + "</think><bbox></bbox><points></points><labels></labels>",
    "a cat": "<think>no cat</think><bbox></bbox><points></points><labels></labels>",
    "a riddle": Completion("<think>it may be <b>that</b>", FinishReason.LENGTH),
}

def say(request):
    return next((said for query, said in SAID.items() if query in request.instruction.user), SAID["the dogs"])

class Slow(FakeReasoner):
    def stream(self, requests, listen):
        def slow(number, text):
            time.sleep(0.7)
            return listen(number, text)
        return super().stream(requests, slow)

def pipeline(kind):
    return lambda: Pipeline(kind(say, Size(100, 100)), FakeSegmenter(), get_format("seg-r1"))

choices = Choices({"quick": Offered(pipeline(FakeReasoner)), "slow": Offered(pipeline(Slow))},
                  {"discs": lambda: FakeSegmenter(0.3)})
runs = [Browsed.open(folder) for folder in sys.argv[2:]]
serve(choices, Address(port=int(sys.argv[1])), Furnishing("model quick · for trying out", runs=runs),
      ready=lambda url, public: print(url, flush=True))
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
def fake_url(tmp_path_factory: pytest.TempPathFactory, evaluated: Path) -> Iterator[str]:
    script = tmp_path_factory.mktemp("server") / "fake.py"
    script.write_text(FAKE)
    with server(str(script), free_port(), str(evaluated)) as url:
        yield url


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Any, fake_url: str) -> Iterator[Any]:
    width, height = request.param
    with opened(browser, fake_url, width, height) as page:
        yield page


@contextmanager
def opened(browser: Any, url: str, width: int, height: int, scheme: str = "light") -> Iterator[Any]:
    """The page, which must ask no other machine for anything, have no fault, and stay within the screen's width."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(120_000)
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.goto(url)
    page.wait_for_selector("#ask")
    yield page
    host = "{0.scheme}://{0.netloc}/".format(urlsplit(url))
    elsewhere = [there for there in asked if not there.startswith((host, "data:", "blob:"))]
    assert elsewhere == []
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (200, 100), (90, 120, 60)).save(path)
    return path


def upload(page: Any, image: Path) -> None:
    page.set_input_files("#image input[type=file]", str(image))
    page.wait_for_selector("#image img")


def ask(page: Any, image: Path | None, query: str, kind: str = "") -> str:
    """Upload an image, type a query, press the button; what the page says of it."""
    if image is not None:
        upload(page, image)
    page.fill("#query textarea", query)
    page.click("#ask")
    page.wait_for_selector(f"#verdict .verdict{kind or ':not(.waiting)'}")
    if kind in ("", ".found"):
        verdict = page.locator("#verdict")
        verdict.get_by_text(f"Asked for “{query}”").or_(verdict.locator(".verdict:not(.found)")).wait_for()
    said: str = page.inner_text("#verdict")
    return said


def downloaded(page: Any, name: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.click(f"#downloads [data-file={name}]")
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def objects(page: Any, part: str = "#found") -> int:
    count: int = page.locator(f"{part} .object").count()
    return count


def click_image(page: Any, x: float, y: float) -> None:
    """Click at a pixel of the image."""
    place = page.evaluate(
        "([x, y]) => { const p = new DOMPoint(x, y).matrixTransform(document.querySelector('#found .stage')"
        ".getScreenCTM()); return [p.x, p.y] }",
        [x, y],
    )
    page.mouse.click(*place)


def test_an_image_goes_up_and_its_objects_are_on_the_page_and_in_the_files(
    page: Any, photo: Path, tmp_path: Path
) -> None:
    said = ask(page, photo, "the dogs")
    assert "2 objects found" in said
    assert objects(page) == 2
    fills = page.eval_on_selector_all("#found .mask", "all => all.map((one) => getComputedStyle(one).fill)")
    assert fills == ["rgb(255, 64, 72)", "rgb(30, 132, 255)"]
    assert page.evaluate("document.querySelector('#found image').getBoundingClientRect().width") > 200
    assert "two of them" in page.inner_text("#thinking")
    assert page.locator("#objects tbody tr").count() == 2
    mask = np.zeros((100, 200), bool)
    mask[20:61, 20:81] = mask[50:91, 100:181] = True
    saved = downloaded(page, "mask", tmp_path)
    assert saved.name == "photo.mask.png"
    assert (load_mask(saved) == mask).all()
    record = json.loads(downloaded(page, "json", tmp_path).read_text())
    assert [found["box"] for found in record["objects"]] == [[20, 20, 80, 60], [100, 50, 180, 90]]
    with Image.open(downloaded(page, "cut-out", tmp_path)) as cut:
        assert (np.asarray(cut)[..., 3] > 0).sum() == mask.sum()
    assert downloaded(page, "coco", tmp_path).name == "photo.coco.json"
    assert downloaded(page, "overlay", tmp_path).name == "photo.overlay.png"
    page.click("#written summary")
    assert "<bbox>[10,20,40,60]</bbox>" in page.inner_text("#written pre >> nth=0")
    assert json.loads(page.inner_text("#written pre >> nth=1"))["frame"] == [100, 100]


def test_a_second_query_keeps_the_first_objects_and_starting_over_forgets_them(page: Any, photo: Path) -> None:
    ask(page, photo, "the dogs")
    ask(page, None, "the bird")
    assert objects(page) == 3
    assert page.locator("#objects tbody tr >> nth=2").inner_text().split()[:3] == ["3", "the", "bird"]
    page.click("#clear")
    page.wait_for_selector("#verdict .waiting")
    page.wait_for_selector("#found .viewer", state="detached")
    ask(page, None, "the bird")
    assert objects(page) == 1


def test_an_object_is_singled_out_by_hovering_by_clicking_and_from_the_table(page: Any, photo: Path) -> None:
    ask(page, photo, "the dogs")
    opacity = "all => all.map((one) => Number(getComputedStyle(one).opacity))"
    page.locator("#found .stage").scroll_into_view_if_needed()
    page.hover("#found .object[data-number='1'] .mask")
    page.wait_for_function("getComputedStyle(document.querySelectorAll('#found .object')[1]).opacity < 0.2")
    assert page.eval_on_selector_all("#found .object", opacity)[0] == 1
    click_image(page, 140, 70)
    page.mouse.move(0, 0)
    page.wait_for_function("getComputedStyle(document.querySelectorAll('#found .object')[0]).opacity < 0.2")
    assert page.locator("#objects [data-pick='2']").get_attribute("aria-pressed") == "true"
    assert "object=2" in page.url
    page.click("#objects [data-pick='2']")
    page.mouse.move(0, 0)
    page.wait_for_function("getComputedStyle(document.querySelectorAll('#found .object')[0]).opacity == 1")
    page.locator("#found .strength input").fill("90")
    assert page.evaluate("getComputedStyle(document.querySelector('#found .mask')).fillOpacity") == "0.9"
    page.click("#found [data-zoom=in]")
    assert page.get_attribute("#found .stage", "viewBox") == "30 15 140 70"
    page.click("#found [data-zoom=fit]")
    assert page.get_attribute("#found .stage", "viewBox") == "0 0 200 100"


def test_a_point_and_a_box_refine_the_answer_by_the_segmenter_alone(page: Any, photo: Path, tmp_path: Path) -> None:
    ask(page, photo, "the dogs")
    page.locator("#found .stage").scroll_into_view_if_needed()
    click_image(page, 50, 40)  # singles the first one out
    page.click("#found [data-mode=off]")
    click_image(page, 70, 30)
    assert page.locator("#found .pending .point.off").count() == 1
    page.click("#found [data-do=apply]")
    page.get_by_text("1 change applied; 2 objects in the image.").wait_for()
    first = page.locator("#objects tbody tr >> nth=0").inner_text()
    assert "(70, 30) beside" in first
    assert "two of them" in page.inner_text("#thinking")
    page.keyboard.press("Escape")
    page.click("#objects [data-pick='1']")  # none is chosen any more: what is drawn now is a new object
    page.click("#found [data-mode=box]")
    page.focus("#found .stage")
    for key in ("ArrowLeft", "Enter", "Shift+ArrowLeft", "Shift+ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.click("#found [data-do=apply]")
    page.get_by_text("1 change applied; 3 objects in the image.").wait_for()
    assert page.locator("#objects tbody tr >> nth=2").inner_text().split()[:4] == ["3", "drawn", "by", "hand"]
    record = json.loads(downloaded(page, "json", tmp_path).read_text())
    assert record["answers"][1]["objects"][0]["box"] == [76, 30, 96, 50]


def test_an_abstention_and_a_parse_failure_are_told_apart(page: Any, photo: Path) -> None:
    assert "Nothing there\nThe model sees nothing that “a cat” asks for." in ask(page, photo, "a cat")
    assert objects(page) == 0
    said = ask(page, None, "a riddle", ".unreadable")
    assert "No readable answer\nThe model ran into the length limit" in said
    assert "it may be <b>that</b>" in page.inner_text("#written pre")  # unfolded, and shown as it was written


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


def choose(page: Any, part: str, name: str) -> None:
    page.click(f"{part} input")
    page.get_by_role("option", name=name, exact=True).click()


def test_two_models_answer_side_by_side_and_the_slow_one_thinks_aloud_and_can_be_stopped(
    browser: Any, fake_url: str, photo: Path
) -> None:
    with opened(browser, fake_url, 1280, 900) as page:
        page.click("#models button")
        page.check("#both input")
        page.wait_for_selector("#model-b input")
        choose(page, "#model-b", "slow")
        choose(page, "#segmenter", "discs")
        page.evaluate(
            "window.heard = new Set(); new MutationObserver(() => document.querySelectorAll('#thinking-b p')"
            ".forEach((one) => heard.add(one.textContent))).observe(document.body, { childList: true, subtree: true })"
        )
        assert "2 objects found" in ask(page, photo, "the dogs")
        page.wait_for_selector("#verdict-b .found")
        heard = page.evaluate("[...heard].filter((text) => text)")
        assert len(heard) > 1
        assert all("two of them".startswith(text) for text in heard)
        assert objects(page, "#found-b") == 2
        assert page.locator("#found").bounding_box()["x"] < page.locator("#found-b").bounding_box()["x"]
        told = parse_qs(urlsplit(page.url).query)
        assert (told["q"], told["model-b"], told["segmenter"]) == (["the dogs"], ["slow"], ["discs"])
        page.fill("#query textarea", "a story")
        page.click("#ask")
        page.locator("#thinking-b p", has_text="on and on").wait_for()
        page.click("#stop")
        page.locator("#verdict-b").get_by_text("Stopped", exact=True).wait_for()


def test_whoever_stops_the_first_of_two_answers_is_not_kept_waiting_for_the_second(
    browser: Any, fake_url: str, photo: Path
) -> None:
    with opened(browser, fake_url, 1280, 900) as page:
        page.click("#models button")
        choose(page, "#model", "slow")
        page.check("#both input")
        page.wait_for_selector("#model-b input")
        upload(page, photo)
        page.fill("#query textarea", "a story")
        page.click("#ask")
        page.locator("#thinking p", has_text="on and on").wait_for()
        page.click("#stop")
        page.locator("#verdict").get_by_text("Stopped", exact=True).wait_for()
        page.get_by_text("The second model was not asked.").wait_for()


def test_the_address_of_an_answer_about_an_example_shows_the_same_to_others(browser: Any, fake_url: str) -> None:
    with opened(browser, fake_url, 1280, 900) as page:
        page.click("#examples .thumbnail-item >> nth=0")
        page.wait_for_selector("#verdict .found")
        page.click("#objects [data-pick='2']")
        page.wait_for_function("location.search.includes('object=2')")
        address, query = page.url, page.input_value("#query textarea")
    with opened(browser, address, 1280, 900) as page:
        page.wait_for_selector("#verdict .found")
        assert page.input_value("#query textarea") == query
        page.wait_for_selector("#found .object[data-number='2'].chosen")


def test_everything_is_reached_by_keyboard_alone(browser: Any, fake_url: str, photo: Path) -> None:
    with opened(browser, fake_url, 1280, 900) as page:
        upload(page, photo)
        page.focus("#query textarea")
        page.keyboard.type("the dogs")
        page.keyboard.press("Enter")
        page.wait_for_selector("#downloads a")
        reached = set()
        page.focus("#query textarea")
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate(
                    "(() => { const e = document.activeElement; return e.dataset.mode || e.dataset.zoom"
                    " || e.dataset.pick || e.dataset.file || e.dataset.number || e.id"
                    " || (e.getAttribute('class') || '').split(' ')[0] || e.tagName })()"
                )
            )
        wanted = {"ask", "look", "on", "off", "box", "in", "out", "fit", "stage", "1", "2", "mask", "json", "coco"}
        assert wanted <= reached
        page.focus("#found .object[data-number='2']")
        page.keyboard.press("Enter")
        assert page.get_attribute("#found .object[data-number='2']", "aria-pressed") == "true"
        page.keyboard.press("+")
        assert page.get_attribute("#found .stage", "viewBox") == "30 15 140 70"


def test_an_evaluation_is_looked_through_from_the_worst_sample_on(page: Any) -> None:
    page.get_by_role("tab", name="Evaluation").click()
    page.get_by_text("Sample 1 of 3, the worst first.").wait_for()
    assert "IoU 0.000" in page.inner_text("#sample-verdict")
    assert "thing 2" in page.inner_text("#sample-verdict")
    assert page.locator("#sheet .thumbnail-item").count() == 3
    page.click("#better")
    page.get_by_text("Sample 2 of 3, the worst first.").wait_for()
    page.locator("#sheet .thumbnail-item >> nth=2").click()
    page.get_by_text("Sample 3 of 3, the worst first.").wait_for()
    assert "IoU 1.000" in page.inner_text("#sample-verdict")
    assert objects(page, "#sample-found") == 2
    page.click("#sample-masks [data-pick='1']")
    assert page.get_attribute("#sample-found .object[data-number='1']", "aria-pressed") == "true"
    assert {"tab=evaluation", "run=run", "sample=1"} <= set(page.url.partition("?")[2].split("&"))
    page.reload()
    page.get_by_text("Sample 3 of 3, the worst first.").wait_for()


CONTRASTS = """() => {
  const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3])).concat(1);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const strength = (node) => {
    let whole = 1;
    for (let one = node; one; one = one.parentElement) whole *= Number(getComputedStyle(one).opacity);
    return whole;
  };
  const ratio = (colour, node, ground) => {
    const text = rgba(colour); text[3] *= strength(node);
    const [high, low] = [over(text, ground), ground].map(luminance).sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const seen = (node) => node.checkVisibility({ visibilityProperty: true }) && node.getClientRects().length > 0;
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    if (!text || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName) || !seen(node)) continue;
    if (node.closest("button:disabled, [disabled]")) continue;
    const style = getComputedStyle(node);
    const inDrawing = node.closest("svg");
    const ground = inDrawing ? rgba(getComputedStyle(node.previousElementSibling || node).fill) : behind(node);
    found.push([text.slice(0, 40), ratio(inDrawing ? style.fill : style.color, node, ground)]);
  }
  for (const field of document.querySelectorAll("input, textarea")) {
    if (!seen(field) || field.disabled) continue;
    if (field.placeholder && !field.value) {
      found.push([field.placeholder, ratio(getComputedStyle(field, "::placeholder").color, field, behind(field))]);
    }
    if (field.value && !["range", "checkbox"].includes(field.type)) {
      found.push([field.value, ratio(getComputedStyle(field).color, field, behind(field))]);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_a_contrast_of_four_and_a_half(
    browser: Any, fake_url: str, photo: Path, scheme: str, width: int
) -> None:
    def check(page: Any) -> None:
        page.wait_for_timeout(400)  # colours of buttons that were pressed fade
        page.mouse.move(0, 0)
        measured = page.evaluate(CONTRASTS)
        assert len(measured) > 15
        assert [(text, round(ratio, 2)) for text, ratio in measured if ratio < 4.5] == []

    with opened(browser, fake_url, width, 900, scheme) as page:
        assert page.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")
        page.click("#models button")
        page.check("#both input")
        page.wait_for_selector("#model-b input")
        check(page)
        ask(page, photo, "the dogs")
        page.wait_for_selector("#verdict-b .found")
        page.wait_for_selector("#downloads a")
        page.click("#written summary")
        page.click("#found [data-mode=on]")
        click_image(page, 10, 10)
        check(page)
        ask(page, None, "a riddle", ".unreadable")
        check(page)
        page.fill("#query textarea", "")
        page.click("#ask")
        page.wait_for_selector("#verdict .error")
        check(page)
        page.get_by_role("tab", name="Evaluation").click()
        page.get_by_text("Sample 1 of 3").wait_for()
        check(page)


def test_the_pocket_models_answer_an_example_and_an_image_that_is_uploaded(browser: Any, tmp_path: Path) -> None:
    from thinkseg.serving.examples import write_examples

    example = write_examples(tmp_path)[0]
    with server("-m", "thinkseg", "demo", "--device", "cpu", "--port", free_port()) as url:
        assert url.startswith("http://127.0.0.1:")
        with opened(browser, url, 1280, 900) as page:
            page.click("#examples .thumbnail-item >> nth=0")
            page.wait_for_selector("#downloads a")
            assert page.input_value("#query textarea") == example.query
            by_example = page.inner_text("#verdict"), page.inner_text("#objects")
        with opened(browser, url, 1280, 900) as page:
            upload(page, example.image)
            page.fill("#query textarea", example.query)
            page.click("#ask")
            page.wait_for_selector("#downloads a")
            assert (page.inner_text("#verdict"), page.inner_text("#objects")) == by_example
            record = json.loads(downloaded(page, "json", tmp_path).read_text())
            assert record["failure"] is None
            assert load_mask(downloaded(page, "mask", tmp_path)).any() == bool(record["objects"])
