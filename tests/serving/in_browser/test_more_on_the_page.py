"""Two answers side by side, addresses that show others the same, and evaluations that are looked through."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .driving import ask, choose, objects, opened, upload

pytestmark = pytest.mark.browser


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
