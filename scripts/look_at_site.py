"""Open every page of the built site in headless Chromium; say what is wider than the screen or comes from elsewhere.

    make docs
    python scripts/look_at_site.py site --images OUT    # a screenshot of each page, light and dark, at two widths

It needs the program `chromium`. Exit code 1 where a page is too wide, asks another machine for something, or has an
error of its scripts.
"""

import argparse
import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTHS = {390: 844, 1280: 900}
"""Width and height of the screens, in CSS pixels: a phone, a laptop."""

SLOW = 120_000
"""Milliseconds that a page may take: a machine that is busy shows it all the same."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of the site on this machine, for as long as it is needed."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def faults(page: Page, site: str, name: str, width: int) -> Iterator[str]:
    """What is wrong with a page at this width."""
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(f"an error of its scripts: {error}"))
    page.on("request", lambda one: None if one.url.startswith((site, "data:")) else told.append(f"asks {one.url}"))
    page.goto(site + name, wait_until="load", timeout=SLOW)
    needed = page.evaluate("document.documentElement.scrollWidth")
    if needed > width:
        told.append(f"needs {needed} pixels at {width}")
    yield from told


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, help="the folder of the built site")
    parser.add_argument("--images", type=Path, metavar="DIR", help="write screenshots there")
    parser.add_argument("--only", default="*.html", metavar="PATTERN", help="pages, as api/*.html (default: all)")
    args = parser.parse_args(words)
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("the program 'chromium' is not installed")
    files = sorted(file for file in args.site.rglob(args.only) if file.name != "404.html")
    if not files:
        sys.exit(f"expected pages in '{args.site}', found none: build it with 'make docs'")
    wrong = []
    with served(args.site) as site, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width, height in WIDTHS.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=scheme, service_workers="block"
                )
                for file in files:
                    page, name = context.new_page(), file.relative_to(args.site).as_posix()
                    wrong += [f"{name}: {fault}" for fault in faults(page, site, name, width)]
                    if args.images:
                        image = args.images / f"{name.removesuffix('.html').replace('/', '-')}-{width}-{scheme}.png"
                        page.screenshot(path=image)
                    page.close()
                context.close()
        browser.close()
    print("\n".join(dict.fromkeys(wrong)) or f"{len(files)} pages at {len(WIDTHS)} widths, light and dark: all is well")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
