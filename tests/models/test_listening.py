from collections.abc import Callable
from itertools import pairwise

import pytest
from PIL import Image

from thinkseg import testing
from thinkseg.answers import get_format
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.listening import Hearing, StreamingReasoner, complete
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, FinishReason, Instruction, Request, Sample, Size

Noise = Callable[[int, int], Image.Image]
SAID = "<think>on the left</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"


@pytest.fixture
def reasoner() -> TransformersReasoner:
    return TransformersReasoner(*testing.tiny_qwen2_5_vl(), max_new_tokens=12, batch_size=2)


@pytest.fixture
def requests(noise: Noise) -> list[Request]:
    sizes = [(200, 100), (70, 140), (30, 30)]
    return [Request(noise(*size), Instruction(f"find it {i}")) for i, size in enumerate(sizes)]


def test_a_real_model_tells_what_it_writes_token_by_token_and_writes_the_same(
    reasoner: TransformersReasoner, requests: list[Request]
) -> None:
    told: list[list[str]] = [[], [], []]
    completions = reasoner.stream(requests, lambda number, text: told[number].append(text))
    assert completions == reasoner.complete(requests)
    for texts, completion in zip(told, completions, strict=True):
        assert texts[-1] == completion.text
        assert len(texts) > 3
        assert all(later.startswith(earlier) for earlier, later in pairwise(texts))


def test_the_listener_ends_one_request_and_the_others_go_on(
    reasoner: TransformersReasoner, requests: list[Request]
) -> None:
    calls = [0, 0, 0]

    def listen(number: int, _text: str) -> bool:
        calls[number] += 1
        return not (number == 1 and calls[1] == 2)

    whole = reasoner.complete(requests)
    completions = reasoner.stream(requests, listen)
    assert calls[1] == 2
    assert completions[1].finish_reason is FinishReason.LENGTH
    assert whole[1].text.startswith(completions[1].text)
    assert len(completions[1].text) < len(whole[1].text)
    assert [completions[0], completions[2]] == [whole[0], whole[2]]


def test_what_the_listener_raises_ends_the_work(reasoner: TransformersReasoner, requests: list[Request]) -> None:
    def leave(_number: int, _text: str) -> None:
        raise ConnectionAbortedError("the reader is gone")

    with pytest.raises(ConnectionAbortedError, match="the reader is gone"):
        reasoner.stream(requests, leave)


def test_a_draw_at_random_is_the_same_when_it_is_told(requests: list[Request]) -> None:
    model, processor = testing.tiny_qwen2_5_vl()
    model.generation_config.do_sample = True
    drawing = TransformersReasoner(model, processor, max_new_tokens=8).asked_as(
        CheckpointConfig(decoding="sampled", max_new_tokens=8)
    )
    assert drawing.stream(requests, lambda _number, _text: None) == drawing.complete(requests)


def test_half_a_letter_is_told_when_the_rest_of_it_is_written() -> None:
    told: list[str] = []
    hearing = Hearing(lambda _number, text: told.append(text), [0])
    assert all(hearing.hear(0, text) for text in ("f", "f\ufffd", "f\ufffd\ufffd", "fä", "fä"))
    assert told == ["f", "fä"]


def test_a_reasoner_that_does_not_tell_is_heard_at_the_end() -> None:
    class Silent:
        def complete(self, requests: list[Request]) -> list[Completion]:
            return [Completion(SAID) for _ in requests]

        def frame_of(self, image: Image.Image) -> Size:
            return Size(*image.size)

    assert not isinstance(Silent(), StreamingReasoner)
    told: list[tuple[int, str]] = []
    request = Request(Image.new("RGB", (10, 10)), Instruction("it"))
    complete(Silent(), [request, request], lambda number, text: told.append((number, text)))  # type: ignore[arg-type]
    assert told == [(0, SAID), (1, SAID)]


def test_a_pipeline_counts_its_samples_over_all_batches_and_a_stopped_one_is_a_failure() -> None:
    pipeline = Pipeline(FakeReasoner(lambda _: SAID), FakeSegmenter(), get_format("seg-r1"))
    samples = [Sample(str(number), Image.new("RGB", (10, 10)), "it") for number in range(3)]
    last: dict[int, str] = {}

    def listen(number: int, text: str) -> bool:
        last[number] = text
        return number != 2

    failures = [prediction.failure for prediction in pipeline.predict(samples, batch_size=2, listen=listen)]
    assert last == {0: SAID, 1: SAID, 2: "<think>"}
    assert failures[:2] == [None, None]
    assert failures[2] is not None
    texts: list[str] = []
    result = pipeline.segment(samples[0].image, "it", listen=texts.append)
    assert (texts[:3], texts[-1]) == (["<think>", "<think>on", "<think>on the"], result.text)


def test_rows_of_a_large_batch_are_told_in_turn_and_end_where_they_are_stopped(
    noise: Noise,
) -> None:
    reasoner = TransformersReasoner(*testing.tiny_qwen2_5_vl(), max_new_tokens=12, batch_size=6)
    requests = [Request(noise(40, 30), Instruction(f"find it {number}")) for number in range(6)]
    told: list[list[str]] = [[] for _ in requests]

    def listen(number: int, text: str) -> bool:
        told[number].append(text)
        return number != 2

    completions = reasoner.stream(requests, listen)
    whole = reasoner.complete(requests)
    for number, (completion, texts) in enumerate(zip(completions, told, strict=True)):
        assert texts[-1] == completion.text
        assert whole[number].text.startswith(completion.text)
        assert (completion == whole[number]) is (number != 2)
