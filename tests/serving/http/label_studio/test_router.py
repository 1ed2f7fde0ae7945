"""Label Studio's requests, sent over a real socket as its own client of models behind sends them."""

from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.serving.http.gate import Access
from thinkseg.serving.http.label_studio.brush import brush_from_mask
from thinkseg.serving.http.label_studio.reading import TaskImages
from thinkseg.serving.http.label_studio.router import LabelStudio
from thinkseg.serving.http.limits import Limits
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Segmentation

from ..conftest import HTTP, PNG, SAID, Scripted, fake_pipeline, file_of, serving

NOTHING = "<think>No such thing.</think><bbox></bbox><points></points><labels></labels>"
IMAGE = f"data:image/png;base64,{b64encode(PNG).decode()}"


def config(tag: str = "BrushLabels", more: str = "") -> str:
    return f"""<View><Image name="img" value="$image"/>
    <{tag} name="mark" toName="img"><Label value="Thing"/><Label value="Ball"/></{tag}>
    <TextArea name="ask" toName="img"/>{more}</View>"""


NOTE = '<TextArea name="thinking" toName="img"/>'


def asked(*data: dict[str, Any], label_config: str = "", context: Any = None) -> dict[str, Any]:
    return {
        "tasks": [{"id": number, "data": each, "annotations": []} for number, each in enumerate(data)],
        "project": "3.1790000000",
        "label_config": label_config or config(),
        "params": {"login": None, "password": None, "context": context},
    }


def filled(rows: slice, columns: slice) -> np.ndarray:
    """A mask of 20×10 pixels."""
    mask = np.zeros((10, 20), dtype=bool)
    mask[rows, columns] = True
    return mask


class Empty(FakeSegmenter):
    """Whatever is asked for: no pixel."""

    mask = np.zeros((10, 20), dtype=bool)

    def segment(self, image: Any, answers: Any) -> list[Segmentation]:
        del image
        return [Segmentation(self.mask[None], np.full(1, 0.5)) for _ in answers]


class Square(Empty):
    """Whatever is asked for: columns 2 to 4 of rows 3 to 6."""

    mask = filled(slice(3, 7), slice(2, 5))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(fake_pipeline(), routers=[LabelStudio(TaskImages(), "the ball").create_router]) as (address, _, _):
        yield address


def predict(url: str, body: dict[str, Any]) -> list[Any]:
    answer = HTTP.post(f"{url}/predict", json=body)
    assert answer.status_code == 200, answer.text
    results: list[Any] = answer.json()["results"]
    return results


def test_a_typed_query_comes_back_as_a_brush_stroke_with_the_thinking_beside_it(url: str) -> None:
    context = {"result": [{"from_name": "ask", "type": "textarea", "value": {"text": ["the thing"]}}]}
    (prediction,) = predict(url, asked({"image": IMAGE}, context=context))
    (region,) = prediction["result"]
    assert {name: region[name] for name in ("from_name", "to_name", "type", "score", "image_rotation")} == {
        "from_name": "mark",
        "to_name": "img",
        "type": "brushlabels",
        "score": 0.5,
        "image_rotation": 0,
    }
    assert (region["original_width"], region["original_height"]) == (20, 10)
    assert region["meta"] == {"text": ["There it is."]}
    assert (region["value"]["format"], region["value"]["brushlabels"]) == ("rle", ["Thing"])
    assert region["value"]["rle"] == brush_from_mask(filled(slice(1, 9), slice(1, 9)))
    assert (prediction["score"], prediction["model_version"]) == (0.5, "reasoner")


def test_polygons_and_boxes_are_in_per_cent_of_the_image(url: str) -> None:
    (prediction,) = predict(url, asked({"image": IMAGE}, label_config=config("PolygonLabels")))
    (region,) = prediction["result"]
    assert (region["type"], region["value"]["polygonlabels"]) == ("polygonlabels", ["Ball"])
    assert sorted(map(tuple, region["value"]["points"])) == [(5, 10), (5, 90), (45, 10), (45, 90)]
    (prediction,) = predict(url, asked({"image": IMAGE}, label_config=config("RectangleLabels")))
    (region,) = prediction["result"]
    box = {"x": 5, "y": 10, "width": 35, "height": 70, "rotation": 0, "rectanglelabels": ["Ball"]}
    assert (region["type"], region["value"]) == ("rectanglelabels", box)


@pytest.mark.parametrize("tag", ["BrushLabels", "PolygonLabels", "RectangleLabels"])
@pytest.mark.parametrize("box", ["[5,5,5,5]", "[5,2,5,8]"])
def test_what_has_no_area_is_no_region(tag: str, box: str) -> None:
    said = f"<think>Here.</think><bbox>{box}</bbox><points>[[5,5]]</points><labels>[1]</labels>"
    pipeline = replace(fake_pipeline(FakeReasoner(lambda _: said)), segmenter=Empty())
    with serving(pipeline, routers=[LabelStudio(TaskImages(), "it").create_router]) as (url, _, _):
        (prediction,) = predict(url, asked({"image": IMAGE}, label_config=config(tag)))
    assert prediction["result"] == []


