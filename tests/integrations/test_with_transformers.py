"""The answer has the form of the pipeline of transformers, which is run beside it on a tiny model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import ImageError, InputError
from thinkseg.integrations.transformers import ImageSegmentation
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Size

SAID = "<think>here</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"
NOTHING = "<think>none</think><bbox></bbox><points></points><labels></labels>"
IMAGE = Image.new("RGB", (20, 10), (200, 30, 30))


def say(request: Any) -> str:
    query = request.instruction.user
    return "what?" if "babble" in query else NOTHING if "nothing" in query else SAID


def segment(score: float | None = 0.5) -> ImageSegmentation:
    reasoner = FakeReasoner(say, Size(20, 10))
    return ImageSegmentation(Pipeline(reasoner, FakeSegmenter(score=score), get_format("seg-r1")))


def test_an_object_is_a_score_a_label_and_a_mask_of_the_images_size() -> None:
    (found,) = segment()(IMAGE, "the red thing")
    assert (found["score"], found["label"]) == (0.5, "the red thing")
    assert (found["mask"].mode, found["mask"].size) == ("L", (20, 10))
    expected = np.zeros((10, 20), dtype=np.uint8)
    expected[1:9, 1:9] = 255
    assert np.array_equal(np.asarray(found["mask"]), expected)
    assert segment(score=None)(IMAGE, "it")[0]["score"] is None


def test_images_in_a_list_are_answered_by_a_list_of_lists_and_queries_one_after_the_other(
    tmp_path: Path,
) -> None:
    IMAGE.save(tmp_path / "a.png")
    found = segment()([tmp_path / "a.png", np.asarray(IMAGE), IMAGE], ["the one", "nothing", "the other", "babble"])
    assert [[each["label"] for each in own] for own in found] == [["the one", "the other"]] * 3
    assert segment()([], "it") == []


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(InputError, match="the query is empty"):
        segment()(IMAGE, " ")
    with pytest.raises(InputError, match="there is no query"):
        segment()(IMAGE, [])
    with pytest.raises(ImageError):
        segment()("no-such.png", "it")


def test_settings_of_a_model_that_is_loaded_are_refused_rather_than_passed_over() -> None:
    with pytest.raises(InputError, match="takes no settings, found device"):
        ImageSegmentation(segment().model, device="cpu")


def test_an_image_that_is_asked_about_several_times_is_read_and_encoded_once(tmp_path: Path) -> None:
    IMAGE.save(tmp_path / "a.png")
    segmenter = FakeSegmenter()
    ours = ImageSegmentation(Pipeline(FakeReasoner(say, Size(20, 10)), segmenter, get_format("seg-r1")))
    for count, image in enumerate([tmp_path / "a.png", np.asarray(IMAGE), IMAGE.convert("RGBA")], start=1):
        assert len(ours(image, ["the one", "the other"])) == 2
        assert len(segmenter.encoded) == count


@pytest.mark.slow
def test_the_pipeline_of_transformers_answers_in_the_same_form() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.Mask2FormerConfig(
        backbone_config=transformers.SwinConfig(
            image_size=128, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
        feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_layers=1, decoder_layers=1, num_attention_heads=2,
        dim_feedforward=8, encoder_feedforward_dim=8, num_queries=3, num_labels=2,
    )  # fmt: skip
    theirs = transformers.pipeline(
        "image-segmentation",
        model=transformers.Mask2FormerForUniversalSegmentation(config).eval(),
        image_processor=transformers.Mask2FormerImageProcessor(size={"height": 128, "width": 128}, num_labels=2),
    )
    assert theirs.task == ImageSegmentation.task
    (expected, *_) = theirs(IMAGE, subtask="semantic")
    (found,) = segment()(IMAGE, "it")
    assert set(found) == set(expected)
    assert type(found["mask"]) is type(expected["mask"])
    assert (found["mask"].mode, found["mask"].size) == (expected["mask"].mode, expected["mask"].size)
    many = theirs([IMAGE, IMAGE], subtask="semantic")
    assert [type(each) for each in many] == [type(each) for each in segment()([IMAGE, IMAGE], "it")] == [list, list]
