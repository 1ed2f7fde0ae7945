"""A reasoner behind an OpenAI-style address: what it is sent, what comes of its answers, and every way to fail."""

import re
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg import testing
from thinkseg.answers import SegR1, get_format
from thinkseg.cli import main
from thinkseg.errors import CheckpointError, InputError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.engines.engine import Engine
from thinkseg.models.engines.served_reasoner import load_served_reasoner
from thinkseg.models.engines.service import ServiceError
from thinkseg.models.pipeline import Pipeline, load_pipeline
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.models.reasoner_loading import load_reasoner
from thinkseg.testing import FakeSegmenter
from thinkseg.types import Failure, FinishReason, Instruction, Request, Sample, Size

from .servers import answering, hang_up, send, sent_image

RIGHT = "<think>there</think><bbox>[250,500,750,1000]</bbox><points>[[500,600]]</points><labels>[1]</labels>"
IMAGE = Image.linear_gradient("L").convert("RGB").resize((90, 60))
RELATIVE = {"format": "seg-r1", "frame": "relative-1000"}


def said(text=RIGHT, reason="stop", **more):
    return {"message": {"content": text, **more}, "finish_reason": reason}


def chat(give=None, models=("some-model",), owner="", tokens=None):
    """A server that lists these models and answers a chat by `give(handler, body)`, or with the right text."""

    def answer(handler, path, body):
        if path == "/v1/models":
            send(handler, {"data": [{"id": name, "owned_by": owner} for name in models]})
        elif give is None:
            usage = {"completion_tokens": 7, "prompt_tokens": tokens}
            send(handler, {"choices": [said()] * body.get("n", 1), "usage": usage})
        else:
            give(handler, body)

    return answer


def reasoner_at(server, model="some-model", config=None, *, retries=1, pattern=None, **options):
    config = CheckpointConfig(**(config or RELATIVE))
    engine = Engine.chosen(f"{server.address}/v1", {"timeout": 60.0, "retries": retries, **options})
    reasoner = load_served_reasoner(model, engine.source(model, config), config, engine, pattern)
    reasoner.service._sleep = lambda seconds: time.sleep(min(seconds, 0.01))
    return reasoner


def request(text="Where is it?", image=IMAGE, system=None):
    return Request(image, Instruction(text, system))


def test_the_messages_are_those_of_training_and_the_image_is_whole():
    with answering(chat()) as server:
        (completion,) = reasoner_at(server, config=RELATIVE | {"max_new_tokens": 33}).complete(
            [request(system="Look.")]
        )
    assert (completion.text, completion.finish_reason) == (RIGHT, FinishReason.STOP)
    (body,) = server.posts()
    system, user = body.pop("messages")
    assert system == {"role": "system", "content": "Look."}
    assert user["content"][1] == {"type": "text", "text": "Where is it?"}
    np.testing.assert_array_equal(np.asarray(sent_image(user["content"][0]["image_url"]["url"])), np.asarray(IMAGE))
    assert body == {"model": "some-model", "max_tokens": 33, "temperature": 0.0, "top_p": 1.0}


def test_the_key_of_the_environment_is_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    with answering(chat()) as server:
        reasoner_at(server).complete([request()])
    assert {headers["Authorization"] for *_, headers in server.asked} == {"Bearer sesame"}


def test_many_are_under_way_at_a_time_and_come_back_in_order():
    all_here = threading.Barrier(8)

    def wait_for_the_others(handler, body):
        all_here.wait(60)  # broken, and so a failure, where they come one after another
        send(handler, {"choices": [said(body["messages"][0]["content"][1]["text"])]})

    with answering(chat(wait_for_the_others)) as server:
        reasoner = reasoner_at(server, concurrency=8, retries=0)
        completions = reasoner.complete([request(str(number)) for number in range(8)])
    assert [completion.text for completion in completions] == list("01234567")


