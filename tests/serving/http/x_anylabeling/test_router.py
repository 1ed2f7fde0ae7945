"""X-AnyLabeling's requests, as its `remote_server.py` sends them."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import thinkseg
from thinkseg.serving.http.gate import Access
from thinkseg.serving.http.limits import Limits
from thinkseg.serving.http.schemas import ModelsAnswer
from thinkseg.serving.http.x_anylabeling.router import create_router
from thinkseg.serving.http.x_anylabeling.wire import RemoteAnswer
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Answer, Box, Point, Segmentation

from ..conftest import HTTP, PNG, fake_pipeline, serving

IMAGE = f"data:image/png;base64,{b64encode(PNG).decode()}"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(fake_pipeline(), routers=[create_router]) as (address, _, _):
        yield address


def asked(text: str = "the red thing", **params: Any) -> dict[str, Any]:
    own = {"conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001, "text_prompt": text, **params}
    return {"model": "thinkseg", "image": IMAGE, "params": own}


def test_models_are_told_to_x_anylabeling_and_to_the_client_at_one_path(url: str) -> None:
    told = HTTP.get(f"{url}/v1/models", headers={"Token": ""}).json()
    assert told["success"] is True
    about = told["data"]["thinkseg"]
    assert about["display_name"] == "ThinkSeg: reasoner"
    tasks = {
        task["id"]: (task["batch_processing_mode"], set(task["active_widgets"])) for task in about["available_tasks"]
    }
    words = {"edit_text", "button_send", "toggle_preserve_existing_annotations"}
    marks = {"button_add_point", "button_remove_point", "button_add_rect", "button_clear", "button_finish_object"}
    assert tasks == {"polygon": ("text_prompt", words), "rectangle": ("text_prompt", words), "marks": (None, marks)}
    shown = {widget["name"]: widget["value"] for widget in about["widgets"]}
    assert words <= set(shown)
    assert shown["toggle_preserve_existing_annotations"] is True
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
    with serving(pipeline, routers=[create_router]) as (url, _, _):
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
        ({**asked(), "image": ""}, 400, "'image'"),
        (asked(current_task="cuboid"), 400, "'params.current_task'"),
        (asked(marks=[{"type": "auto_grid"}]), 400, "'params.marks"),
        (asked(marks=[{"type": "point", "data": [1]}]), 400, "'params.marks"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_status_and_a_sentence(
    url: str, body: dict[str, Any], status: int, sentence: str
) -> None:
    answer = HTTP.post(f"{url}/v1/predict", json=body)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code", "sentence"),
    [
        (asked(" "), "bad_request", "expected a text that says what to look for, found none"),
        (asked("x" * 1001), "too_large", "a query has at most 1000 characters"),
        ({**asked(), "image": "/etc/passwd"}, "bad_request", "a path or an address is not read here"),
        ({**asked(), "image": "data:image/bmp;base64,Qk0="}, "bad_request", "image"),
    ],
)
def test_what_is_wrong_with_a_query_leaves_the_shapes_that_are_there_and_says_why(
    url: str, body: dict[str, Any], code: str, sentence: str
) -> None:
    answer = HTTP.post(f"{url}/v1/predict", json=body)
    told = answer.json()
    RemoteAnswer.model_validate(told)
    assert (answer.status_code, told["success"], told["error"]["code"]) == (200, False, code)
    assert (told["data"]["shapes"], told["data"]["replace"]) == ([], False)
    assert told["data"]["description"] == f"no answer: {told['error']['message']}"
    assert sentence in told["error"]["message"]


def test_so_does_a_service_that_is_busy() -> None:
    with (
        serving(fake_pipeline(), limits=Limits(queue=1), routers=[create_router]) as (url, service, _),
        service.slot(1),
    ):
        told = HTTP.post(f"{url}/v1/predict", json=asked()).json()
    assert (told["error"]["code"], told["data"]["replace"]) == ("busy", False)


def test_and_a_text_that_cannot_be_read() -> None:
    with serving(fake_pipeline(FakeReasoner(lambda _: "what?")), routers=[create_router]) as (url, _, _):
        told = HTTP.post(f"{url}/v1/predict", json=asked()).json()
    assert told["success"] is True
    assert (told["data"]["shapes"], told["data"]["replace"]) == ([], False)
    assert told["data"]["description"].startswith("no answer: ")


POINT, BESIDE = {"type": "point", "data": [4, 5], "label": 1}, {"type": "point", "data": [9, 9], "label": 0}


class Heard(FakeSegmenter):
    """Keeps what it is asked for."""

    def __init__(self) -> None:
        super().__init__(score=0.5)
        self.asked: list[Answer] = []

    def segment(self, image: Any, answers: Any) -> list[Segmentation]:
        self.asked += answers
        return super().segment(image, answers)


def test_points_and_a_box_of_one_object_come_back_as_a_polygon_that_its_user_names() -> None:
    heard = Heard()
    boxes = [{"type": "rectangle", "data": [0, 0, 1, 1]}, {"type": "rectangle", "data": [12, 7, 3, 2], "label": 1}]
    with serving(replace(fake_pipeline(), segmenter=heard), routers=[create_router]) as (url, _, _):
        body = asked("", current_task="marks", marks=[POINT, *boxes, BESIDE])
        told = HTTP.post(f"{url}/v1/predict", json=body).json()["data"]
    ((prompt,),) = [answer.objects for answer in heard.asked]
    assert prompt.box == Box(3, 2, 12, 7)
    assert prompt.points == (Point(4, 5, 1), Point(9, 9, 0))
    (shape,) = told["shapes"]
    assert (told["description"], told["replace"]) == ("", False)
    assert (shape["label"], shape["shape_type"], shape["score"]) == ("AUTOLABEL_OBJECT", "polygon", 0.5)
    assert shape["description"] is None


def test_marks_that_are_all_gone_are_no_shape(url: str) -> None:
    told = HTTP.post(f"{url}/v1/predict", json=asked("", current_task="marks")).json()
    assert told == {"success": True, "data": {"shapes": [], "description": "", "replace": False}}


def test_the_key_comes_in_its_own_header() -> None:
    with serving(fake_pipeline(), access=Access(key="open"), routers=[create_router]) as (url, _, _):
        assert HTTP.get(f"{url}/v1/models", headers={"Token": "open"}).status_code == 200
        assert HTTP.get(f"{url}/v1/models", headers={"Token": "shut"}).status_code == 401
