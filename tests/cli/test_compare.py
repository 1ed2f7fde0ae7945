import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.cli import main
from thinkseg.imaging import save_mask
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter

ANSWER = "<think>a square</think><bbox>[2,2,{end},5]</bbox><points>[[3,3]]</points><labels>[1]</labels>"


@pytest.fixture
def create_runs(tmp_path: Path) -> Callable[[Sequence[int]], list[Path]]:
    """Evaluations of the same six images by models whose boxes end sooner or later; 5 is right."""
    root = tmp_path / "images"
    (root / "images").mkdir(parents=True)
    for index in range(6):
        Image.new("RGB", (8, 8), "teal").save(root / "images" / f"{index}.png")
        mask = np.zeros((8, 8), dtype=bool)
        mask[2:6, 2:6] = True
        save_mask(mask, root / "masks" / f"{index}.png")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")

    def create(ends: Sequence[int]) -> list[Path]:
        folders = []
        for end in ends:
            pipeline = Pipeline(FakeReasoner([ANSWER.format(end=end)] * 6), FakeSegmenter(), get_format("seg-r1"))
            folders.append(tmp_path / f"run{end}")
            words = ["folder", "--model", tmp_path / "model", "--data", root, "--out", folders[-1]]
            assert main(["evaluate", *map(str, words)], load=lambda *_words, p=pipeline, **_options: p) == 0
        return folders

    return create


def test_runs_stand_side_by_side_in_the_terminal_on_a_page_and_in_files(
    create_runs: Callable[[Sequence[int]], list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = create_runs([3, 5, 4])
    capsys.readouterr()
    assert main(["compare", *map(str, runs), "--names", "start, trained,half", "--out", str(tmp_path / "new")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["start", "trained", "half", "trained", "−", "start", "half", "−", "start"]
    iou = next(line for line in lines if "mean IoU" in line)
    assert iou.split()[2:8] == ["0.500", "1.000", "0.750", "+0.500", "[+0.500,", "+0.500]"]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "comparison.html", "comparison.json", "table.md", "table.tex"
    }  # fmt: skip
    content = json.loads((tmp_path / "new" / "comparison.json").read_text(encoding="utf-8"))
    assert [run["name"] for run in content["runs"]] == ["start", "trained", "half"]
    assert content["groups"]["all"]["giou"]["values"] == [0.5, 1.0, 0.75]
    assert content["groups"]["all"]["giou"]["gains"][1] == {"mean": 0.25, "low": 0.25, "high": 0.25, "n": 6}
    assert "max_f" in content["groups"]["all"]
    page = (tmp_path / "new" / "comparison.html").read_text(encoding="utf-8")
    assert "data:image/webp" in page
    assert "+0.500 [+0.500, +0.500]" in page
    assert "| trained |" in (tmp_path / "new" / "table.md").read_text(encoding="utf-8")


def test_without_a_folder_nothing_is_written_and_json_is_all_of_stdout(
    create_runs: Callable[[Sequence[int]], list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = create_runs([3, 5])
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert main(["compare", *map(str, runs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 6
    assert sorted(tmp_path.rglob("*")) == before


def test_where_the_images_are_gone_the_page_does_without_them(
    create_runs: Callable[[Sequence[int]], list[Path]], tmp_path: Path
) -> None:
    runs = create_runs([3, 5])
    (tmp_path / "images").rename(tmp_path / "moved")
    out = tmp_path / "new"
    assert main(["compare", *map(str, runs), "--out", str(out)]) == 0
    assert "data:image" not in (out / "comparison.html").read_text(encoding="utf-8")
    assert main(["compare", *map(str, runs), "--out", str(out), "--data", str(tmp_path / "moved")]) == 0
    assert "data:image" in (out / "comparison.html").read_text(encoding="utf-8")


def test_runs_that_differ_in_more_than_the_model_are_compared_with_a_warning(
    create_runs: Callable[[Sequence[int]], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = create_runs([3, 5])
    header = json.loads((runs[1] / "run.json").read_text(encoding="utf-8"))
    (runs[1] / "run.json").write_text(json.dumps(header | {"segmenter": "sam"}), encoding="utf-8")
    capsys.readouterr()
    assert main(["compare", *map(str, runs)]) == 0
    told = capsys.readouterr().out
    assert "The runs differ in more than the model: segmenter (run3: the model's own, run5: sam)." in told


def test_a_wrong_call_is_told_in_a_sentence(
    create_runs: Callable[[Sequence[int]], list[Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = create_runs([3, 5])
    lines = (runs[1] / "predictions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    (fewer / "run.json").write_bytes((runs[1] / "run.json").read_bytes())
    (fewer / "predictions.jsonl").write_text("".join(lines[:4]), encoding="utf-8")
    for words, said in (
        ([runs[0]], "at least two folders"),
        ([runs[0], tmp_path / "nowhere"], "found no such file"),
        ([runs[0], fewer], "'run3' has 2 samples that 'fewer' has not (4, 5)"),
        ([*runs, "--names", "a"], "2 runs need as many names"),
        ([*runs, "--names", "a,a"], "all different"),
    ):
        capsys.readouterr()
        assert main(["compare", *map(str, words)]) == 2
        assert said in capsys.readouterr().err
