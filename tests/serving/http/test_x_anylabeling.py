"""X-AnyLabeling's requests, as its `remote_server.py` sends them."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import thinkseg
from thinkseg.serving.http import x_anylabeling
from thinkseg.serving.http.gate import Access
from thinkseg.serving.http.schemas import ModelsAnswer
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Answer, Segmentation

from .conftest import HTTP, PNG, fake_pipeline, serving

IMAGE = f"data:image/png;base64,{b64encode(PNG).decode()}"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(fake_pipeline(), routers=[x_anylabeling.create_router]) as (address, _, _):
        yield address


def asked(text: str = "the red thing", **params: Any) -> dict[str, Any]:
    own = {"conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001, "text_prompt": text, **params}
    return {"model": "thinkseg", "image": IMAGE, "params": own}


def test_models_are_told_to_x_anylabeling_and_to_the_client_at_one_path(url: str) -> None:
    told = HTTP.get(f"{url}/v1/models", headers={"Token": ""}).json()
    assert told["success"] is True
    about = told["data"]["thinkseg"]
    assert about["display_name"] == "ThinkSeg: reasoner"
    assert [task["id"] for task in about["available_tasks"]] == ["polygon", "rectangle"]
    assert {task["batch_processing_mode"] for task in about["available_tasks"]} == {"text_prompt"}
    assert {"edit_text", "button_send"} <= {widget["name"] for widget in about["widgets"]}
    ModelsAnswer.model_validate(told)
    with thinkseg.Client(url) as client:
        assert client.models()["segmenter"]["masks"] == "single"
        assert client.segment(np.full((10, 20, 3), 200, dtype=np.uint8), "the red thing").found
    info = HTTP.get(f"{url}/v1/models/thinkseg/info").json()
    assert info == {"success": True, "data": {"model_id": "thinkseg", **about}}
    assert HTTP.get(f"{url}/v1/models/other/info").status_code == 404


def test_a_query_comes_back_as_a_polygon_that_is_closed_with_the_thinking(url: str) -> None:
    told = HTTP.post(f"{url}/v1/predict", json=asked()).json()
    assert told["success"] is True
    assert (told["data"]["description"], told["data"]["replace"]) == ("There it is.", None)
    (shape,) = told["data"]["shapes"]
    points = shape.pop("points")
    assert points[0] == points[-1]
    assert sorted(map(tuple, points[1:])) == [(1, 1), (1, 9), (9, 1), (9, 9)]
    assert shape == {
        "label": "the red thing",
        "shape_type": "polygon",
        "score": 0.5,
        "description": "There it is.",
        "group_id": None,
    }


def test_or_as_a_rectangle_of_four_corners(url: str) -> None:
    (shape,) = HTTP.post(f"{url}/v1/predict", json=asked(current_task="rectangle")).json()["data"]["shapes"]
    assert (shape["shape_type"], shape["points"]) == ("rectangle", [[1, 1], [8, 1], [8, 8], [1, 8]])


class RingAndDot(FakeSegmenter):
    """Whatever is asked for: a square with a hole, and a pixel apart."""

    def segment(self, image: Any, answers: Any) -> list[Segmentation]:
        mask = np.zeros((10, 20), dtype=bool)
        mask[1:8, 1:8], mask[3:6, 3:6], mask[9, 19] = True, False, True
        return [self._found(answer, mask) for answer in answers]

    def _found(self, answer: Answer, mask: np.ndarray) -> Segmentation:
        return Segmentation(np.stack([mask] * len(answer.objects)), np.full(len(answer.objects), 0.5))


def test_parts_of_an_object_are_a_group_and_a_hole_does_not_end_a_polygon_too_early() -> None:
    pipeline = replace(fake_pipeline(), segmenter=RingAndDot())
    with serving(pipeline, routers=[x_anylabeling.create_router]) as (url, _, _):
        ring, dot = HTTP.post(f"{url}/v1/predict", json=asked()).json()["data"]["shapes"]
    assert (ring["group_id"], dot["group_id"]) == (1, 1)
    corners = list(map(tuple, ring["points"]))
    assert corners[0] == corners[-1]
    assert corners.count(corners[0]) == 2
    x, y = np.array(corners).T
    assert abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2 == 49 - 9


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({**asked(), "model": "yolo"}, 404, "there is one model here, 'thinkseg'"),
        (asked(" "), 400, "expected a query in 'params.text_prompt', found none"),
        (asked("x" * 1001), 413, "a query has at most 1000 characters"),
        ({**asked(), "image": "/etc/passwd"}, 400, "a path or an address is not read here"),
        (asked(current_task="cuboid"), 400, "'params.current_task'"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_status_and_a_sentence(
    url: str, body: dict[str, Any], status: int, sentence: str
) -> None:
    answer = HTTP.post(f"{url}/v1/predict", json=body)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]["message"]


def test_a_text_that_cannot_be_read_is_no_shape_and_says_so() -> None:
    with serving(fake_pipeline(FakeReasoner(lambda _: "what?")), routers=[x_anylabeling.create_router]) as (url, _, _):
        data = HTTP.post(f"{url}/v1/predict", json=asked()).json()["data"]
    assert data["shapes"] == []
    assert data["description"].startswith("no answer: ")


def test_the_key_comes_in_its_own_header() -> None:
    router = x_anylabeling.create_router
    with serving(fake_pipeline(), access=Access(key="open"), routers=[router]) as (url, _, _):
        assert HTTP.get(f"{url}/v1/models", headers={"Token": "open"}).status_code == 200
        assert HTTP.get(f"{url}/v1/models", headers={"Token": "shut"}).status_code == 401
