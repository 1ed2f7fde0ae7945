"""What visitors of the page do with objects: single them out, refine them, ask for more, all by keyboard, too."""

import json
from pathlib import Path
from typing import Any

import pytest

from .driving import ask, click_image, downloaded, objects, opened, upload

pytestmark = pytest.mark.browser


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
    page.locator("#found .stage").scroll_into_view_if_needed()
    page.hover("#found .object[data-number='1'] .mask")
    page.wait_for_function("getComputedStyle(document.querySelectorAll('#found .object')[1]).opacity < 0.2")
    # Waited for, too: it fades where the pointer came by the other one.
    page.wait_for_function("getComputedStyle(document.querySelectorAll('#found .object')[0]).opacity == 1")
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
    page.keyboard.press("Escape")  # leaves the tool, wherever the focus is on the answer
    assert page.get_attribute("#found .modes [data-mode=look]", "aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert page.get_attribute("#found .object[data-number='1']", "aria-pressed") == "false"
    page.click("#found [data-mode=box]")  # none is chosen any more: what is drawn now is a new object
    page.focus("#found .stage")
    for key in ("ArrowLeft", "Enter", "Shift+ArrowLeft", "Shift+ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.click("#found [data-do=apply]")
    page.get_by_text("1 change applied; 3 objects in the image.").wait_for()
    assert page.locator("#objects tbody tr >> nth=2").inner_text().split()[:4] == ["3", "drawn", "by", "hand"]
    record = json.loads(downloaded(page, "json", tmp_path).read_text())
    assert record["answers"][1]["objects"][0]["box"] == [76, 30, 96, 50]


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
        page.focus("#found .stage")
        page.keyboard.press("Shift")  # a key, after which the focus shows
        ring = page.evaluate(
            "(({ outlineStyle, outlineWidth }) => [outlineStyle, outlineWidth])"
            "(getComputedStyle(document.querySelector('#found .stage')))"
        )
        assert ring == ["solid", "3px"]
        page.focus("#found .object[data-number='2']")
        page.keyboard.press("Enter")
        assert page.get_attribute("#found .object[data-number='2']", "aria-pressed") == "true"
        page.keyboard.press("+")
        assert page.get_attribute("#found .stage", "viewBox") == "30 15 140 70"