def test_the_text_of_every_kind_of_answer():
    answers = iter(
        [
            said("a", "length"),
            said("b", None),
            said([{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]),
            said("<bbox></bbox>", reasoning_content="hm"),
            said(None, "content_filter"),
            said(None),
        ]
    )
    with answering(chat(lambda handler, body: send(handler, {"choices": [next(answers)]}))) as server:
        found = reasoner_at(server, concurrency=1).complete([request()] * 6)
    assert [each.text for each in found] == ["a", "b", "cd", "<think>hm</think><bbox></bbox>", "", ""]
    assert [each.finish_reason for each in found[:3]] == [FinishReason.LENGTH, FinishReason.STOP, FinishReason.STOP]
    assert [bool(each.failure) for each in found] == [False] * 4 + [True, False]


def test_several_completions_come_from_one_request():
    with answering(chat()) as server:
        (found,) = reasoner_at(server).sample([request()], 3, temperature=0.7)
    assert [each.text for each in found] == [RIGHT] * 3
    (body,) = server.posts()
    assert (body["n"], body["temperature"]) == (3, 0.7)


FAILING = {
    "a fault for ever": (lambda handler, body: send(handler, b"", 500), "asked 2 times without success: HTTP 500"),
    "too long": (
        lambda handler, body: send(handler, {"error": {"message": "too many tokens"}}, 400),
        r"refuses the request: HTTP 400 \(too many tokens\)",
    ),
    "a broken connection": (lambda handler, body: hang_up(handler), "asked 2 times without success: the connection b"),
    "no JSON": (lambda handler, body: send(handler, b"<html>"), "is no JSON"),
    "no choices": (lambda handler, body: send(handler, {"choices": []}), "does not answer as OpenAI's does"),
    "a list": (lambda handler, body: send(handler, []), "does not answer as OpenAI's does"),
    "no message": (lambda handler, body: send(handler, {"choices": [{}]}), "does not answer as OpenAI's does"),
    "text of no text": (lambda handler, body: send(handler, {"choices": [said(3)]}), "does not answer as OpenAI's"),
}


@pytest.mark.parametrize("way", FAILING)
def test_a_request_that_fails_for_good_is_a_failure_of_its_sample_and_of_no_other(way):
    fail, sentence = FAILING[way]

    def give(handler, body):
        if "bad" in body["messages"][-1]["content"][1]["text"]:
            fail(handler, body)
        else:
            send(handler, {"choices": [said()]})

    with answering(chat(give)) as server:
        pipeline = Pipeline(reasoner_at(server), FakeSegmenter(), SegR1())
        samples = [Sample(query, IMAGE, query) for query in ("good", "bad", "fine")]
        good, bad, fine = pipeline.predict(samples)
    assert (good.failure, bad.failure, fine.failure) == (None, Failure.UNANSWERED, None)
    assert good.masks.any()
    assert bad.masks.shape == (0, 60, 90)
    assert re.search(sentence, bad.failure_detail), bad.failure_detail


def test_too_many_requests_are_waited_out():
    told = []

    def give(handler, body):
        told.append(time.monotonic())
        if len(told) == 1:
            send(handler, b"", 429, [("Retry-After", "0.2")])
        else:
            send(handler, {"choices": [said()]})

    with answering(chat(give)) as server:
        (completion,) = reasoner_at(server).complete([request()])
    assert completion.text == RIGHT
    assert told[1] - told[0] >= 0.2


def test_a_server_that_is_gone_ends_the_work_with_how_to_go_on():
    with answering(chat()) as server:
        reasoner = reasoner_at(server)
    with pytest.raises(ServiceError, match=r"is gone: .*no connection.*the same command goes on from here"):
        reasoner.complete([request(), request()])


def test_nothing_that_listens_is_told_when_the_models_are_loaded():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(InputError, match=r"the server of the reasoner cannot be used: .*no connection"):
        load_pipeline(
            "some-model", FakeSegmenter(), CheckpointConfig(**RELATIVE), engine=Engine.chosen(address, {"retries": 0})
        )


def test_a_model_that_the_server_has_not_is_told_with_those_that_it_has():
    with answering(chat(models=("a", "b"))) as server:
        with pytest.raises(InputError, match=r"has no model 'some-model', it has 'a', 'b': name .*model=NAME"):
            reasoner_at(server)
        reasoner_at(server, model="b").complete([request()])
    assert server.posts()[0]["model"] == "b"


def test_the_name_on_the_server_can_be_said():
    with answering(chat(models=("a", "b"))) as server:
        config = CheckpointConfig(**RELATIVE)
        engine = Engine.chosen(f"{server.address}/v1", {"model": "a"})
        load_served_reasoner("gpt", None, config, engine).complete([request()])
    assert server.posts()[0]["model"] == "a"


def test_a_server_without_a_list_of_models_is_asked_by_the_name_that_is_said():
    def answer(handler, path, body):
        send(handler, b"", 404) if path == "/v1/models" else send(handler, {"choices": [said()]})

    with answering(answer) as server:
        reasoner_at(server).complete([request()])
    assert server.posts()[0]["model"] == "some-model"


def test_a_model_of_which_nothing_is_at_hand_needs_a_frame():
    with answering(chat()) as server, pytest.raises(CheckpointError, match=r"nothing says in which frame .*--frame"):
        reasoner_at(server, config={"format": "seg-r1"})


@pytest.mark.parametrize(
    ("config", "size", "frame"),
    [
        ({}, (90, 60), Size(1000, 1000)),
        ({"max_pixels": 1350}, (45, 30), Size(1000, 1000)),
        ({"min_pixels": 21_600}, (180, 120), Size(1000, 1000)),
        ({"frame": "canvas", "canvas": 84}, (84, 84), Size(84, 84)),
    ],
)
def test_without_a_processor_images_are_sent_as_the_settings_say(config, size, frame):
    with answering(chat()) as server:
        reasoner = reasoner_at(server, config=RELATIVE | config)
        reasoner.complete([request()])
        assert reasoner.frame_of(IMAGE) == frame
    content = server.posts()[0]["messages"][0]["content"]
    assert sent_image(content[0]["image_url"]["url"]).size == size


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(testing.save(tmp_path_factory.mktemp("tiny") / "m", testing.tiny_qwen2_5_vl(), {"format": "seg-r1"}))


def test_with_the_checkpoint_at_hand_images_have_the_size_that_its_processor_makes_and_frames_are_its(folder):
    here = load_reasoner(folder, device="cpu")
    photo = IMAGE.resize((300, 200))
    with answering(chat(models=(folder,))) as server:
        there = reasoner_at(server, folder, {"format": "seg-r1"})
        there.complete([request(image=photo)])
    frame = here.frame_of(photo)
    assert there.frame_of(photo) == frame != Size(1000, 1000)
    sent = sent_image(server.posts()[0]["messages"][0]["content"][0]["image_url"]["url"])
    assert sent.size == frame.wh
    ours, theirs = (
        here.processor(images=[[image]], text=["<|image_pad|>"], return_tensors="pt") for image in (photo, sent)
    )
    assert (ours["image_grid_thw"] == theirs["image_grid_thw"]).all()
    np.testing.assert_array_equal(ours["pixel_values"], theirs["pixel_values"])


def test_vllm_is_told_what_its_defaults_would_spoil(folder):
    tokens = tokens_of(folder, request())
    with answering(chat(models=(folder,), owner="vllm", tokens=tokens)) as server:
        reasoner_at(server, folder, {"format": "seg-r1"}).complete([request()])
    (body,) = server.posts()
    assert (body["temperature"], body["top_k"], body["repetition_penalty"]) == (0.0, -1, 1.0)
    assert body["skip_special_tokens"] is False
    vision = load_reasoner(folder, device="cpu").vision_token_ids
    assert body["logit_bias"] == {str(token): -100.0 for token in vision}


def tokens_of(folder, asked):
    reasoner = load_reasoner(folder, device="cpu")
    return reasoner.inputs([asked])["input_ids"].shape[1]


def test_a_server_that_reads_images_at_another_size_is_refused(folder):
    tokens = tokens_of(folder, request())
    with answering(chat(models=(folder,), owner="vllm", tokens=tokens + 4)) as server:
        reasoner = reasoner_at(server, folder, {"format": "seg-r1"})
        with pytest.raises(InputError, match=rf"makes {tokens + 4} tokens of a prompt that has {tokens} by the proc"):
            reasoner.complete([request()])


@pytest.mark.parametrize(("owner", "place"), [("vllm", ("structured_outputs", "regex")), ("sglang", ("regex",))])
def test_the_format_is_enforced_where_the_server_can(owner, place):
    pattern = get_format("seg-r1").pattern()
    with answering(chat(owner=owner)) as server:
        reasoner_at(server, pattern=pattern).complete([request()])
    found = server.posts()[0]
    for key in place:
        found = found[key]
    assert found == pattern.whole


def test_a_server_that_cannot_enforce_the_format_is_told():
    with (
        answering(chat()) as server,
        pytest.raises(
            InputError, match=r"enforced by a server of vLLM or SGLang, and http.*leave out --enforce-format"
        ),
    ):
        reasoner_at(server, pattern=get_format("seg-r1").pattern())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (("vlm",), r"one of transformers, vllm, or the address of a server .*found 'vlm'"),
        (("http://127.0.0.1/v1", {"concurrent": 3}), r"no setting 'concurrent'.*did you mean 'concurrency'"),
        (("http://127.0.0.1/v1", {"retries": -1}), r"'retries' of the server should be at least 0, found -1"),
        (
            (None, {"concurrency": 3}),
            r"transformers, which has no option 'concurrency' \(it has tokens_per_pass\).*vllm or --reasoner",
        ),
        ((None, None, True), r"transformers has none: say --reasoner-engine vllm"),
    ],
)
def test_an_engine_that_cannot_be_is_told(call, sentence):
    with pytest.raises(InputError, match=sentence):
        Engine.chosen(*call)


