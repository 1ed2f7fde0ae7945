"""Work that is killed at random moments and gone on with ends as work that was not, by the script that does so."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def script(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = repository / "scripts" / "robustness" / "kill_and_compare.py"
    spec = importlib.util.spec_from_file_location("kill_and_compare", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kill_and_compare", module)
    spec.loader.exec_module(module)
    monkeypatch.setenv("PYTHONPATH", f"{repository}:{repository / 'pocket'}")
    return module


def test_a_folder_that_differs_is_found(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder, text in ((tmp_path / "a", "same"), (tmp_path / "b", "same")):
        (folder / "x.json").write_text(f"{folder}: {text}")
    assert script.contents(tmp_path / "a", "*") == script.contents(tmp_path / "b", "*") == {"x.json": b"OUT: same"}
    (tmp_path / "b" / "x.json").write_text("other")
    assert script.contents(tmp_path / "a", "*") != script.contents(tmp_path / "b", "*")


@pytest.mark.slow
@pytest.mark.parametrize("work", ["evaluate", "segment"])
def test_work_that_is_killed_ends_as_work_that_was_not(
    script: ModuleType, tmp_path: Path, work: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--work", work, "--rounds", "1", "--out", str(tmp_path / "out")]) == 0
    assert f"{work}: 1 rounds, " in capsys.readouterr().out
