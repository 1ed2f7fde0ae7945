"""The page in a real browser: an image goes up, the objects come back, or a sentence says why not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.imaging import load_mask

from .conftest import free_port, server
from .driving import ask, choose, downloaded, objects, opened, upload

pytestmark = pytest.mark.browser


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


def test_an_abstention_and_a_parse_failure_are_told_apart(page: Any, photo: Path) -> None:
    assert "Nothing there\nThe model sees nothing that “a cat” asks for." in ask(page, photo, "a cat")
    assert objects(page) == 0
    said = ask(page, None, "a riddle", ".unreadable")
    assert "No readable answer\nThe model ran into the length limit" in said
    assert "it may be <b>that</b>" in page.inner_text("#written pre")  # unfolded, and shown as it was written


def test_a_long_thinking_leaves_the_objects_in_sight_and_shows_its_end_while_it_is_written(
    browser: Any, fake_url: str, photo: Path
) -> None:
    with opened(browser, fake_url, 1280, 900) as page:
        page.click("#models button")
        choose(page, "#model", "slow")
        upload(page, photo)
        page.fill("#query textarea", "a story")
        page.click("#ask")
        page.wait_for_function("(document.querySelector('#thinking p') || {}).scrollTop > 0")
        assert page.evaluate("document.querySelector('#thinking p').clientHeight") < 320
        page.focus("#thinking p")  # who has no mouse reads it by the keyboard
        page.keyboard.press("Home")  # and what was written goes on below, unseen
        page.wait_for_function("document.querySelector('#thinking p').scrollTop === 0")
        height = page.evaluate("document.querySelector('#thinking p').scrollHeight")
        page.wait_for_function(f"document.querySelector('#thinking p').scrollHeight > {height}")
        assert page.evaluate("document.querySelector('#thinking p').scrollTop") == 0
        page.keyboard.press("End")
        page.wait_for_function(f"document.querySelector('#thinking p').scrollHeight > {height + 200}")
        assert (
            page.evaluate("(p => p.scrollTop + p.clientHeight - p.scrollHeight)(document.querySelector('#thinking p'))")
            > -3
        )
        page.click("#stop")
        page.locator("#verdict").get_by_text("Stopped", exact=True).wait_for()


def test_what_is_wrong_with_a_request_is_one_sentence(page: Any, tmp_path: Path) -> None:
    assert "Choose an image first" in ask(page, None, "the dogs")
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    page.set_input_files("#image input[type=file]", str(broken))
    page.wait_for_selector("#image img", state="attached")
    page.click("#ask")
    page.get_by_text("is not an image of a kind that can be read").wait_for()
    told = page.inner_text("#verdict")
    assert "\n'broken.png' is not an image of a kind that can be read (PNG, JPEG" in told  # and nothing of the server
    assert told.endswith("convert it to PNG.")


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
