from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg import testing
from thinkseg.answers import get_format
from thinkseg.errors import CheckpointError, ImageError, InputError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.grabcut import GrabCutSegmenter
from thinkseg.models.pipeline import Pipeline, load_pipeline
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Answer, Box, Completion, Failure, FinishReason, Instruction, ObjectPrompt, Sample, Size

Noise = Callable[[int, int], Image.Image]

FORMAT = get_format("seg-r1")
FRAME = Size(100, 100)
ANSWER = "<think>on the left</think><bbox>[10,20,40,60]</bbox><points>[[20,30]]</points><labels>[1]</labels>"
NOTHING = "<think>no dog</think><bbox></bbox><points></points><labels></labels>"


def pipeline_saying(*texts: str | Completion) -> Pipeline:
    return Pipeline(FakeReasoner(texts, FRAME), FakeSegmenter(), FORMAT)


def samples(*images: Any) -> list[Sample]:
    return [Sample(id=f"s{i}", image=image, query=f"thing {i}") for i, image in enumerate(images)]


def test_an_image_and_a_query_become_a_mask_at_the_images_size(noise: Noise) -> None:
    result = pipeline_saying(ANSWER).segment(noise(200, 50), "the dog")
    assert result.failure is None
    assert result.answer is not None
    assert (result.thinking, result.answer.frame) == ("on the left", FRAME)
    assert result.masks.shape == (1, 50, 200)
    expected = np.zeros((50, 200), dtype=bool)
    expected[10:31, 20:81] = True
    assert np.array_equal(result.mask, expected)


def test_the_reasoner_gets_the_image_and_the_formats_instruction(noise: Noise) -> None:
    pipeline = pipeline_saying(ANSWER)
    pipeline.segment(noise(20, 10), "the dog")
    assert isinstance(pipeline.reasoner, FakeReasoner)
    (request,) = pipeline.reasoner.requests
    assert request.instruction == FORMAT.instruction("the dog")
    assert request.image.size == (20, 10)


def test_nothing_there_is_an_answer_without_masks(noise: Noise) -> None:
    pipeline = pipeline_saying(NOTHING)
    prediction = pipeline.segment(noise(30, 20), "the dog")
    assert prediction.failure is None
    assert prediction.answer is not None
    assert prediction.answer.objects == ()
    assert prediction.masks.shape == (0, 20, 30)
    assert not prediction.mask.any()


def test_every_sample_has_exactly_one_prediction_whatever_the_model_writes(noise: Noise) -> None:
    """The published evaluation writes nothing for a parse failure and scores the previous mask (defect 4)."""
    pipeline = pipeline_saying(ANSWER, "I cannot say.", NOTHING, Completion("<think>well", FinishReason.LENGTH), ANSWER)
    predictions = list(pipeline.predict(samples(*(noise(40, 30) for _ in range(5))), batch_size=2))
    assert [p.sample_id for p in predictions] == ["s0", "s1", "s2", "s3", "s4"]
    assert [p.failure for p in predictions] == [None, Failure.MALFORMED_ANSWER, None, Failure.TRUNCATED, None]
    for failed in (predictions[1], predictions[3]):
        assert failed.answer is None
        assert failed.masks.shape == (0, 30, 40)
        assert failed.failure_detail
    assert predictions[1].completion.text == "I cannot say."
    assert predictions[4].mask.any()


def test_an_answer_that_was_cut_off_but_can_be_read_counts(noise: Noise) -> None:
    prediction = pipeline_saying(Completion(ANSWER, FinishReason.LENGTH)).segment(noise(40, 30), "x")
    assert prediction.failure is None
    assert prediction.mask.any()


def test_the_reasoner_is_handed_batches_and_samples_are_read_as_they_are_needed(noise: Noise) -> None:
    pipeline = pipeline_saying(*[ANSWER] * 5)
    taken: list[str] = []

    def source() -> Any:
        for sample in samples(*(noise(40, 30) for _ in range(5))):
            taken.append(sample.id)
            yield sample

    predictions = pipeline.predict(source(), batch_size=2)
    next(predictions)
    assert taken == ["s0", "s1"]
    assert len(list(predictions)) == 4
    assert isinstance(pipeline.reasoner, FakeReasoner)
    assert pipeline.reasoner.batches == [2, 2, 1]


