"""The service keeps what its OpenAPI promises, whatever it is asked: schemathesis thinks of requests."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from thinkseg.serving.http.schemas import MasksAnswer, MasksRequest, SegmentAnswer, SegmentRequest

from .conftest import HTTP

load_all_checks()
NOT_ALL = [
    CHECKS.get_one("positive_data_acceptance"),  # a text that the schema admits is seldom an image in base64
    CHECKS.get_one("negative_data_rejection"),  # in a form a number is a text like any other
]
OPERATIONS = [
    ("post", "/v1/segment"),
    ("post", "/v1/segment/stream"),
    ("post", "/v1/masks"),
    ("get", "/v1/models"),
    ("get", "/health"),
    ("get", "/ready"),
    ("get", "/metrics"),
]


@pytest.fixture(scope="module")
def schema(url: str) -> Any:
    """The OpenAPI of a service that runs."""
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


def test_the_operations_are_those_of_the_openapi(schema: Any) -> None:
    found = {(own.ok().method, own.ok().path) for own in schema.get_all_operations()}
    assert found == set(OPERATIONS)


def ask_much(operation: Any, mode: GenerationMode, examples: int, **more: Any) -> None:
    """Let schemathesis ask, and hold each answer against what is promised."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), **more)
    def ask(case: Any) -> None:
        case.call_and_validate(excluded_checks=NOT_ALL)

    ask()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_one_that_the_openapi_promises(schema: Any, method: str, path: str) -> None:
    ask_much(schema[path][method], GenerationMode.POSITIVE, 3, derandomize=True, phases=[Phase.generate])
    if method == "post":
        ask_much(schema[path][method], GenerationMode.NEGATIVE, 5, derandomize=True, phases=[Phase.generate])


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("path", ["/v1/segment", "/v1/segment/stream", "/v1/masks"])
def test_every_answer_of_many_is_one_that_the_openapi_promises(schema: Any, path: str, mode: GenerationMode) -> None:
    ask_much(schema[path]["post"], mode, 300)


@pytest.mark.parametrize(
    ("path", "request_model", "answer_model"),
    [("/v1/segment", SegmentRequest, SegmentAnswer), ("/v1/masks", MasksRequest, MasksAnswer)],
)
def test_the_examples_of_the_openapi_are_answered(url: str, path: str, request_model: Any, answer_model: Any) -> None:
    told = HTTP.get(f"{url}/openapi.json").json()["paths"][path]["post"]["requestBody"]["content"]
    (example,) = told["application/json"]["schema"]["examples"]
    assert request_model.model_validate(example)
    answer = HTTP.post(url + path, json=example)
    assert answer.status_code == 200
    assert answer_model.model_validate_json(answer.content, strict=True)
