from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thinkseg import testing
from thinkseg.geometry import reference_answer
from thinkseg.models.base import Reasoner, Segmenter
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Answer, Box, Completion, FinishReason, Instruction, ObjectPrompt, Point, Request, Size

IMAGE = Image.new("RGB", (40, 30))


def asking(query: str) -> Request:
    return Request(IMAGE, Instruction(query))


def test_a_fake_reasoner_follows_its_script_and_remembers_what_it_was_asked() -> None:
    cut = Completion("b", FinishReason.LENGTH)
    reasoner = FakeReasoner(["a", cut, "c"])
    requests = [asking("1"), asking("2"), asking("3")]
    assert isinstance(reasoner, Reasoner)
    assert reasoner.complete(requests[:2]) == [Completion("a"), cut]
    assert reasoner.complete(requests[2:]) == [Completion("c")]
    assert reasoner.requests == requests
    assert reasoner.batches == [2, 1]
    with pytest.raises(AssertionError, match="script ends after 3"):
        reasoner.complete([asking("4")])


def test_a_fake_reasoner_can_answer_by_a_function_and_in_a_frame_of_its_own() -> None:
    reasoner = FakeReasoner(lambda request: request.instruction.user.upper(), frame=Size(1000, 1000))
    assert reasoner.complete([asking("dog")]) == [Completion("DOG")]
    assert reasoner.frame_of(IMAGE) == Size(1000, 1000)
    assert FakeReasoner([]).frame_of(IMAGE) == Size(40, 30)


def test_a_fake_segmenter_gives_back_a_rectangle_from_its_true_box() -> None:
    truth = np.zeros((30, 40), dtype=bool)
    truth[5:12, 8:31] = True
    segmenter = FakeSegmenter()
    assert isinstance(segmenter, Segmenter)
    (found,) = segmenter.segment(IMAGE, [reference_answer(truth, inclusive=True)])
    assert np.array_equal(found.masks, truth[None])
    assert found.scores is None
    (scored,) = FakeSegmenter(score=0.5).segment(IMAGE, [reference_answer(truth, inclusive=True)])
    assert scored.scores is not None
    assert scored.scores.tolist() == [0.5]


def test_a_fake_segmenter_draws_discs_around_points_and_cuts_out_the_background() -> None:
    size = Size(40, 30)
    on, beside = Point(20, 15), Point(22, 15, label=0)
    answer = Answer(size, (ObjectPrompt(None, (on,)), ObjectPrompt(Box(10, 10, 30, 20), (on, beside))))
    disc, box = FakeSegmenter().segment(IMAGE, [answer])[0].masks
    assert disc[15, 20]
    assert not disc[0].any()
    assert box[15, 11]
    assert not box[15, 22]


def test_a_fake_segmenter_counts_what_it_encodes_and_rescales_answers() -> None:
    segmenter = FakeSegmenter()
    small = Answer(Size(20, 15), (ObjectPrompt(Box(0, 0, 4, 4)),))
    found = segmenter.segment(IMAGE, [small, Answer(Size(9, 9)), small.rescaled(Size(40, 30))])
    masks = [own.masks for own in found]
    assert [own.shape for own in masks] == [(1, 30, 40), (0, 30, 40), (1, 30, 40)]
    assert np.array_equal(masks[0], masks[2])
    assert masks[0].sum() == 81
    segmenter.segment(IMAGE, [Answer(Size(9, 9))])
    assert segmenter.encoded == [IMAGE]
    assert segmenter.prompted == 2


@pytest.mark.parametrize(
    "build",
    [
        testing.tiny_qwen2_vl,
        testing.tiny_qwen2_5_vl,
        testing.tiny_qwen3_vl,
        testing.tiny_sam2,
        testing.tiny_edgetam,
    ],
)
def test_a_tiny_model_is_small_and_depends_on_its_seed_alone(build: Callable[..., tuple[Any, Any]]) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build(seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (first, again, other)]
    assert len(weights[0]) < 300_000
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not first.training


def test_a_saved_model_is_a_checkpoint_folder(tmp_path: Path) -> None:
    folder = testing.save(tmp_path / "deep" / "model", testing.tiny_qwen2_5_vl(), {"format": "seg-r1"})
    names = {file.name for file in folder.iterdir()}
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "thinkseg.json"} <= names
    assert not (testing.save(tmp_path / "other", testing.tiny_sam2()) / "thinkseg.json").exists()


def test_the_tiny_tokenizer_writes_any_text_and_reads_it_back() -> None:
    tokenizer = testing.tiny_tokenizer()
    text = "<think>é — 牛</think> [1, 2]"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
