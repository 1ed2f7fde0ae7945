"""Label Studio itself, headless, asks the service: `make test-label-studio` installs it and runs this.

``LABEL_STUDIO`` names its program. Screenshots lie in the test's folder.
"""

import json
import os
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from thinkseg.serving.http.label_studio.reading import TaskImages
from thinkseg.serving.http.label_studio.router import LabelStudio
from thinkseg.testing import FakeReasoner

from ..conftest import fake_pipeline, file_of, serving

pytestmark = pytest.mark.label_studio

USER, WORD = "people@example.org", "a-long-enough-word"
SAID = "<think>A red box on grey.</think><bbox>[40,30,159,79]</bbox><points>[[90,50]]</points><labels>[1]</labels>"
"""Of an image of 300×200: the fake segmenter fills columns 40 to 159 of rows 30 to 79."""
CONFIG = """<View><Image name="image" value="$image"/>
  <{tag} name="mark" toName="image"><Label value="Thing" background="#1f77b4"/></{tag}>
  <TextArea name="query" toName="image" smart="true" placeholder="what to find"/>
  <TextArea name="thinking" toName="image" editable="true"/></View>"""


@dataclass
class Studio:
    url: str
    token: str
    http: httpx.Client

    def ask(self, method: str, path: str, **more: Any) -> Any:
        access = self.http.post("/api/token/refresh/", json={"refresh": self.token}).json()["access"]
        answer = self.http.request(method, path, headers={"Authorization": f"Bearer {access}"}, **more)
        assert answer.is_success, answer.text
        return answer

    def task(self, model: str, tag: str) -> tuple[int, int, int]:
        """A project that asks a model, and the task of an image that was imported: all three identities."""
        project = self.ask("POST", "/api/projects/", json={"title": tag, "label_config": CONFIG.format(tag=tag)}).json()
        about = {"url": model, "project": project["id"], "title": "ThinkSeg", "is_interactive": True}
        connected = self.ask("POST", "/api/ml/", json=about).json()
        assert (connected["readable_state"], connected["model_version"]) == ("Connected", "reasoner")
        self.ask("POST", f"/api/projects/{project['id']}/import", files={"file": ("red box.png", IMAGE)})
        (task,) = self.ask("GET", f"/api/tasks/?project={project['id']}").json()["tasks"]
        return project["id"], task["id"], connected["id"]


def boxed() -> Image.Image:
    image = Image.new("RGB", (300, 200), (200, 200, 200))
    ImageDraw.Draw(image).rectangle((40, 30, 159, 79), (200, 30, 30))
    return image


IMAGE = file_of(boxed())


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    program = os.environ.get("LABEL_STUDIO")
    if not program:
        pytest.skip("Label Studio has an environment of its own: make test-label-studio")
    folder = tmp_path_factory.mktemp("studio")
    url = "http://127.0.0.1:18089"
    words = [program, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    words += ["--username", USER, "--password", WORD, "--data-dir", str(folder)]
    quiet = {"COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}
    environment = {**os.environ, **quiet, "HOME": str(folder), "USE_DEFAULT_BANNED_SUBNETS": "false"}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            words, env={**environment, "LABEL_STUDIO_BASE_DATA_DIR": str(folder)}, stdout=log, stderr=log
        )
    try:
        with httpx.Client(base_url=url, timeout=120, follow_redirects=True) as http:
            _wait_for(http, process)
            yield Studio(url, _token(http), http)
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(http: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 1200
    while process.poll() is None and time.monotonic() < end:
        try:
            if http.get("/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(1)
    raise AssertionError("Label Studio does not start")


def _token(http: httpx.Client) -> str:
    """A personal access token, made as its page makes it."""
    page = http.get("/user/login/")
    (csrf,) = re.findall(r'csrfmiddlewaretoken" value="([^"]+)"', page.text)
    where = {"Referer": str(http.base_url)}
    http.post("/user/login/", data={"csrfmiddlewaretoken": csrf, "email": USER, "password": WORD}, headers=where)
    made = http.post("/api/token/", headers={**where, "X-CSRFToken": http.cookies["csrftoken"]})
    http.cookies.clear()
    token: str = made.json()["token"]
    return token


@pytest.fixture(scope="module")
def model(studio: Studio) -> Iterator[str]:
    router = LabelStudio(TaskImages(studio.url, studio.token), "the red box").create_router
    with serving(fake_pipeline(FakeReasoner(lambda _: SAID)), routers=[router]) as (url, _, _):
        yield url


def mask() -> np.ndarray:
    expected = np.zeros((200, 300), dtype=bool)
    expected[30:80, 40:160] = True
    return expected


def test_a_prediction_appears_and_what_label_studio_exports_of_it_is_the_mask(studio: Studio, model: str) -> None:
    project, task, _ = studio.task(model, "BrushLabels")
    asked = {"selectedItems": {"all": True, "excluded": []}}
    studio.ask("POST", f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}", json=asked)
    (prediction,) = studio.ask("GET", f"/api/predictions/?task={task}").json()
    assert (prediction["score"], prediction["model_version"]) == (0.5, "reasoner")
    studio.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": prediction["result"]})
    (region,) = (region for region in prediction["result"] if region["type"] == "brushlabels")
    assert region["value"]["brushlabels"] == ["Thing"]
    exported = studio.ask("GET", f"/api/projects/{project}/export?exportType=BRUSH_TO_PNG").content
    # One stroke is one file, which Label Studio gives as it is; more would be an archive.
    assert np.array_equal(np.asarray(Image.open(BytesIO(exported))), mask() * np.uint8(255))


def test_polygons_are_exported_as_the_outline_of_the_mask(studio: Studio, model: str) -> None:
    project, task, _ = studio.task(model, "PolygonLabels")
    asked = {"selectedItems": {"all": True, "excluded": []}}
    studio.ask("POST", f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}", json=asked)
    (prediction,) = studio.ask("GET", f"/api/predictions/?task={task}").json()
    studio.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": prediction["result"]})
    exported = studio.ask("GET", f"/api/projects/{project}/export?exportType=COCO").content
    with zipfile.ZipFile(BytesIO(exported)) as files:
        (found,) = json.loads(files.read("result.json"))["annotations"]
    assert np.allclose(found["bbox"], [40, 30, 120, 50], atol=0.01)
    assert abs(found["area"] - mask().sum()) < 1


def test_what_somebody_types_on_its_page_comes_back_as_a_stroke_with_the_thinking(
    studio: Studio, model: str, tmp_path: Path
) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright drives the page: pip install playwright")
    project, task, _ = studio.task(model, "BrushLabels")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        page.route(lambda url: not url.startswith(studio.url), lambda route: route.abort())
        page.goto(f"{studio.url}/user/login/", wait_until="domcontentloaded")
        page.fill("input[name=email]", USER)
        page.fill("input[name=password]", WORD)
        page.click("button[type=submit]", no_wait_after=True)
        page.wait_for_url(lambda url: "login" not in url, wait_until="domcontentloaded")
        page.goto(f"{studio.url}/projects/{project}/data?task={task}", wait_until="domcontentloaded")
        page.get_by_text("Auto-Annotation").click()
        asking = page.get_by_placeholder("what to find")
        asking.fill("the red box")
        asking.press("Enter")
        page.get_by_text("0.50").first.wait_for()
        page.screenshot(path=tmp_path / "suggested.png")
        page.get_by_text("0.50").first.click()
        assert page.get_by_text("A red box on grey.").count() >= 1
        page.screenshot(path=tmp_path / "selected.png")
        browser.close()