def test_of_a_box_without_an_area_the_one_around_the_mask_is_told() -> None:
    said = "<think>Here.</think><bbox>[5,5,5,5]</bbox><points>[[5,5]]</points><labels>[1]</labels>"
    pipeline = replace(fake_pipeline(FakeReasoner(lambda _: said)), segmenter=Square())
    with serving(pipeline, routers=[LabelStudio(TaskImages(), "it").create_router]) as (url, _, _):
        (prediction,) = predict(url, asked({"image": IMAGE}, label_config=config("RectangleLabels")))
    value = prediction["result"][0]["value"]
    assert [value[name] for name in ("x", "y", "width", "height")] == [10, 30, 15, 40]


def test_of_several_tasks_those_that_cannot_be_predicted_have_no_prediction(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = predict(url, asked({"image": IMAGE}, {"image": "/etc/passwd"}, {"image": IMAGE, "query": "a thing"}, {}))
    assert [len(each) for each in found] == [3, 0, 3, 0]
    assert found[2]["result"][0]["value"]["brushlabels"] == ["Thing"]
    assert "the image is not from a place that the operator allows" in caplog.text


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (asked({"image": "http://127.0.0.1:1/data/upload/1/a.png"}), 403, "the image is not from a place that"),
        (asked({"image": "data:image/png;base64,aGVsbG8="}), 400, "image"),
        (asked({"image": IMAGE, "query": "x" * 1001}), 413, "a query has at most 1000 characters"),
        (asked({"image": IMAGE}, label_config="<View/>"), 400, "expected an <Image> whose value is a field"),
        (asked(), 400, "'tasks': list should have at least 1 item"),
        ({}, 400, "'tasks': field required"),
    ],
)
def test_what_cannot_be_predicted_at_all_is_refused_in_a_sentence(
    url: str, body: dict[str, Any], status: int, sentence: str
) -> None:
    answer = HTTP.post(f"{url}/predict", json=body)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("said", "note", "score"),
    [
        (SAID, ["There it is."], 0.5),
        (NOTHING, ["No such thing.", "nothing there"], None),
        ("what?", ["no answer: The model's text is not an answer in the expected format."], 0.0),
    ],
)
def test_a_text_area_called_thinking_says_what_was_thought_or_why_there_is_no_answer(
    said: str, note: list[str], score: float | None
) -> None:
    pipeline = fake_pipeline(FakeReasoner(lambda _: said))
    with serving(pipeline, routers=[LabelStudio(TaskImages(), "it").create_router]) as (url, _, _):
        (prediction,) = predict(url, asked({"image": IMAGE}, label_config=config(more=NOTE)))
    told = prediction["result"][-1]
    assert (told["from_name"], told["to_name"], told["type"]) == ("thinking", "img", "textarea")
    assert told["value"]["text"] == note
    assert prediction["score"] == score


def test_more_tasks_than_there_are_places_are_all_predicted() -> None:
    images = [file_of(Image.new("RGB", (20 + number, 10))) for number in range(6)]
    tasks = [{"image": f"data:image/png;base64,{b64encode(image).decode()}"} for image in images]
    router = LabelStudio(TaskImages(), "it").create_router
    with serving(fake_pipeline(Scripted()), limits=Limits(queue=2), routers=[router]) as (url, _, _):
        found = predict(url, asked(*tasks))
    assert [each["result"][0]["original_width"] for each in found] == [20, 21, 22, 23, 24, 25]


def test_a_task_waits_while_other_requests_have_all_places() -> None:
    router = LabelStudio(TaskImages(), "it").create_router
    served = serving(fake_pipeline(), limits=Limits(queue=1), routers=[router])
    with served as (url, service, _), ThreadPoolExecutor() as threads:
        with service.slot(1):
            waiting = threads.submit(predict, url, asked({"image": IMAGE}))
            assert not wait([waiting], 0.3).done
        (prediction,) = waiting.result()
    assert prediction["score"] == 0.5


def test_what_is_predicted_in_time_is_not_lost_with_what_is_not(caplog: pytest.LogCaptureFixture) -> None:
    reasoner = Scripted()
    router = LabelStudio(TaskImages(), "it").create_router
    one_by_one = Limits(queue=1, timeout=2.0)
    with serving(fake_pipeline(reasoner), limits=one_by_one, routers=[router]) as (url, _, _):
        found = predict(url, asked({"image": IMAGE}, {"image": IMAGE, "query": "hang"}, {"image": IMAGE}))
        reasoner.go_on.set()
    assert [len(each) for each in found] == [3, 0, 0]
    assert "the answer took longer than this service waits" in caplog.text


def test_a_project_is_connected_if_its_configuration_can_be_answered(url: str) -> None:
    body = {"project": "3.1790000000", "schema": config(), "hostname": "http://evil.example", "access_token": "x"}
    assert HTTP.post(f"{url}/setup", json=body).json() == {"model_version": "reasoner"}
    answer = HTTP.post(f"{url}/setup", json={**body, "schema": "<View/>"})
    assert answer.status_code == 400
    assert HTTP.get(f"{url}/health").json() == {"status": "UP", "model_class": "ThinkSeg"}
    assert HTTP.post(f"{url}/webhook", json={"action": "ANNOTATION_CREATED"}).json() == {"status": "ok"}


def test_the_key_of_a_service_is_label_studios_password() -> None:
    router = LabelStudio(TaskImages(), "it").create_router
    with serving(fake_pipeline(), access=Access(key="open"), routers=[router]) as (url, _, _):
        body = {"schema": config()}
        assert HTTP.post(f"{url}/setup", json=body).status_code == 401
        assert HTTP.post(f"{url}/setup", json=body, auth=("anybody", "open")).status_code == 200
