"""`thinkseg.segment_files`: the verb's work for Python."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import thinkseg
from thinkseg.answers import get_format
from thinkseg.errors import ImageError, InputError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter

ANSWER = "<think>there</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"


def fake() -> Pipeline:
    return Pipeline(FakeReasoner(lambda _: ANSWER), FakeSegmenter(score=0.5), get_format("seg-r1"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (10, 10), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


def test_folders_files_and_jobs_are_segmented_in_order(photos: Path, tmp_path: Path) -> None:
    jobs = [photos / "2.png", thinkseg.Job(photos / "0.png", "the cat"), str(photos)]
    outcomes = list(thinkseg.segment_files(jobs, query="the dog", model=fake(), out=tmp_path / "cut"))
    assert [(outcome.job.image.name, outcome.job.query) for outcome in outcomes] == [
        *(("2.png", "the dog"), ("0.png", "the cat"), ("0.png", "the dog"), ("1.png", "the dog")),
    ]
    assert [outcome.files[-1].name for outcome in outcomes] == ["2.json", "0.json", "0-2.json", "1.json"]
    result = outcomes[1].result()
    assert (result.query, result.masks.shape, result.image.size) == ("the cat", (1, 10, 10), (10, 10))
    assert result.scores is not None
    assert result.scores.tolist() == [0.5]


def test_a_single_image_may_stand_alone(photos: Path, tmp_path: Path) -> None:
    for alone in (photos / "1.png", str(photos / "1.png"), thinkseg.Job(photos / "1.png", "it")):
        (outcome,) = thinkseg.segment_files(alone, query="it", model=fake(), out=tmp_path / "cut", overwrite=True)
        assert outcome.files[-1] == tmp_path / "cut" / "1.json"


def test_a_wrong_call_is_told_before_anything_is_taken_or_loaded(photos: Path, tmp_path: Path) -> None:
    def no_model(*_names: Any, **_options: Any) -> Pipeline:
        pytest.fail("a model was loaded")

    with pytest.raises(ImageError, match="gone"):
        thinkseg.segment_files([photos, tmp_path / "gone"], query="x", load=no_model)
    with pytest.raises(InputError, match="the query is empty"):
        thinkseg.segment_files(photos, load=no_model)
    with pytest.raises(InputError, match="'batch_size' of segment_files should be a whole number from 1, found 0"):
        thinkseg.segment_files(photos, query="x", batch_size=0)
    with pytest.raises(InputError, match="cannot be made a folder"):
        thinkseg.segment_files(photos, query="x", out=photos / "0.png")
    with pytest.raises(InputError, match="leave out 'canvas', or give"):
        thinkseg.segment_files(photos, query="x", model=fake(), canvas=28, out=tmp_path)


def test_a_named_model_is_known_again_and_a_pipeline_in_memory_is_not(photos: Path, tmp_path: Path) -> None:
    """A pipeline does not say which weights it has: an older one's result must not pass for its own."""
    loads: list[Any] = []

    def load(model: str, **how: Any) -> Pipeline:
        loads.append((model, how["config"]))
        return fake()

    def names(**options: Any) -> list[tuple[str, bool]]:
        done = thinkseg.segment_files(photos / "0.png", query="x", out=tmp_path / "cut", **options)
        return [(outcome.files[-1].stem, outcome.kept) for outcome in done]

    config = CheckpointConfig(segmenter="grabcut")
    assert names(model="pocket", segmenter="grabcut", load=load) == [("0", False)]
    assert names(model="pocket", segmenter="grabcut", load=load) == [("0", True)]
    assert loads == [("pocket", config)]
    assert json.loads((tmp_path / "cut" / "0.json").read_text())["model"]["segmenter"] == "grabcut"
    assert names(model=fake()) == [("0-2", False)]
    assert names(model=fake()) == [("0-3", False)]
    assert names(model=fake(), overwrite=True) == [("0", False)]


def test_an_outcome_without_a_result_raises_what_was_wrong(photos: Path, tmp_path: Path) -> None:
    (photos / "1.png").write_text("no image")
    outcomes = list(thinkseg.segment_files(photos, query="x", model=fake(), out=tmp_path / "cut"))
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    with pytest.raises(ImageError, match=r"1\.png"):
        outcomes[1].result()
