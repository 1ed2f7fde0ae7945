"""The pages about protocols and metrics: their code runs, and their tables say what the code does."""

import re
from pathlib import Path

import pytest

from thinkseg.evaluation.benchmarks import BENCHMARKS
from thinkseg.evaluation.measures.registry import MEASURES
from thinkseg.evaluation.protocols import PROTOCOLS


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")


def test_the_worked_examples_give_what_the_page_says(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:  # the second one goes on where the first one ends
        assert "assert" in block
        exec(compile(block, "protocols.md", "exec"), names)


def test_every_benchmark_has_its_row_with_its_number_of_samples() -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    told: dict[str, str] = {}
    for names, counts in re.findall(r"^\| (`.*?) \| (.*?) \|", text.partition("## Benchmarks")[2], re.MULTILINE):
        found = re.findall(r"`([a-z0-9+-]+)`", names)
        if "…" in names:
            found = [f"{found[0][:-1]}{number}" for number in range(1, int(found[1][-1]) + 1)]
        stem = found[0].rpartition("-")[0]
        numbers = re.findall(r"\d[\d,]*\d", counts) or [""]
        for number, name in enumerate(found):
            told[stem + name if name.startswith("-") else name] = numbers[number % len(numbers)]
    assert set(BENCHMARKS) <= set(told)
    for name, benchmark in BENCHMARKS.items():
        if benchmark.expected_count is not None:
            assert told[name] == f"{benchmark.expected_count:,}", name


def test_the_page_about_evaluation_names_every_benchmark_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    table = page.partition("## Benchmarks\n")[2].partition("\n\n")[0]
    named = []
    for row in table.splitlines()[2:]:
        for name in re.findall(r"`([^`]+)`", row.split("|")[1]):
            named.append(named[-1].rpartition("-")[0] + name if name.startswith("-") else name)
    assert named == [name for name in BENCHMARKS if name in named]
    assert set(named) == set(BENCHMARKS)


def test_the_python_of_the_page_about_evaluation_runs_and_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "thinkseg.evaluate(" in code]
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "evaluation.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.+)$", block, re.MULTILINE)


def test_every_protocol_has_its_column(page: str) -> None:
    heads = next(line for line in page.splitlines() if line.startswith("| | `default`"))
    assert re.findall(r"`([a-z0-9-]+)`", heads) == list(PROTOCOLS)


def test_measures_and_benchmarks_that_the_page_names_exist(page: str) -> None:
    assert set(re.findall(r"\(`(\w+)`\)", page)) <= set(MEASURES)
    for command in re.findall(r"thinkseg evaluate ([^-]\S*(?: [^-]\S*)*)", page):
        assert set(command.split()) <= set(BENCHMARKS)


def test_the_python_of_the_page_about_metrics_gives_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", metrics, re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    for block in blocks:  # the second one goes on where the first one ends
        assert "assert" in block
        exec(compile(block, "metrics.md", "exec"), names)
    assert set(re.findall(r"^\| `(\w+)`", metrics, re.MULTILINE)) <= set(MEASURES)
