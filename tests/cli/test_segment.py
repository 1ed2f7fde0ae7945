import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg import testing
from thinkseg.answers import get_format
from thinkseg.cli import main
from thinkseg.imaging import load_image, load_mask, mask_from_rle
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, FinishReason, Size

FRAME = Size(100, 100)
ANSWER = (
    "<think>two of them</think><bbox>[10,20,40,60]</bbox><bbox>[50,50,90,90]</bbox>"
    "<points>[[20,30],[60,60],[85,85]]</points><labels>[1,1,0]</labels>"
)
NOTHING = "<think>no dog</think><bbox></bbox><points></points><labels></labels>"

Run = Callable[..., int]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (200, 50), (90, 120, 60)).save(path)
    return path


@pytest.fixture
def segment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the verb with a model that says these things, writing into the folder `out`."""

    def run(said: list[str | Completion], *words: str | Path) -> int:
        pipeline = Pipeline(FakeReasoner(said, FRAME), FakeSegmenter(), get_format("seg-r1"))
        monkeypatch.setattr("thinkseg.models.pipeline.load_pipeline", lambda *_args, **_options: pipeline)
        return main(["segment", *map(str, words), "--out", str(tmp_path / "out")])

    return run


def result(out: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"{name}.json").read_text())
    return found


def test_it_prints_the_thinking_and_writes_mask_overlay_and_json(
    segment: Run, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment([ANSWER], photo, "--query", "the dogs") == 0
    printed = capsys.readouterr().out
    assert "thinking: two of them" in printed
    assert "object 1: box 20 10 80 30; points on it (40, 15); mask covers 13% of the picture" in printed
    assert "object 2: box 100 25 180 45; points on it (120, 30); points beside it (170, 42)" in printed

    out = tmp_path / "out"
    assert sorted(file.name for file in out.iterdir()) == ["photo.json", "photo.mask.png", "photo.overlay.png"]
    record = result(out, "photo")
    assert record["query"] == "the dogs"
    assert record["thinking"] == "two of them"
    assert record["size"] == {"width": 200, "height": 50}
    assert record["frame"] == {"width": 100, "height": 100}
    assert record["failure"] is None
    assert record["nothing_there"] is False
    assert record["completion"] == {"text": ANSWER, "finish_reason": "stop"}
    assert [found["box"] for found in record["objects"]] == [[20, 10, 80, 30], [100, 25, 180, 45]]
    assert record["objects"][1]["points"] == [[120, 30], [170, 42.5]]
    assert record["objects"][1]["labels"] == [1, 0]
    masks = [mask_from_rle(found["mask"]) for found in record["objects"]]
    assert [int(mask.sum()) for mask in masks] == [found["area"] for found in record["objects"]]
    assert np.array_equal(load_mask(out / "photo.mask.png"), masks[0] | masks[1])
    assert load_image(out / "photo.overlay.png").size == (200, 50)


def test_nothing_there_is_said_in_words(
    segment: Run, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment([NOTHING], photo, "-q", "a dog") == 0
    assert "nothing there" in capsys.readouterr().out
    record = result(tmp_path / "out", "photo")
    assert record["nothing_there"] is True
    assert record["objects"] == []
    assert not load_mask(tmp_path / "out" / "photo.mask.png").any()


def test_an_unreadable_answer_is_told_and_kept(
    segment: Run, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment([Completion("<think>hm", FinishReason.LENGTH)], photo, "-q", "a dog") == 1
    assert "no answer: The model ran into the length limit" in capsys.readouterr().out
    record = result(tmp_path / "out", "photo")
    assert record["failure"] == "truncated"
    assert record["failure_detail"]
    assert record["thinking"] is None
    assert record["completion"] == {"text": "<think>hm", "finish_reason": "length"}
    assert load_mask(tmp_path / "out" / "photo.mask.png").shape == (50, 200)


def test_one_readable_answer_among_several_is_a_success(segment: Run, photo: Path) -> None:
    other = photo.with_name("other.png")
    Image.new("RGB", (20, 20)).save(other)
    assert segment(["?", ANSWER], photo, other, "-q", "a dog") == 0


def test_json_prints_a_line_per_picture_and_nothing_else(
    segment: Run, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = photo.with_name("other.png")
    Image.new("RGB", (20, 20)).save(other)
    assert segment([ANSWER, NOTHING], photo, other, "-q", "a dog", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [result(tmp_path / "out", "photo"), result(tmp_path / "out", "other")]
    assert [line["image"] for line in lines] == [str(photo), str(other)]


def test_pictures_of_the_same_name_do_not_overwrite_each_other(segment: Run, photo: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("photo.png", "PHOTO.jpg", "photo-2.jpg"):
        Image.new("RGB", (20, 20)).save(elsewhere / name)
    pictures = [photo, elsewhere / "photo.png", elsewhere / "PHOTO.jpg", elsewhere / "photo-2.jpg"]
    assert segment([ANSWER, NOTHING, ANSWER, NOTHING], *pictures, "-q", "x") == 0
    out = tmp_path / "out"
    names = {json.loads(file.read_text())["image"]: file.stem for file in out.glob("*.json")}
    assert names == {
        str(pictures[0]): "photo",
        str(pictures[1]): "photo-2",
        str(pictures[2]): "PHOTO-3",
        str(pictures[3]): "photo-2-2",
    }


def test_a_result_never_overwrites_a_picture(segment: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    first, second = out / "a.png", out / "a.mask.png"
    for path in (first, second):
        Image.new("RGB", (20, 20), (1, 2, 3)).save(path)
    before = second.read_bytes()
    assert segment([ANSWER, ANSWER], first, second, "-q", "x") == 0
    assert second.read_bytes() == before
    assert (out / "a-2.mask.png").exists()
    assert (out / "a.mask.mask.png").exists()


def test_dots_in_a_name_stay(segment: Run, photo: Path, tmp_path: Path) -> None:
    dotted = photo.rename(photo.with_name("img.v1.2.jpg"))
    assert segment([ANSWER], dotted, "-q", "x") == 0
    assert (tmp_path / "out" / "img.v1.2.mask.png").exists()


def test_a_missing_or_damaged_picture_is_told_before_any_model_is_loaded(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinkseg.models.pipeline.load_pipeline", lambda *_a, **_o: pytest.fail("a model was loaded"))
    gone, broken = tmp_path / "gone.jpg", tmp_path / "broken.jpg"
    broken.write_bytes(photo.read_bytes()[:300])
    for path in (gone, broken):
        assert main(["segment", str(photo), str(path), "-q", "x", "--out", str(tmp_path / "out")]) == 2
        assert path.name in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_empty_query_and_a_blocked_folder_are_refused(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", str(photo), "-q", " ", "--out", str(tmp_path)]) == 2
    assert "the query is empty" in capsys.readouterr().err
    assert main(["segment", str(photo), "-q", "x", "--out", str(photo)]) == 2
    assert "cannot be made a folder" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_refused(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["segment", str(photo), "-q", "x", "--out", str(tmp_path), "--model", str(tmp_path / "no-model")]
    assert main(words) == 2
    assert "there is no reasoner folder" in capsys.readouterr().err


def test_it_runs_on_real_models(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"format": "seg-r1", "max_new_tokens": 3}
    model = testing.save(tmp_path / "model", testing.tiny_qwen2_5_vl(), settings)
    segmenter = testing.save(tmp_path / "segmenter", testing.tiny_sam2())
    words = ["segment", str(photo), "-q", "x", "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*words, "--model", str(model), "--segmenter", str(segmenter), "--max-new-tokens", "4"]) == 1
    assert "no answer: The model ran into the length limit" in capsys.readouterr().out
    assert result(tmp_path / "out", "photo")["failure"] == "truncated"
