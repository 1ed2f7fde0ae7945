"""Every text and every control of the page is to be seen, light and dark, on a desktop and on a phone."""

from pathlib import Path
from typing import Any

import pytest

from .driving import ask, click_image, opened

CONTRASTS = (Path(__file__).parent / "contrasts.js").read_text(encoding="utf-8")

BEYOND = """[...document.querySelectorAll('button, a, input, textarea')].filter((one) => one.checkVisibility()
    && !one.closest('.objects') && one.getBoundingClientRect().right > innerWidth).map((one) => one.innerText)"""
"""What lies beyond the right edge of the screen, tables that can be scrolled aside."""

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_a_contrast_of_four_and_a_half(
    browser: Any, fake_url: str, photo: Path, scheme: str, width: int
) -> None:
    def check(page: Any, hovered: str = "") -> None:
        if hovered:
            page.hover(hovered)
        else:
            page.mouse.move(0, 0)
        page.wait_for_timeout(400)  # colours of what was pressed or hovered over fade
        measured = page.evaluate(CONTRASTS)
        assert len(measured) > 15
        assert [(text, round(ratio, 2)) for text, ratio in measured if ratio < 4.5] == []
        assert page.evaluate(BEYOND) == []

    with opened(browser, fake_url, width, 900, scheme) as page:
        assert page.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")
        page.click("#models button")
        page.check("#both input")
        page.wait_for_selector("#model-b input")
        check(page)
        check(page, "#examples .thumbnail-item >> nth=0")
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
