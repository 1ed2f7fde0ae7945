"""The service keeps what its OpenAPI promises, whatever it is asked: schemathesis thinks of requests."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks, positive_data_acceptance

from thinkseg.serving.http.schemas import MasksAnswer, MasksRequest, SegmentAnswer, SegmentRequest

from .conftest import HTTP

load_all_checks()
NOT_ALL = [positive_data_acceptance]  # a text that the schema admits is seldom an image in base64


@pytest.fixture(scope="session")
def promised(url: str) -> Any:
    """The OpenAPI of a service that runs."""
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


schema = schemathesis.pytest.from_fixture("promised")


@schema.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_openapi_promises(case: Any) -> None:
    case.call_and_validate(excluded_checks=NOT_ALL)


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_every_answer_of_many_is_one_that_the_openapi_promises(case: Any) -> None:
    case.call_and_validate(excluded_checks=NOT_ALL)


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
