import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg import testing
from thinkseg.answers import get_format
from thinkseg.cli import main
from thinkseg.imaging import load_image, load_mask, mask_from_rle
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.loading import POCKET_IS
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, FinishReason, Instruction, Size

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
def segment(tmp_path: Path) -> Run:
    """Runs the verb with a model that says these things, writing into the folder `out`."""

    def run(said: list[str | Completion], *words: str | Path) -> int:
        pipeline = Pipeline(FakeReasoner(said, FRAME), FakeSegmenter(score=0.875), get_format("seg-r1"))
        return main(
            ["segment", *map(str, words), "--out", str(tmp_path / "out")], load=lambda *_args, **_options: pipeline
        )

    return run


def no_model(*_names: Any, **_options: Any) -> Pipeline:
    pytest.fail("a model was loaded")


def result(out: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"{name}.json").read_text())
    return found


def test_it_prints_the_thinking_and_writes_mask_overlay_and_json(
    segment: Run, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment([ANSWER], photo, "--query", "the dogs") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{photo}: the dogs\n  thinking: two of them\n  2 objects\n")
    assert "object 1: box 20 10 80 30; points on it (40, 15); mask covers 13% of the image, score 0.88" in printed
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
    assert [found["score"] for found in record["objects"]] == [0.875, 0.875]
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


def test_a_parse_failure_is_told_and_kept(
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


def test_json_prints_a_line_per_image_and_nothing_else(
    segment: Run, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = photo.with_name("other.png")
    Image.new("RGB", (20, 20)).save(other)
    assert segment([ANSWER, NOTHING], photo, other, "-q", "a dog", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [result(tmp_path / "out", "photo"), result(tmp_path / "out", "other")]
    assert [line["image"] for line in lines] == [str(photo), str(other)]


def test_images_of_the_same_name_do_not_overwrite_each_other(segment: Run, photo: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("photo.png", "PHOTO.jpg", "photo-2.jpg"):
        Image.new("RGB", (20, 20)).save(elsewhere / name)
    images = [photo, elsewhere / "photo.png", elsewhere / "PHOTO.jpg", elsewhere / "photo-2.jpg"]
    assert segment([ANSWER, NOTHING, ANSWER, NOTHING], *images, "-q", "x") == 0
    out = tmp_path / "out"
    names = {json.loads(file.read_text())["image"]: file.stem for file in out.glob("*.json")}
    assert names == {
        str(images[0]): "photo",
        str(images[1]): "photo-2",
        str(images[2]): "PHOTO-3",
        str(images[3]): "photo-2-2",
    }


def test_a_result_never_overwrites_an_image(segment: Run, tmp_path: Path) -> None:
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


def test_a_name_that_is_wrong_is_told_before_any_model_is_loaded(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["segment", str(photo), str(tmp_path / "gone.jpg"), "-q", "x", "--out", str(tmp_path / "out")]
    assert main(words, load=no_model) == 2
    assert "gone.jpg" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_damaged_images_alone_are_wrong_input(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.jpg").write_bytes(photo.read_bytes()[:300])
    assert main(["segment", str(broken / "a.jpg"), "-q", "x", "--out", str(tmp_path / "out")], load=no_model) == 2
    assert "a.jpg' is damaged or cut short" in capsys.readouterr().err
    (broken / "b.jpg").write_bytes(photo.read_bytes()[:301])
    assert main(["segment", str(broken), "-q", "x", "--out", str(tmp_path / "out")], load=no_model) == 2
    assert "(and 1 more that could not be read)" in capsys.readouterr().err


def test_a_damaged_image_among_others_is_named_at_the_end(
    segment: Run, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.jpg").write_bytes(photo.read_bytes()[:300])
    last = photo.with_name("last.png")
    Image.new("RGB", (20, 20)).save(last)
    assert segment([ANSWER, NOTHING], photo, tmp_path / "broken.jpg", last, "-q", "x") == 1
    told = capsys.readouterr()
    assert "broken" not in told.out
    assert "3 images: 2 objects in 1, nothing there in 1\n" in told.err
    assert told.err.rstrip().splitlines()[-1].startswith(f"not done: '{tmp_path / 'broken.jpg'}' is damaged")
    assert {path.stem for path in (tmp_path / "out").glob("*.json")} == {"photo", "last"}


def test_a_folder_is_done_once_and_its_results_are_no_images_of_it(
    segment: Run, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shots" / "deep"
    folder.mkdir(parents=True)
    photo.rename(folder / "photo.jpg")
    (tmp_path / "out").symlink_to(tmp_path / "shots")  # the results go into the very folder
    words = (tmp_path / "shots", "-q", "the dogs", "--instances", "--index")
    assert segment([ANSWER], *words) == 0
    assert {path.name for path in folder.iterdir()} == {
        *("photo.jpg", "photo.json", "photo.mask.png", "photo.overlay.png"),
        *("photo.index.png", "photo.object-1.png", "photo.object-2.png"),
    }
    capsys.readouterr()
    assert segment([], *words) == 0  # the script is empty: the model is not asked
    assert "was there already" in capsys.readouterr().out
    assert segment([NOTHING], *words, "--overwrite") == 0
    assert {path.name for path in folder.glob("photo.o*")} == {"photo.overlay.png"}


def test_lines_come_from_standard_input(
    segment: Run,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = f"{photo}\n{json.dumps({'image': str(photo), 'query': 'the cat'})}\n"
    monkeypatch.setattr("sys.stdin", StringIO(lines))
    assert segment([ANSWER, NOTHING], "-", "-q", "the dogs", "--json") == 0
    assert [json.loads(line)["query"] for line in capsys.readouterr().out.splitlines()] == ["the dogs", "the cat"]
    assert {path.stem for path in (tmp_path / "out").glob("*.json")} == {"photo", "photo-2"}


def test_a_table_needs_no_query_and_an_image_does(
    segment: Run, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = photo.with_name("asked.csv")
    table.write_text("image;query\nphoto.jpg;the dogs, both\n")
    assert segment([ANSWER], table) == 0
    assert capsys.readouterr().out.startswith(f"{photo}: the dogs, both\n")
    assert segment([], photo) == 2
    assert "the query is empty" in capsys.readouterr().err


def test_what_the_pocket_model_is_and_what_to_take_for_real_use_is_said_once_beside_the_results(
    segment: Run, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = photo.with_name("other.png")
    Image.new("RGB", (20, 20)).save(other)
    assert segment([ANSWER, NOTHING], photo, other, "-q", "the dogs", "--batch-size", "1") == 0
    printed = capsys.readouterr()
    assert printed.err.count(POCKET_IS) == printed.err.count("--model geshang/Seg-R1-3B") == 1
    assert POCKET_IS not in printed.out


def test_programs_and_those_who_name_another_model_are_not_told_what_the_pocket_model_is(
    segment: Run, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    testing.save(tmp_path / "mine", testing.tiny_qwen2_5_vl())
    assert segment([ANSWER], photo, "-q", "the dogs", "--json") == 0
    assert segment([ANSWER], photo, "-q", "a dog", "--model", tmp_path / "mine", "--format", "seg-r1") == 0
    assert "pocket is" not in capsys.readouterr().err


def test_what_the_flags_say_about_a_model_reaches_it(photo: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def load(*names: str, **options: Any) -> Pipeline:
        asked.update(options, names=names)
        return Pipeline(FakeReasoner([ANSWER], FRAME), FakeSegmenter(), get_format("seg-r1"))

    (tmp_path / "sentences.txt").write_text("Find {query}.\n")
    flags = "--format seg-zero --max-new-tokens 9 --frame relative-1000 --canvas 840 --min-pixels 7 --max-pixels 8"
    words = [*flags.split(), "--segmenter", "grabcut", "--batch-size", "3", "--dtype", "float32", "--device", "cpu"]
    words += ["--instruction", str(tmp_path / "sentences.txt")]
    assert main(["segment", str(photo), "-q", "x", "--out", str(tmp_path / "out"), *words], load=load) == 0
    assert asked == {
        "names": ("pocket",),
        "config": CheckpointConfig(
            format="seg-zero",
            segmenter="grabcut",
            max_new_tokens=9,
            frame="relative-1000",
            canvas=840,
            min_pixels=7,
            max_pixels=8,
            instruction=Instruction("Find {query}."),
        ),
        "batch_size": 3,
        "dtype": "float32",
        "device": "cpu",
    }
    told = result(tmp_path / "out", "photo")["model"]
    assert told["name"] == "pocket"
    assert told["segmenter"] == "grabcut"
    assert told["instruction"] == {"user": "Find {query}.", "system": None}
    assert len(told["revision"]) == 12


def test_an_instruction_without_a_place_for_the_query_is_refused(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sentences.txt"
    for path, content, sentence in ((file, "Find it.", "has no place for the query"), (tmp_path / "no", "", "no")):
        file.write_text(content)
        words = ["--instruction", str(path), "--out", str(tmp_path)]
        assert main(["segment", str(photo), "-q", "x", *words]) == 2
        assert sentence in capsys.readouterr().err


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
