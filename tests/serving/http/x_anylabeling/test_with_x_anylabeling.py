"""X-AnyLabeling itself asks the service: `make test-x-anylabeling` installs it and runs this.

``X_ANYLABELING`` names the Python that has it. Its window is driven without a screen, by `window.py` beside this file,
with the pocket models behind a service that runs. Screenshots lie in the test's folder.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import thinkseg
from thinkseg.serving.http.gate import Access
from thinkseg.serving.http.x_anylabeling.router import create_router
from thinkseg.types import Mask

from ..conftest import serving

pytestmark = pytest.mark.x_anylabeling

KEY = "open"
SIZE = (300, 200)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if "X_ANYLABELING" not in os.environ:
        pytest.skip("X-AnyLabeling has an environment of its own: make test-x-anylabeling")
    with serving(thinkseg.load("pocket"), routers=[create_router]) as (url, _, _):
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images: a red box at the left, and one at the right."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, left in (("left", 40), ("right", 160)):
        image = Image.new("RGB", SIZE, (225, 225, 225))
        ImageDraw.Draw(image).rectangle((left, 50, left + 99, 149), (200, 30, 30))
        image.save(folder / f"{name}.png")
    return folder


def drive(address: str, image: Path, *steps: Sequence[Any]) -> list[dict[str, Any]]:
    """What the window shows at first, and after each step."""
    home = image.parent.parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = [os.environ["X_ANYLABELING"], str(Path(__file__).with_name("window.py")), address, str(image)]
    with (home / "log").open("w") as log:
        told = subprocess.run(
            words, input=json.dumps(steps), stdout=subprocess.PIPE, stderr=log, text=True, timeout=600, check=False,
            env={**environment, "HOME": str(home)},
        )  # fmt: skip
    assert told.returncode == 0, (home / "log").read_text()[-3000:]
    states = [json.loads(line[6:]) for line in told.stdout.splitlines() if line.startswith("STATE ")]
    assert len(states) == len(steps) + 1
    return states


def mask_of(shapes: list[dict[str, Any]]) -> Mask:
    """What polygons are drawn around, filled by Pillow."""
    canvas = Image.new("1", SIZE)
    for shape in shapes:
        ImageDraw.Draw(canvas).polygon([tuple(point) for point in shape["points"]], fill=1)
    return np.asarray(canvas)


def iou(mask: Mask, left: int) -> float:
    box = np.zeros(SIZE[::-1], dtype=bool)
    box[50:150, left : left + 100] = True
    return float((mask & box).sum() / (mask | box).sum())


def test_what_is_typed_comes_back_as_shapes_and_a_second_query_keeps_them(address: str, folder: Path) -> None:
    first, one, two, wrong, *_, boxed = drive(
        address, folder / "left.png", ["ask", "the red box"], ["ask", "the box."], ["ask", ""], ["replace"],
        ["task", "Rectangle"], ["ask", "the red box"], ["shot", str(folder.parent / "asked.png")],
    )  # fmt: skip
    assert first["tasks"] == ["Polygon", "Rectangle", "Points or Box"]
    assert {"edit_text", "button_send", "toggle_preserve_existing_annotations"} <= set(first["shown"])
    assert {shape["label"] for shape in one["shapes"]} == {"the red box"}
    assert {shape["kind"] for shape in one["shapes"]} == {"polygon"}
    assert iou(mask_of(one["shapes"]), 40) > 0.9
    answer = thinkseg.load("pocket").segment(folder / "left.png", "the red box")
    assert {shape["description"] for shape in one["shapes"]} == {one["description"]} == {answer.thinking}
    assert two["shapes"][: len(one["shapes"])] == one["shapes"]
    assert {shape["label"] for shape in two["shapes"]} == {"the red box", "the box"}
    assert wrong["shapes"] == two["shapes"]
    assert wrong["description"] == "no answer: expected a text that says what to look for, found none"
    (shape,) = boxed["shapes"]
    assert (shape["kind"], len(shape["points"])) == ("rectangle", 4)
    left, top, right, bottom = answer.objects[0].corners
    assert shape["points"] == [[left, top], [right, top], [right, bottom], [left, bottom]]


def test_points_and_a_box_are_segmented_and_named_by_their_user(address: str, folder: Path) -> None:
    *_, asked, point, named, box = drive(
        address, folder / "left.png", ["ask", "the red box"], ["task", "Points or Box"], ["mark", True, 90, 100],
        ["name", "crate"], ["mark", True, 35, 45, 145, 155],
    )  # fmt: skip
    assert "button_add_point" in asked["shown"]
    assert "edit_text" not in asked["shown"]
    assert iou(mask_of([shape for shape in point["shapes"] if shape["label"] == "AUTOLABEL_OBJECT"]), 40) > 0.9
    labels = [shape["label"] for shape in named["shapes"]]
    assert set(labels) == {"the red box", "crate"}
    assert named["description"] == asked["description"]
    assert iou(mask_of([shape for shape in box["shapes"] if shape["label"] == "AUTOLABEL_OBJECT"]), 40) > 0.9


def test_all_images_are_asked_with_one_text_and_saved(address: str, folder: Path) -> None:
    drive(address, folder / "left.png", ["all", "the red box"])
    for name, left in (("left", 40), ("right", 160)):
        saved = json.loads((folder / f"{name}.json").read_text())
        assert {shape["label"] for shape in saved["shapes"]} == {"the red box"}
        assert saved["description"]
        assert iou(mask_of(saved["shapes"]), left) > 0.9


def test_the_key_is_the_one_of_its_dialog(address: str, folder: Path) -> None:
    del address
    with serving(thinkseg.load("pocket"), access=Access(key=KEY), routers=[create_router]) as (url, _, _):
        shut, opened, asked = drive(url, folder / "left.png", ["connect", url, KEY], ["ask", "the red box"])
    assert (shut["tasks"], opened["tasks"]) == ([], ["Polygon", "Rectangle", "Points or Box"])
    assert asked["shapes"]
