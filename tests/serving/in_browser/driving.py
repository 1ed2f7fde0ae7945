"""What a visitor does with the page, and what is to be seen of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


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


def choose(page: Any, part: str, name: str) -> None:
    page.click(f"{part} input")
    page.get_by_role("option", name=name, exact=True).click()
