"""A segmenter behind an address: the masks of a ThinkSeg service, wherever a segmenter is named."""

import json

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import CheckpointError, ImageError, InputError
from thinkseg.models.checkpoint_config import CheckpointConfig, resolve_config
from thinkseg.models.engines.served_segmenter import load_served_segmenter
from thinkseg.models.engines.service import Patience, ServiceError
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.prompting import prompted
from thinkseg.models.segmenter import load_segmenter
from thinkseg.testing import FakeReasoner
from thinkseg.training.config import load_recipe
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

from .servers import answering, segmenter_service, send, sent_image

QUICK = Patience(timeout=60.0, retries=1, first_wait=0.01)
IMAGE = Image.linear_gradient("L").convert("RGB").resize((40, 20))
TWO = Answer(
    Size(1000, 1000),
    (ObjectPrompt(Box(250, 250, 750, 750), (Point(500, 500, 0),)), ObjectPrompt(None, (Point(100, 100),))),
)


def test_an_image_goes_once_with_all_answers_in_its_pixels_and_masks_come_back():
    with answering(segmenter_service()) as server:
        segmenter = load_segmenter(server.address)
        both, nothing, again = segmenter.segment(IMAGE, [TWO, Answer(TWO.frame), TWO])
    (body,) = server.posts()
    np.testing.assert_array_equal(np.asarray(sent_image(body["image"])), np.asarray(IMAGE))
    objects = [{"box": [10.0, 5.0, 30.0, 15.0], "points": [[20.0, 10.0, 0]]}, {"box": None, "points": [[4.0, 2.0, 1]]}]
    assert body["answers"] == [objects, [], objects]
    expected = np.zeros((2, 20, 40), dtype=bool)
    expected[0, 5:15, 10:30] = True
    expected[1, 2, 4] = True
    np.testing.assert_array_equal(both.masks, expected)
    np.testing.assert_array_equal(again.masks, expected)
    assert both.scores.tolist() == [0.75, 0.75]
    assert nothing.masks.shape == (0, 20, 40)


def test_answers_without_objects_ask_nobody():
    with answering(segmenter_service()) as server:
        segmenter = load_segmenter(server.address)
        assert segmenter.segment(IMAGE, []) == []
        assert segmenter.segment(IMAGE, [Answer(Size(5, 5))])[0].masks.shape == (0, 20, 40)
        assert segmenter.segment_images([]) == []
    assert server.posts() == []


def test_images_together_give_what_each_gives_alone_in_order():
    images = [IMAGE.resize((30 + place, 20)) for place in range(6)]
    with answering(segmenter_service(score=None)) as server:
        segmenter = load_segmenter(f"{server.address}/v1/")
        together = segmenter.segment_images([(image, [TWO]) for image in images])
        for image, (own,) in zip(images, together, strict=True):
            assert own.scores is None
            np.testing.assert_array_equal(own.masks, segmenter.segment(image, [TWO])[0].masks)


def test_the_key_of_the_environment_is_sent(monkeypatch):
    monkeypatch.setenv("THINKSEG_API_KEY", "sesame")
    with answering(segmenter_service()) as server:
        load_segmenter(server.address).segment(IMAGE, [TWO])
    assert {headers["Authorization"] for *_, headers in server.asked} == {"Bearer sesame"}


def test_a_refused_key_is_told_with_where_it_is_read_from():
    def refuse(handler, path, body):
        send(handler, {"error": {"code": "unauthorized", "message": "a key is needed"}}, 401)

    with (
        answering(refuse) as server,
        pytest.raises(InputError, match=r"HTTP 401 \(a key is needed\); its key is read from THINKSEG_API_KEY"),
    ):
        load_segmenter(server.address)


@pytest.mark.parametrize("told", [{"data": []}, [], {"segmenter": "sam2"}])
def test_what_is_no_thinkseg_service_is_told(told):
    with (
        answering(lambda handler, *_: send(handler, told)) as server,
        pytest.raises(InputError, match=r"/v1/models names no segmenter: expected a ThinkSeg service there"),
    ):
        load_segmenter(server.address)


