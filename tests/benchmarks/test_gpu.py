"""What is measured on a GPU runs in small here, so that no GPU minute is lost on a slip, and its page says what was."""

import importlib
import json
import re
import subprocess
import sys
import time

import pytest

from ..conftest import REPOSITORY


@pytest.fixture(scope="module")
def gpu():
    """A function from the name of a part of the benchmark to its module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY))
        yield lambda part: importlib.import_module(f"benchmarks.gpu.{part}")


def call(*words):
    """The benchmark from the command line."""
    command = [sys.executable, "-m", "benchmarks.gpu", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)


QUICK = ("card", "step")
"""Sections that take seconds in small; the slow tier measures all of them."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The quick sections in small."""
    out = tmp_path_factory.mktemp("gpu") / "measured.json"
    told = call("--small", "--minutes", "60", "--out", str(out), "--only", *QUICK)
    return told, json.loads(out.read_text())


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """All sections in small."""
    out = tmp_path_factory.mktemp("gpu") / "measured.json"
    told = call("--small", "--minutes", "60", "--out", str(out))
    return told, json.loads(out.read_text())


@pytest.mark.slow
def test_in_small_every_section_is_measured(everything, gpu):
    told, found = everything
    assert told.returncode == 0, told.stderr
    assert list(found["sections"]) == list(gpu("sections").SECTIONS)
    assert [name for name, section in found["sections"].items() if "result" not in section] == []
    assert found["small"] is True


def test_in_small_a_section_is_measured_and_told(measured):
    told, found = measured
    assert told.returncode == 0, told.stderr
    assert list(found["sections"]) == list(QUICK)
    assert all("result" in section for section in found["sections"].values())
    assert "**A step of GRPO, Qwen2.5-VL-3B, every weight**" in told.stdout


def test_a_step_is_told_with_its_parts_both_ways(measured):
    ways = measured[1]["sections"]["step"]["result"]["ways"]
    assert {"prompt once", "each its own prompt"} < ways.keys()
    for way in ways.values():
        assert {"sampling", "rubric", "loss", "backward", "optimiser"} < way["parts"].keys()
        assert sum(way["parts"].values()) == pytest.approx(way["seconds"], rel=0.01)
        assert way["learnt_per_second"] > 0
        assert way["expected_gb"] > 0


def test_the_segmenter_in_a_step_has_something_to_do(measured):
    """An image is encoded where an answer about it has something to segment."""
    assert measured[1]["sections"]["step"]["result"]["ways"]["prompt once"]["images_encoded"] > 0


@pytest.mark.slow
def test_packed_rows_and_kernels_agree(everything):
    ways = everything[1]["sections"]["attention"]["result"]["ways"]
    assert {"sdpa, prompt once", "eager, prompt once", "sdpa, prompt once, math alone"} < ways.keys()
    assert all(way["logps_off"]["most"] < 1e-4 for way in ways.values())


@pytest.mark.slow
def test_rollouts_are_sampled_both_ways(everything):
    rates = everything[1]["sections"]["rollouts"]["result"]["tokens_per_second"]
    assert set(rates) == {"prompt once", "each its own prompt"}


def test_where_no_time_is_left_sections_are_skipped_and_that_is_said(tmp_path, gpu):
    events = tmp_path / "events"
    gpu("running").work(["card", "larger"], events, time.time() - 1, small=True)
    told = dict(json.loads(line) for line in events.read_text().splitlines())
    assert told["card"] == told["larger"] == {"skipped": "it takes about 0 s, and 0 s were left"}
    words = gpu("page").in_words({"sections": told})
    assert "- The card: not measured: skipped, it takes about 0 s, and 0 s were left." in words


@pytest.mark.slow
def test_a_section_that_fails_is_told_and_the_next_one_goes_on(tmp_path, gpu, monkeypatch):
    (tmp_path / "trl.py").write_text("raise ImportError('a wheel is missing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    out = tmp_path / "measured.json"
    found = gpu("running").run_sections(["attention", "card"], out, time.time() + 600, small=True)
    assert found["sections"]["attention"] == {"failed": "ImportError: a wheel is missing"}
    assert "result" in found["sections"]["card"]
    assert json.loads(out.read_text())["sections"] == found["sections"]


def test_the_page_says_what_was_measured_and_what_was_not(repository, gpu):
    page = gpu("page")
    text = (repository / "docs" / "performance.md").read_text()
    kept = repository / "benchmarks" / "gpu" / "measured.json"
    found = json.loads(kept.read_text()) if kept.is_file() else None
    assert text.split(page.BEGIN)[1].split(page.END)[0].strip() == page.in_words(found)


def test_rendering_replaces_what_is_between_the_marks(tmp_path, measured, gpu):
    words, begin, end = gpu("page").in_words, gpu("page").BEGIN, gpu("page").END
    render, page, whole = gpu("page").render, tmp_path / "page.md", tmp_path / "measured.json"
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    assert render(whole, page) == 0
    assert page.read_text() == f"before\n{begin}\n\n{words(None)}\n\n{end}\nafter\n"
    whole.write_text(json.dumps(measured[1] | {"small": False}))
    assert render(whole, page) == 0
    assert words(measured[1]) in page.read_text()
    whole.write_text(json.dumps(measured[1]))
    assert render(whole, page) == 2
    whole.unlink()
    page.write_text("without marks")
    assert render(whole, page) == 2


def test_small_sizes_never_replace_what_was_measured():
    told = call("--small")
    assert told.returncode == 2
    assert "--out" in told.stderr


def test_the_tests_for_a_gpu_are_in_the_files_that_are_asked_for(repository):
    checks = (repository / "benchmarks" / "gpu" / "checks.py").read_text()
    marked = re.compile(r"mark\.gpu\b|def test_\w+\([^)]*\bdevice\b")
    names = [
        path.relative_to(repository).as_posix()
        for path in sorted((repository / "tests").rglob("test_*.py"))
        if path.name != "test_gpu.py" and marked.search(path.read_text())
    ]
    assert len(names) >= 3
    assert [name for name in names if f'"{name}"' not in checks] == []
