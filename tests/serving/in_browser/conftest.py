"""A server with the page, and headless Chromium that visits it. Run what needs them with ``pytest -m browser``."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .driving import opened


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


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def fake_url(evaluated: Path) -> Iterator[str]:
    with server(str(Path(__file__).with_name("fake_page.py")), free_port(), str(evaluated)) as url:
        yield url


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Any, fake_url: str) -> Iterator[Any]:
    width, height = request.param
    with opened(browser, fake_url, width, height) as page:
        yield page


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (200, 100), (90, 120, 60)).save(path)
    return path
