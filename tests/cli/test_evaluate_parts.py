"""Several processes with real models, and saved masks: the same numbers by every way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from thinkseg import testing
from thinkseg.cli import main
from thinkseg.imaging import save_mask
from thinkseg.testing.data_sets import scene_samples

PATIENCE = 900
"""Seconds: to import PyTorch takes minutes on a busy machine."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny real reasoner and segmenter with random weights, and eleven images with their masks."""
    folder = tmp_path_factory.mktemp("models")
    settings = {"format": "seg-r1", "max_new_tokens": 24}
    testing.save(folder / "reasoner", testing.tiny_qwen2_5_vl(), settings)
    testing.save(folder / "segmenter", testing.tiny_sam2())
    for index, sample in enumerate(scene_samples(11)):
        assert isinstance(sample.image, Image.Image)
        assert sample.target is not None
        (folder / "data" / "images").mkdir(parents=True, exist_ok=True)
        sample.image.save(folder / "data" / "images" / f"scène {index}.png")
        save_mask(sample.target, folder / "data" / "masks" / f"scène {index}.png")
    return {name: folder / name for name in ("reasoner", "segmenter", "data")}


def words_for(models: dict[str, Path], out: Path, *more: object) -> list[str]:
    usual = ["--model", models["reasoner"], "--segmenter", models["segmenter"], "--data", models["data"], "--out", out]
    return ["evaluate", "folder", *map(str, (*usual, *more))]


def start(words: list[str], repository: Path, **environment: str) -> "subprocess.Popen[bytes]":
    paths = os.pathsep.join([str(repository), str(repository / "pocket")])
    variables = {**os.environ, "PYTHONPATH": paths, **environment}
    return subprocess.Popen([sys.executable, "-m", "thinkseg", *words], env=variables, stdout=subprocess.PIPE)


@pytest.mark.slow
def test_a_tiny_real_model_writes_the_same_lines_with_any_processes_and_batches_killed_or_not(
    models: dict[str, Path], tmp_path: Path, repository: Path
) -> None:
    assert main(words_for(models, tmp_path / "one", "--batch-size", 4)) == 0
    expected = (tmp_path / "one" / "predictions.jsonl").read_bytes()
    assert expected.count(b"\n") == 11

    assert main(words_for(models, tmp_path / "ones", "--batch-size", 1)) == 0
    assert (tmp_path / "ones" / "predictions.jsonl").read_bytes() == expected

    words = words_for(models, tmp_path / "two", "--processes", 2, "--batch-size", 1)
    killed = start(words, repository)
    first = tmp_path / "two" / "predictions.1-of-2.jsonl"
    deadline = time.monotonic() + PATIENCE
    while not (first.exists() and b"\n" in first.read_bytes()):
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "two" / "report.json").exists()
    with first.open("ab") as file:
        file.write(b'{"id": "sc')  # as a line that was cut off
    again = start(words, repository)
    again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert (tmp_path / "two" / "predictions.jsonl").read_bytes() == expected

    ranks = [
        start(words_for(models, tmp_path / "ranks"), repository, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
        for rank in (0, 1)
    ]
    told = [rank.communicate(timeout=PATIENCE)[0].decode() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    assert "S-measure" in told[0]
    assert told[1] == ""
    assert (tmp_path / "ranks" / "predictions.jsonl").read_bytes() == expected
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "ones", "two", "ranks")]
    assert all(report["metrics"] == reports[0]["metrics"] for report in reports)


@pytest.mark.slow
def test_thinkseg_metrics_on_the_saved_masks_says_what_the_report_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, models: dict[str, Path]
) -> None:
    out = tmp_path / "out"
    assert main(words_for(models, out, "--save-masks", "--save-overlays", "--batch-size", 4)) == 0
    names = [f"scène {index}.png" for index in range(11)]
    assert sorted(path.name for path in (out / "masks").iterdir()) == sorted(names)
    assert sorted(path.name for path in (out / "overlays").iterdir()) == sorted(names)
    numbers: dict[str, Any] = {}
    words = [out / "masks", models["data"] / "masks", "--json", tmp_path / "scores.json", "--processes", 1]
    assert main(["metrics", *map(str, words)]) == 0
    numbers = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["metrics"]
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))["metrics"]
    assert set(numbers) <= set(report)
    assert numbers == pytest.approx({name: report[name]["value"] for name in numbers}, abs=1e-12)


def test_processes_and_parts_given_by_hand_are_one_too_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["evaluate", "folder", "--out", str(tmp_path / "out"), "--processes"]
    assert main([*words, "2", "--shard", "1/2"]) == 2
    assert "leave out --shard" in capsys.readouterr().err
    assert main([*words, "0"]) == 2
    assert "--processes is at least 1" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*words, "2"]) == 2
    assert "leave out --shard, torchrun" in capsys.readouterr().err
