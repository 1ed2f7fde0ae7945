"""A server of vLLM's that TRL could not train with is told before a model is loaded, with the command that is right."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from thinkseg.errors import RecipeError
from thinkseg.training.vllm_server import check_server, get_json, start_command

MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"


def started(**changed):
    """What a server answers that was started as it should be, by address."""
    config = {
        "weight_transfer_config": {"backend": "nccl"},
        "model_config": {"logprobs_mode": "processed_logprobs", "max_logprobs": -1},
    }
    return {
        "/health": None,
        "/version": {"version": "0.31.0+cpu"},
        "/v1/models": {"data": [{"id": MODEL}]},
        "/server_info": {"vllm_config": config},
        **changed,
    }


@contextmanager
def serving(answers):
    """A server on this machine that gives these answers; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = urlsplit(self.path).path
            self.send_response(200 if path in answers else 404)
            self.end_headers()
            if answers.get(path) is not None:
                self.wfile.write(json.dumps(answers[path]).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def args(url, **changed):
    return SimpleNamespace(**({"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": url} | changed))


def said_of(answers, version="0.31.0"):
    said = []
    with serving(answers) as url:
        check_server(MODEL, args(url), version=version, say=said.append)
    return said


def test_a_server_that_was_started_as_it_should_be_passes():
    assert said_of(started()) == []


def model_with(**changed):
    config = started()["/server_info"]["vllm_config"]
    return {"vllm_config": config | {"model_config": config["model_config"] | changed}}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"/version": {"version": "0.29.1"}}, r"is vLLM 0\.29\.1, and 0\.31\.0 is installed here"),
        (
            {"/server_info": {"vllm_config": {"weight_transfer_config": None}}},
            "takes weights by 'nothing', and TRL sends them by nccl",
        ),
        (
            {"/server_info": model_with(logprobs_mode="raw_logprobs")},
            r"has logprobs_mode 'raw_logprobs' and should have 'processed_logprobs' \(--logprobs-mode processed_log",
        ),
        (
            {"/server_info": model_with(max_logprobs=20)},
            r"has max_logprobs 20 and should have -1 \(--max-logprobs -1\)",
        ),
    ],
)
def test_what_a_server_lacks_is_told_with_the_command_that_starts_it_right(changed, told):
    with pytest.raises(
        RecipeError, match=rf"^the server of vLLM's at http.* {told}.*; start it anew with: VLLM_SERVER_DEV"
    ):
        said_of(started(**changed))


def test_a_server_without_development_endpoints_is_told():
    answers = started()
    del answers["/server_info"]
    with pytest.raises(RecipeError, match=r"has no development endpoints \(VLLM_SERVER_DEV_MODE=1\)"):
        said_of(answers)


def test_a_model_by_another_name_is_said_and_not_refused():
    (sentence,) = said_of(started(**{"/v1/models": {"data": [{"id": "mine"}]}}))
    assert sentence.endswith(f"serves 'mine', and the recipe trains '{MODEL}'")


def test_a_server_that_is_still_starting_is_waited_for_and_one_that_never_comes_is_told():
    waited = []

    def get(url):
        return (200, started().get(urlsplit(url).path)) if len(waited) == 3 else (0, None)

    check_server(MODEL, args("http://h:8000/"), 240, get=get, version="0.31.0", sleep=waited.append)
    assert waited == [2.0, 2.0, 2.0]
    with pytest.raises(
        RecipeError, match=rf"no server of vLLM's answers at http://h:8000; start it with: .* serve {MODEL} "
    ):
        check_server(MODEL, args("http://h:8000"), 5, get=lambda _: (0, None), sleep=waited.append)
    assert len(waited) == 6


def test_where_nothing_listens_or_something_else_answers_nothing_is_raised():
    with serving({"/page": "text"}) as url:
        assert get_json(f"{url}/page") == (200, "text")
        assert get_json(f"{url}/nothing") == (404, None)
    assert get_json(f"{url}/page") == (0, None)


@pytest.mark.parametrize(("version", "has_it"), [("0.29.2", False), ("0.30.0", True), ("0.31.0", True), (None, True)])
def test_the_command_is_that_of_the_release(version, has_it):
    assert ("--enable-scale-out" in start_command(MODEL, version)) == has_it


def test_an_address_that_is_none_is_told():
    with pytest.raises(RecipeError, match="should be an address that begins with http://, found 'file:/etc'"):
        check_server(MODEL, args("file:/etc"))


@pytest.mark.parametrize("changed", [{"use_vllm": False}, {"vllm_mode": "colocate"}])
def test_a_recipe_without_a_server_asks_nobody(changed):
    def get(url):
        raise AssertionError(url)

    check_server(MODEL, args("http://h", **changed), get=get)
