"""A benchmark of the user's own, from a file outside the package to the report: the one in the contract's docstring."""

import inspect
import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import thinkseg
from thinkseg.cli import main
from thinkseg.errors import InputError
from thinkseg.evaluation import benchmarks
from thinkseg.evaluation.benchmarks import load_benchmark

LOADER = """
from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter

def load(_model, **_options):
    text = "<think>x</think><bbox>[0,0,19,9]</bbox><points>[[4,4]]</points><labels>[1]</labels>"
    return Pipeline(FakeReasoner(lambda request: text), FakeSegmenter(), get_format("seg-r1"))
"""


def example_of(documentation: str) -> str:
    """The code of a docstring: the block behind its double colon."""
    code = inspect.cleandoc(documentation).partition("::\n\n")[2]
    lines = code.splitlines()
    end = next(n for n, line in enumerate(lines) if line and not line.startswith(" "))
    return textwrap.dedent("\n".join(lines[:end]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, with the file of the example and a model."""
    (tmp_path / "my_benchmarks.py").write_text(example_of(benchmarks.__doc__ or ""), encoding="utf-8")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Loads fakes, in other processes, too, since it is a function of a module that they find."""
    (tmp_path / "loader_of_fakes.py").write_text(LOADER)
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__("loader_of_fakes")
    monkeypatch.setitem(__import__("sys").modules, "loader_of_fakes", module)  # forgotten behind the test
    return module.load


WORDS = ["evaluate", "my_benchmarks.py:corners", "--model", "model", "--out"]


def test_it_is_evaluated_from_the_command_line(
    folder: Path, load: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "out", "--json"], load=load) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["benchmark"] == "corners"
    assert list(report["metrics"]) == ["giou", "biou", "parse_failures"]
    assert report["metrics"]["giou"] == {"value": pytest.approx((1 + 200 / 231 + 200 / 264) / 3), "count": 3}
    assert "bright corners of dark images" in (folder / "out" / "report.html").read_text(encoding="utf-8")
    run = thinkseg.Run.open("out")
    assert list(run.metrics) == ["giou", "biou", "parse_failures"]
    assert list(run.header.code) == ["my_benchmarks.py:corners"]


def test_the_measures_of_a_report_may_be_others_than_the_benchmark_s(
    folder: Path, load: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "usual"], load=load) == 0
    usual = thinkseg.Run.open("usual").metrics
    capsys.readouterr()
    assert main([*WORDS, "out", "--measures", "p50, mae", "--json"], load=load) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["metrics"]) == ["p50", "mae"]
    assert report["metrics"]["p50"]["value"] == 1.0  # all three overlap by more than a half: see the test above
    run = thinkseg.evaluate("my_benchmarks.py:corners", load("model"), measures="giou", progress=False)
    assert list(run.metrics) == ["giou"]
    assert run.metrics["giou"] == usual["giou"]
    for words, said in (("iou", "no measure 'iou'"), ("mae,mae", "each once"), ("", "no measure ''")):
        assert main([*WORDS, "none", "--measures", words], load=load) == 2
        assert said in capsys.readouterr().err
    assert not (folder / "none").exists()


def test_several_processes_share_it_and_a_changed_file_is_not_mixed_in(
    folder: Path, load: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "one", "--limit", "5"], load=load) == 0
    assert main([*WORDS, "two", "--limit", "5", "--processes", "2"], load=load) == 0
    lines = [(folder / name / "predictions.jsonl").read_bytes() for name in ("one", "two")]
    assert lines[0] == lines[1]
    assert lines[0].count(b"\n") == 5
    capsys.readouterr()
    with (folder / "my_benchmarks.py").open("a") as file:
        file.write("\n# another thought\n")
    assert main([*WORDS, "one", "--limit", "6"], load=load) == 2
    assert "holds another run" in capsys.readouterr().err
    assert (folder / "one" / "predictions.jsonl").read_bytes() == lines[0]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("mine = 3", "expected a Benchmark of thinkseg.evaluation.benchmarks, .* found 3 in"),
        ("def mine(): return [1]", "found a value of the kind 'list'"),
        ("mine = Benchmark('scenes', '', '', list, 1)", "needs a name of letters.*found 'scenes'"),
        ("mine = Benchmark('../mine', '', '', list, 1)", r"found '\.\./mine'"),
        ("mine = Benchmark('mine', '', '', list, 1, ('iou',))", "no measure 'iou'"),
        ("mine = Benchmark('mine', '', '', list, 1, protocols=('mine',))", "no protocol 'mine'"),
        ("def mine(folder): return []", "cannot be called: .*missing 1 required positional argument: 'folder'"),
        ("def mine(): raise OSError('no disk')", "mine' fails where it is called: OSError: no disk"),
        ("mine = Benchmark('mine', '', '', lambda options: 1 / 0, 1)", "the loader of '.*:mine' fails .*ZeroDivision"),
        ("mine = Benchmark('mine', '', '', lambda: [], 1)", "the loader of '.*:mine' fails .*takes 0 positional"),
        ("yours = 3", "has nothing called 'mine'"),
    ],
)
def test_what_breaks_the_contract_is_told_in_one_sentence(
    folder: Path, code: str, said: str, request: pytest.FixtureRequest
) -> None:
    file = folder / f"broken_{abs(hash(code))}.py"
    file.write_text(f"from thinkseg.evaluation.benchmarks import Benchmark\n{code}\n")
    with pytest.raises(InputError, match=said) as error:
        thinkseg.evaluate(f"{file}:mine", "pocket")
    assert "\n" not in str(error.value)


def test_a_function_that_gives_samples_will_do(folder: Path) -> None:
    with (folder / "my_benchmarks.py").open("a") as file:
        file.write("\n\ndef bright():\n    return load_corners(LoadOptions(limit=2))\n")
    benchmark, samples = load_benchmark("my_benchmarks.py:bright", benchmarks.LoadOptions())
    assert (benchmark.name, [sample.id for sample in samples]) == ("bright", ["corner-0", "corner-1"])


def test_a_function_that_makes_it_will_do(folder: Path) -> None:
    with (folder / "my_benchmarks.py").open("a") as file:
        file.write("\n\ndef made():\n    return corners\n")
    benchmark, samples = load_benchmark("my_benchmarks.py:made", benchmarks.LoadOptions())
    assert (benchmark.name, len(samples)) == ("corners", 3)
