"""Label Studio's requests, sent over a real socket as its own client of models behind sends them."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.serving.http.gate import Access
from thinkseg.serving.http.label_studio.brush import brush_from_mask
from thinkseg.serving.http.label_studio.reading import TaskImages
from thinkseg.serving.http.label_studio.router import LabelStudio
from thinkseg.serving.http.limits import Limits
from thinkseg.testing import FakeReasoner

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


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(fake_pipeline(), routers=[LabelStudio(TaskImages(), "the ball").create_router]) as (address, _, _):
        yield address


def predict(url: str, body: dict[str, Any]) -> list[Any]:
    answer = HTTP.post(f"{url}/predict", json=body)
    assert answer.status_code == 200, answer.text
    results: list[Any] = answer.json()["results"]
    return results


def values_of(rle: Sequence[int]) -> np.ndarray:
    """Read run lengths as `@thi.ng/rle-pack` does, bit by bit."""
    bits = "".join(f"{byte:08b}" for byte in rle)
    at = 0

    def read(size: int) -> int:
        nonlocal at
        at += size
        return int(bits[at - size : at], 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        run, length = read(1), read(sizes[read(2)]) + 1
        values += [read(word)] * length if run else [read(word) for _ in range(length)]
    return np.array(values, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (150, 200), (40, 1000)])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 1])
def test_a_mask_comes_back_from_label_studios_run_lengths(shape: tuple[int, int], share: float) -> None:
    mask = np.random.default_rng(7).random(shape) < share
    rgba = values_of(brush_from_mask(mask)).reshape(*shape, 4)
    assert np.array_equal(rgba, np.repeat(mask[..., None] * 255, 4, axis=2))


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
    alpha = values_of(region["value"]["rle"]).reshape(10, 20, 4)[..., 3]
    assert np.argwhere(alpha).min(axis=0).tolist() == [1, 1]
    assert np.argwhere(alpha).max(axis=0).tolist() == [8, 8]
    assert np.count_nonzero(alpha) == 64
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
