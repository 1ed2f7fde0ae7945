import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.cli import main
from thinkseg.evaluation.benchmarks import LoadOptions, load_benchmark
from thinkseg.imaging import save_mask
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.testing.data_sets import write_folders, write_reasonseg, write_refcoco
from thinkseg.types import Request, Size

RIGHT = "<think>a square</think><bbox>[2,2,5,5]</bbox><points>[[4,4]]</points><labels>[1]</labels>"
NOTHING = "<think>none</think><bbox></bbox><points></points><labels></labels>"

Run = Callable[..., int]


def pipeline_that_says(script: Any, **options: Any) -> Pipeline:
    return Pipeline(FakeReasoner(script, **options), FakeSegmenter(), get_format("seg-r1"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four images of the same square, told apart by their widths."""
    root = tmp_path / "images"
    (root / "images").mkdir(parents=True)
    for index in range(4):
        Image.new("RGB", (8 + index, 8), "teal").save(root / "images" / f"{index}.png")
        mask = np.zeros((8, 8 + index), dtype=bool)
        mask[2:6, 2:6] = True
        save_mask(mask, root / "masks" / f"{index}.png")
    return root


@pytest.fixture
def evaluate(tmp_path: Path, images: Path) -> Run:
    """Runs the verb on the images with a model that gets three of four right and the last one unreadable."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")

    def say(request: Request) -> str:
        return "what?" if request.image.width == 11 else RIGHT

    def load(_model: str, **_options: object) -> Pipeline:
        return pipeline_that_says(say)

    def run(*words: str | Path, load: Callable[..., Pipeline] = load) -> int:
        usual = ["--model", tmp_path / "model", "--data", images, "--out", tmp_path / "out"]
        return main(["evaluate", *map(str, words), *map(str, usual)], load=load)

    return run


def test_it_prints_a_table_and_writes_lines_and_both_reports(
    evaluate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("folder") == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].split() == ["all", "salient"]
    assert lines[1].split() == ["samples", "4", "4"]
    assert ["mean", "IoU", "0.750", "0.750"] in [line.split() for line in lines]
    assert lines[2].startswith("S-measure")
    assert "25.0 %" in told.out
    assert "4/4" in told.err
    names = {path.name for path in (tmp_path / "out").glob("[!.]*")}
    assert names == {
        "run.json",
        "predictions.jsonl",
        "report.json",
        "report.html",
        "table.md",
        "table.tex",
    }
    header = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert (header["benchmark"], header["answer_format"]) == ("folder", "seg-r1")
    assert header["model_revision"]


def test_with_json_stdout_is_the_report_alone(
    evaluate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("folder", "--json", "--limit", "2") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["metrics"]["giou"] == {"value": 1.0, "count": 2}
    assert content == json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert content["command"]


def test_shards_report_when_the_last_one_ends(
    evaluate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("folder", "--shard", "2/2") == 0
    first = capsys.readouterr()
    assert first.out == ""
    assert "part 2 of 2 is done" in first.err
    assert not (tmp_path / "out" / "report.json").exists()
    assert evaluate("folder", "--shard", "1/2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["giou"] == {"value": 0.75, "count": 4}


def test_a_changed_checkpoint_is_not_mixed_with_the_old_one(
    evaluate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("folder", "--limit", "2") == 0
    (tmp_path / "model" / "config.json").write_text('{"new": true}')
    assert evaluate("folder") == 2
    assert "holds another run" in capsys.readouterr().err


def test_how_a_model_is_asked_reaches_it_and_is_not_mixed_with_another_way(
    evaluate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[CheckpointConfig] = []

    def load(_model: str, config: CheckpointConfig, **_options: object) -> Pipeline:
        given.append(config)
        return pipeline_that_says(RIGHT)

    assert evaluate("folder", "--max-new-tokens", "64", "--frame", "relative-1000", load=load) == 0
    assert given == [CheckpointConfig(max_new_tokens=64, frame="relative-1000")]
    settings = json.loads((tmp_path / "out" / "report.json").read_text())["settings"]
    assert settings["max_new_tokens"] == 64
    capsys.readouterr()
    assert evaluate("folder", "--max-new-tokens", "32", "--frame", "relative-1000") == 2
    assert "max_new_tokens" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["coco"], "no benchmark 'coco'"),
        (["folder", "--protocol", "lisa"], "no protocol 'lisa'"),
        (["folder", "--limit", "0"], "at least 1 sample"),
        (["folder", "--batch-size", "0"], "at least 1 sample"),
        (["folder", "--shard", "3/2"], "a shard is I/N"),
    ],
)
def test_a_wrong_call_is_told_in_a_sentence_and_writes_nothing(
    evaluate: Run, words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(*words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_frames_of_other_sizes_reach_the_image_and_an_abstention_is_no_mask(
    evaluate: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    doubled = "<think>x</think><bbox>[4,4,10,10]</bbox><points>[[8,8]]</points><labels>[1]</labels>"
    pipeline = pipeline_that_says([doubled, NOTHING], frame=Size(16, 16))
    assert evaluate("folder", "--limit", "2", "--json", load=lambda *_words, **_options: pipeline) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["metrics"]["giou"]["value"] == pytest.approx(0.5)
    assert content["metrics"]["false_abstentions"]["value"] == pytest.approx(0.5)


def test_data_sets_on_disk_are_evaluated_together_each_in_a_folder_of_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    write_folders("camo", root)
    write_refcoco(root / "refcoco+", root / "train2014", splits=("testB",))
    write_reasonseg(root)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    asked: list[str] = []

    def say(request: Request) -> str:
        asked.append(request.instruction.user)
        return RIGHT.replace("[2,2,5,5]", "[0,0,64,64]")

    names = ["camo", "refcoco+-testb", "reasonseg-val"]
    words = ["--data", root, "--model", tmp_path / "model", "--out", tmp_path / "out", "--limit", "2", "--json"]
    assert main(["evaluate", *names, *map(str, words)], load=lambda *_words, **_options: pipeline_that_says(say)) == 0
    content = json.loads(capsys.readouterr().out)
    assert list(content) == names
    for name in names:
        _, samples = load_benchmark(name, LoadOptions(limit=2, root=root))
        assert all(sample.query in text for sample, text in zip(samples, asked, strict=False))
        del asked[:2]
        ious = []
        for sample in samples:
            assert sample.target is not None
            ignored = 0 if sample.ignore is None else sample.ignore.sum()
            ious.append(sample.target.sum() / (64 * 64 - ignored))
        assert content[name]["metrics"]["giou"] == {"value": pytest.approx(np.mean(ious)), "count": 2}
        assert (tmp_path / "out" / name / "report.html").exists()


def test_a_data_set_that_is_not_there_is_told_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", tmp_path, "--model", tmp_path / "no model", "--out", tmp_path / "out"]
    assert main(["evaluate", "nc4k", *map(str, words)]) == 2
    told = capsys.readouterr().err
    assert "found no 'test' of NC4K below" in told
    assert "'thinkseg data list nc4k'" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "iou"), [("vision-reasoner", 0.0), ("vision-reasoner-tolerant", 1.0)])
def test_answers_of_a_model_that_was_never_tuned_are_read_where_that_is_asked_for_and_the_report_says_so(
    evaluate: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, iou: float
) -> None:
    said = '```json\n[{"bbox_2d": [2, 2, 5, 5], "label": "square"}]\n```'

    def load(_model: str, **_options: object) -> Pipeline:
        return Pipeline(FakeReasoner(lambda _: said), FakeSegmenter(), get_format(name))

    assert evaluate("folder", load=load) == 0
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["metrics"]["giou"]["value"] == pytest.approx(iou)
    told = "Answers were read tolerantly (vision-reasoner-tolerant)"
    pages = capsys.readouterr().out, (tmp_path / "out/report.html").read_text()
    assert all((told in page) == (name == "vision-reasoner-tolerant") for page in pages)
    assert json.loads((tmp_path / "out/run.json").read_text())["answer_format"] == name
