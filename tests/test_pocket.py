"""The pocket distribution holds what the main job needs, small enough and good enough."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import thinkseg_pocket

import thinkseg
from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.geometry import reference_answer
from thinkseg.models.loading import pocket_folder
from thinkseg.models.segmenter import load_segmenter
from thinkseg.types import Answer, ObjectPrompt


def test_all_of_it_is_at_most_40_megabytes() -> None:
    root = thinkseg_pocket.path("images").parent
    files = [file for file in root.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert sum(file.stat().st_size for file in files) <= 40e6


def test_the_texts_of_its_licences_and_what_each_is_for_go_into_its_wheel(repository: Path) -> None:
    pocket = repository / "pocket"
    project = tomllib.loads((pocket / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    taken = {path.name for pattern in project["license-files"] for path in pocket.glob(pattern)}
    table = (pocket / "LICENSES" / "README.md").read_text(encoding="utf-8")
    assert taken == {"README.md", *re.findall(r"`([\w.-]+\.txt)`", table)}


def test_an_unknown_folder_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(FileNotFoundError, match="images, reasoner, reasoner_small, segmenter"):
        thinkseg_pocket.path("weights")


def test_the_reasoner_is_a_real_fast_vlm_with_a_token_for_every_whole_number_of_its_canvas() -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = pocket_folder("reasoner")
    assert folder is not None
    model = AutoModelForImageTextToText.from_pretrained(folder)
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    assert type(model).__name__ == "FastVlmForConditionalGeneration"
    text = "<think>a bird, upper left</think><bbox>[1,22,103,256]</bbox><points>[[5,6]]</points><labels>[1]</labels>"
    numbers = tokenizer(text, add_special_tokens=False).input_ids
    assert len(numbers) <= 30
    assert tokenizer.decode(numbers) == text
    assert all(len(tokenizer(str(n), add_special_tokens=False).input_ids) == 1 for n in range(257))


def test_the_pipeline_answers_held_out_scenes_readably_and_knows_how_to_abstain() -> None:
    pipeline = thinkseg.load("pocket")
    samples = load_scenes("test", 10, seed=40, size=224)
    predictions = list(pipeline.predict(samples, batch_size=8))
    assert [prediction.sample_id for prediction in predictions] == [sample.id for sample in samples]
    assert all(prediction.failure is None for prediction in predictions)
    assert any(prediction.answer is not None and prediction.answer.objects for prediction in predictions)
    assert all(prediction.mask.shape == (224, 224) for prediction in predictions)


def test_the_segmenter_follows_the_outline_of_held_out_things_from_a_box() -> None:
    segmenter = load_segmenter("pocket", device="cpu")
    overlaps, filled = [], []
    for sample in load_scenes("test", 24, seed=41, tasks={"salient": 1.0}, size=256):
        assert sample.target is not None
        answer = reference_answer(sample.target)
        box = answer.objects[0].box
        assert box is not None
        mask = segmenter.segment(sample.image, [Answer(answer.frame, (ObjectPrompt(box),))])[0].masks[0]
        rectangle = np.zeros_like(sample.target)
        rectangle[int(box.y_min) : int(box.y_max) + 1, int(box.x_min) : int(box.x_max) + 1] = True
        for pred, values in ((mask, overlaps), (rectangle, filled)):
            values.append((pred & sample.target).sum() / (pred | sample.target).sum())
    assert np.mean(overlaps) > 0.75
    assert np.mean(overlaps) > np.mean(filled) + 0.15