def test_a_call_evaluates_segments_and_counts_by_a_server(tmp_path):
    def give(handler, body):
        if "bad" in body["messages"][-1]["content"][1]["text"]:
            send(handler, b"", 400)
        else:
            send(handler, {"choices": [said()]})

    target = np.zeros((60, 90), dtype=bool)
    target[30:, 22:67] = True
    samples = [Sample("a", IMAGE, "good", target), Sample("b", IMAGE, "bad", target)]
    how = {"segmenter": "grabcut", "device": "cpu", **RELATIVE}
    with answering(chat(give)) as server:
        address = f"{server.address}/v1"
        run = thinkseg.evaluate(samples, "some-model", reasoner=address, progress=False, out=tmp_path / "run", **how)
        again = thinkseg.evaluate(samples, "some-model", reasoner=address, progress=False, out=tmp_path / "run", **how)
    assert run.failures == again.failures == {"unanswered": 1}
    assert run.header.asked["engine"] == "server"
    assert len(server.posts()) == 2  # the second run had nothing left to ask


def test_the_command_line_segments_by_a_server_and_asks_again_what_had_no_answer(tmp_path, capsys):
    IMAGE.save(tmp_path / "a.png")
    IMAGE.save(tmp_path / "b.png")
    ill = [True]

    def give(handler, body):
        if ill[0] and len(server.posts()) == 2:
            send(handler, {"error": {"message": "not now"}}, 400)
        else:
            send(handler, {"choices": [said()]})

    with answering(chat(give)) as server:
        words = ["segment", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--query", "it", "--out", str(tmp_path)]
        words += ["--model", "some-model", "--reasoner", f"{server.address}/v1", "--format", "seg-r1", "--frame"]
        words += ["relative-1000", "--segmenter", "grabcut", "--engine-option", "concurrency=1"]
        assert main(words) == 1
        assert "not now" in capsys.readouterr().err
        ill[0] = False
        assert main(words) == 0
    assert len(server.posts()) == 3
    assert {path.name for path in tmp_path.glob("*.json")} == {"a.json", "b.json"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--reasoner", "pocket"], "--reasoner expects the address of a server"),
        (["--reasoner", "http://127.0.0.1:1/v1", "--reasoner-engine", "vllm"], "leave one out"),
        (["--reasoner-engine", "vllm", "--engine-option", "a"], "--engine-option expects KEY=VALUE"),
        (["--enforce-format"], "transformers has none"),
    ],
)
def test_flags_that_cannot_be_are_one_sentence(tmp_path, capsys, words, sentence):
    IMAGE.save(tmp_path / "a.png")
    assert main(["segment", str(tmp_path / "a.png"), "--query", "it", "--out", str(tmp_path), *words]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_what_writes_here_is_the_same_class_as_ever(folder):
    assert type(load_pipeline(folder, FakeSegmenter(), device="cpu").reasoner) is TransformersReasoner