def test_masks_that_the_service_does_not_take_are_refused_with_what_to_say():
    with answering(segmenter_service(masks="best of three")) as server:
        segmenter = load_segmenter(server.address)
        assert prompted(segmenter, CheckpointConfig(masks="best of three")) is segmenter
        with pytest.raises(InputError, match=r"takes masks as 'best of three', and 'single' is asked for: .*--masks"):
            prompted(segmenter, CheckpointConfig())


DAMAGED = {
    "another size": lambda answer: answer | {"size": [20, 40]},
    "an answer too few": lambda answer: answer | {"answers": []},
    "an object too many": lambda answer: answer | {"answers": [{"objects": answer["answers"][0]["objects"] * 2}]},
    "no masks": lambda answer: answer | {"answers": [{"objects": [{}, {}]}]},
    "a mask of another size": lambda answer: answer | {"answers": [{"objects": [SMALL, SMALL]}]},
    "run lengths that are cut": lambda answer: answer | {"answers": [{"objects": [CUT, CUT]}]},
    "a score above 1": lambda answer: answer | {"answers": [{"objects": [HIGH, HIGH]}]},
    "text": lambda answer: "masks",
}
SMALL = {"mask": {"size": [2, 2], "counts": "04"}, "score": 0.5}
CUT = {"mask": {"size": [20, 40], "counts": "0"}, "score": 0.5}
HIGH = {"mask": {"size": [20, 40], "counts": "P9"}, "score": 1.5}


@pytest.mark.parametrize("damage", DAMAGED)
def test_an_answer_that_is_not_as_agreed_is_told(damage):
    right = segmenter_service()

    def answer(handler, path, body):
        if path == "/v1/models":
            right(handler, path, body)
        else:
            made = {"size": [40, 20], "answers": [{"objects": [SMALL, SMALL]}]}
            send(handler, DAMAGED[damage](made))

    with answering(answer) as server:
        segmenter = load_segmenter(server.address)
        with pytest.raises(ServiceError, match=r"/v1/masks does not answer as a ThinkSeg service does"):
            segmenter.segment(IMAGE, [TWO])


def failing(status, code):
    right = segmenter_service()

    def answer(handler, path, body):
        if path == "/v1/models":
            right(handler, path, body)
        else:
            send(handler, {"error": {"code": code, "message": "not this one"}}, status)

    return answer


def test_an_image_that_the_service_refuses_is_refused_alone():
    with answering(failing(413, "too_large")) as server:
        segmenter = load_served_segmenter(server.address, QUICK)
        with pytest.raises(ImageError, match="not this one"):
            segmenter.segment(IMAGE, [TWO])


def test_a_service_that_stays_busy_ends_the_work_with_its_words():
    with answering(failing(503, "busy")) as server:
        segmenter = load_served_segmenter(server.address, QUICK)
        with pytest.raises(ServiceError, match=r"asked 2 times without success: HTTP 503 \(not this one\)"):
            segmenter.segment(IMAGE, [TWO])


def test_a_pipeline_gets_its_masks_from_there():
    said = "<think>there</think><bbox>[10,5,30,15]</bbox><points></points><labels></labels>"
    with answering(segmenter_service()) as server:
        pipeline = Pipeline(FakeReasoner([said]), load_segmenter(server.address), get_format("seg-r1"))
        result = pipeline.segment(IMAGE, "the bright part")
    assert (result.mask.sum(), result.scores.tolist()) == (20 * 10, [0.75])


def test_an_address_counts_where_the_user_says_it_and_not_where_a_checkpoint_does(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "thinkseg.json").write_text(json.dumps({"format": "seg-r1", "segmenter": "http://127.0.0.1:9"}))
    with pytest.raises(CheckpointError, match=r"names the segmenter at 'http://127\.0\.0\.1:9', and a server is asked"):
        resolve_config(tmp_path)
    assert resolve_config(tmp_path, CheckpointConfig(segmenter="grabcut")).segmenter == "grabcut"


def test_a_recipe_may_name_it_and_the_trained_folder_does_not():
    recipe = load_recipe("pocket/rl", {"segmenter": "http://127.0.0.1:9"})
    assert recipe.segmenter == "http://127.0.0.1:9"
    assert recipe.checkpoint_config().segmenter is None
