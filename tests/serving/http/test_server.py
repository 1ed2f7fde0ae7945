"""The command as a process: it says where it listens, answers with the pocket models, and drains at SIGTERM."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg.models.pipeline import Pipeline, load_pipeline
from thinkseg.serving.asking import Pointed, Thinking
from thinkseg.serving.http.limits import Batching
from thinkseg.serving.http.served import public_name
from thinkseg.types import Answer, Box, ObjectPrompt, Size

from .conftest import HTTP, fake_pipeline, file_of, serving


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline("pocket", device="cpu")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    pixels = np.full((96, 128, 3), 235, dtype=np.uint8)
    pixels[24:72, 30:80] = (200, 30, 30)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def url(pipeline: Pipeline) -> Iterator[str]:
    with serving(pipeline, batching=Batching(most=4)) as (address, _, _):
        yield address


def test_the_pocket_models_answer_as_they_do_without_a_service(
    url: str, pipeline: Pipeline, photo: Image.Image
) -> None:
    here = pipeline.segment(photo, "the red thing")
    with thinkseg.Client(url) as client:
        *heard, there = client.stream(photo, "the red thing")
    assert isinstance(there, thinkseg.Result)
    assert there.text == here.text
    assert (there.masks != here.masks).mean() < 0.01  # prompts of several images are decoded together
    assert [each.text for each in heard if isinstance(each, Thinking)][-1] == here.thinking
    assert any(isinstance(each, Pointed) for each in heard)


def test_requests_that_come_together_get_what_each_gets_alone(url: str, pipeline: Pipeline, photo: Image.Image) -> None:
    images = [photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), photo]
    with thinkseg.Client(url) as client, ThreadPoolExecutor(3) as pool:
        there = list(pool.map(lambda image: client.segment(image, "the red thing"), images))
    for image, result in zip(images, there, strict=True):
        assert result.text == pipeline.segment(image, "the red thing").text
    metrics = HTTP.get(f"{url}/metrics").text
    assert 'thinkseg_batch_size_bucket{le="1.0",model="reasoner"}' in metrics


def test_an_image_that_comes_again_is_encoded_once(pipeline: Pipeline, photo: Image.Image) -> None:
    from base64 import b64encode

    with serving(pipeline) as (url, service, _):
        asked = {"image": b64encode(file_of(photo)).decode(), "answers": [[{"box": [30, 24, 80, 72]}]]}
        answers = [HTTP.post(f"{url}/v1/masks", json=asked).json() for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        assert service.pipeline.segmenter.encode_count == 1  # type: ignore[attr-defined]
    answer = Answer(Size(128, 96), (ObjectPrompt(Box(30, 24, 80, 72)),))
    mask = pipeline.segmenter.segment(photo, [answer])[0].masks[0]
    found = answers[0]["answers"][0]["objects"][0]["mask"]
    from thinkseg.imaging import mask_from_rle

    assert np.array_equal(mask_from_rle(found), mask)


@pytest.mark.slow
def test_a_process_listens_answers_and_ends_at_sigterm() -> None:
    words = [sys.executable, "-m", "thinkseg", "serve", "--port", "0", "--segmenter", "grabcut", "--device", "cpu"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        told = HTTP.get(f"{url}/v1/models").json()
        assert told["reasoner"]["name"] == "pocket"
        assert told["segmenter"]["name"] == "grabcut"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_a_port_that_is_taken_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    from thinkseg import cli

    with serving(fake_pipeline()) as (url, _, _):
        port = url.rsplit(":", 1)[1]
        code = cli.main(["serve", "--port", port], load=lambda *_, **__: fake_pipeline())
    assert code == 2
    assert f"the service cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err


def test_strangers_learn_the_name_of_a_model_and_not_where_it_lies(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "final").mkdir()
    assert public_name(str(tmp_path / "final")) == "final"
    assert public_name(f"{tmp_path}/mine.py:Mine") == "mine.py:Mine"
    assert public_name("geshang/Seg-R1-3B") == "geshang/Seg-R1-3B"