def test_samples_that_share_an_image_share_its_encoding(noise: Noise, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    noise(40, 30).save(path)
    other = noise(20, 20)
    pipeline = pipeline_saying(*[ANSWER] * 5)
    predictions = list(pipeline.predict(samples(path, other, path, str(path), other), batch_size=5))
    assert [p.size for p in predictions] == [Size(40, 30), Size(20, 20), Size(40, 30), Size(40, 30), Size(20, 20)]
    assert isinstance(pipeline.segmenter, FakeSegmenter)
    assert len(pipeline.segmenter.encoded) == 2
    assert pipeline.segmenter.prompted == 5


def test_an_image_without_a_readable_answer_is_not_encoded(noise: Noise) -> None:
    pipeline = pipeline_saying("?", NOTHING)
    list(pipeline.predict(samples(noise(40, 30), noise(20, 20))))
    assert isinstance(pipeline.segmenter, FakeSegmenter)
    assert pipeline.segmenter.encoded == []


def test_a_real_segmenter_is_built_once_and_encodes_each_image_once(noise: Noise) -> None:
    """The published reward builds SAM 2 anew at every call (defect 6)."""
    segmenter = PromptableSegmenter(*testing.tiny_sam2())
    pipeline = Pipeline(FakeReasoner([ANSWER] * 8, FRAME), segmenter, FORMAT)
    images = [noise(40, 30), noise(41, 30)]
    list(pipeline.predict(samples(*(images[i // 4] for i in range(8))), batch_size=4))
    assert segmenter.encode_count == 2


def test_a_prediction_carries_the_scores_that_the_segmenter_gives(noise: Noise) -> None:
    said = (ANSWER, NOTHING, "?")
    scored, without = (
        list(
            Pipeline(FakeReasoner(said, FRAME), FakeSegmenter(score=score), FORMAT).predict(
                samples(*(noise(40, 30),) * 3)
            )
        )
        for score in (0.75, None)
    )
    assert [None if p.scores is None else p.scores.tolist() for p in scored] == [[0.75], [], None]
    assert [p.scores for p in without] == [None] * 3


def test_an_array_is_an_image(noise: Noise) -> None:
    image = noise(40, 30)
    result = pipeline_saying(ANSWER).segment(np.asarray(image), "x")
    assert result.image.tobytes() == image.tobytes()
    assert result.mask.any()


def test_an_address_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(ImageError, match="allow_url=True"):
        pipeline_saying(ANSWER).segment("https://example.org/dog.jpg", "x")


def test_a_missing_image_stops_the_work(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png"):
        pipeline_saying(ANSWER).segment(tmp_path / "gone.png", "x")


def test_an_empty_query_or_batch_is_refused(noise: Noise) -> None:
    with pytest.raises(InputError, match="the query is empty"):
        pipeline_saying(ANSWER).segment(noise(9, 9), "  ")
    with pytest.raises(InputError, match="query of sample 's0' is empty"):
        next(pipeline_saying(ANSWER).predict([Sample("s0", noise(9, 9), "")]))
    with pytest.raises(InputError, match="'batch_size' of predict should be a whole number from 1, found 0"):
        list(pipeline_saying(ANSWER).predict([], batch_size=0))


def test_a_folder_that_describes_itself_is_all_that_is_needed(tmp_path: Path, noise: Noise) -> None:
    settings = {
        "format": "seg-r1",
        "instruction": {"system": None, "user": "Find {query}!"},
        "max_new_tokens": 5,
        "segmenter": "grabcut",
        "max_pixels": 6272,
    }
    folder = testing.save(tmp_path / "model", testing.tiny_qwen2_5_vl(), settings)
    pipeline = thinkseg.load(str(folder), device="cpu")
    assert pipeline.answer_format.instruction("it") == Instruction("Find it!")
    assert isinstance(pipeline.segmenter, GrabCutSegmenter)
    assert isinstance(pipeline.reasoner, TransformersReasoner)
    assert pipeline.reasoner.max_new_tokens == 5
    assert pipeline.reasoner.frame_of(noise(112, 112)) == Size(56, 56)
    prediction = pipeline.segment(noise(60, 40), "it")
    assert prediction.failure is Failure.TRUNCATED
    assert prediction.masks.shape == (0, 40, 60)


def test_flags_win_over_the_folder(tmp_path: Path) -> None:
    settings = {"format": "seg-r1", "segmenter": "grabcut", "max_new_tokens": 5}
    folder = testing.save(tmp_path / "model", testing.tiny_qwen2_5_vl(), settings)
    segmenter = FakeSegmenter()
    pipeline = load_pipeline(
        folder,
        segmenter,
        CheckpointConfig(format="seg-zero", max_new_tokens=9, frame="relative-1000"),
        device="cpu",
    )
    assert pipeline.segmenter is segmenter
    assert pipeline.answer_format.name == "seg-zero"
    assert isinstance(pipeline.reasoner, TransformersReasoner)
    assert pipeline.reasoner.max_new_tokens == 9
    assert pipeline.reasoner.frame_of(Image.new("RGB", (9, 9))) == Size(1000, 1000)


def test_a_folder_that_says_nothing_about_its_format_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(CheckpointError, match="nothing says in which format"):
        load_pipeline(tmp_path)
    with pytest.raises(InputError, match="no answer format 'seg-r2'"):
        load_pipeline(tmp_path, config=CheckpointConfig(format="seg-r2"))


def test_the_pipeline_needs_no_more_than_the_two_protocols() -> None:
    box = Box(1, 1, 5, 5)
    said = FORMAT.render(Answer(Size(8, 8), (ObjectPrompt(box),)))
    pipeline = Pipeline(FakeReasoner(lambda request: said), FakeSegmenter(), FORMAT)
    assert pipeline.segment(Image.new("RGB", (8, 8)), "x").mask.sum() == 25
