"""The models of a service for those who wait in a thread, as its page does: with the requests of all others."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from thinkseg.serving.http.batching import StalledError
from thinkseg.serving.http.limits import Batching
from thinkseg.serving.http.service import Service
from thinkseg.serving.http.waiting import BatchedReasoner, batched_pipeline
from thinkseg.testing import FakeReasoner
from thinkseg.types import Failure, Instruction, Request

from .conftest import Scripted, ask, fake_pipeline, serving, until

IMAGE = Image.new("RGB", (20, 10), (200, 30, 30))


def test_what_is_asked_by_a_thread_is_worked_on_in_one_batch_with_what_comes_over_the_wire() -> None:
    reasoner = Scripted()
    with serving(fake_pipeline(reasoner), batching=Batching(most=8)) as (url, service, _), ThreadPoolExecutor() as pool:
        first = pool.submit(ask, url, "slow")
        until(lambda: bool(reasoner.batches))
        others = pool.submit(ask, url), pool.submit(batched_pipeline(service).segment, IMAGE, "the red thing")
        result = others[1].result(20)
        assert (first.result().status_code, others[0].result().status_code) == (200, 200)
        assert reasoner.batches == [1, 2]
    expected = np.zeros((10, 20), dtype=bool)
    expected[1:9, 1:9] = True
    assert (result.mask == expected).all()
    assert result.thinking == "There it is."


def test_a_listener_hears_what_is_written_and_ends_it() -> None:
    reasoner = Scripted()
    heard: list[str] = []

    def enough(text: str) -> bool:
        heard.append(text)
        return len(heard) < 3

    service = Service(fake_pipeline(reasoner))
    try:
        batched_pipeline(service).segment(IMAGE, "slow", listen=enough)
    finally:
        service.close()
    assert heard == ["<think>" + "word " * count for count in (1, 2, 3)]
    assert reasoner.tokens == 3


def test_of_several_requests_each_is_answered_and_told_by_its_own_number() -> None:
    service = Service(fake_pipeline(FakeReasoner(lambda request: f"that is {request.instruction.user}")))
    heard: dict[int, str] = {}
    requests = [Request(IMAGE, Instruction(query)) for query in ("one", "two", "three")]
    try:
        completions = BatchedReasoner(service).stream(requests, heard.__setitem__)
    finally:
        service.close()
    assert [one.text for one in completions] == ["that is one", "that is two", "that is three"]
    assert heard == dict(enumerate(one.text for one in completions))


def test_what_a_model_raises_reaches_whoever_asked_and_nobody_waits_for_a_service_that_has_stopped() -> None:
    service = Service(fake_pipeline(Scripted()))
    pipeline = batched_pipeline(service)
    with pytest.raises(ZeroDivisionError):
        pipeline.segment(IMAGE, "raise")
    assert pipeline.segment(IMAGE, "babble").failure is Failure.MALFORMED_ANSWER
    service.close()
    with pytest.raises(StalledError, match="the service has stopped"), ThreadPoolExecutor() as pool:
        pool.submit(pipeline.segment, IMAGE, "the red thing").result(20)
