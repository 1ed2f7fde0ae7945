"""Hostile texts come out of every reader as a value or as an error that it documents, by the script that makes them."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def script(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "scripts" / "robustness"))
    return importlib.import_module("fuzz_texts")


@pytest.mark.parametrize(("texts", "seed"), [(300, 0), pytest.param(5_000, 1, marks=pytest.mark.slow)])
def test_hostile_texts_break_no_reader(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], texts: int, seed: int
) -> None:
    code = script.main(["--texts", str(texts), "--seed", str(seed), "--out", str(tmp_path / "broken")])
    told = capsys.readouterr().out
    assert (code, f"{texts:,} texts, " in told, " 0 broken" in told) == (0, True, True), told
    assert not (tmp_path / "broken").exists()


def fails(text: str, folder: Path) -> None:
    raise KeyError(text)


def lingers(text: str, folder: Path) -> None:
    while True:
        pass


@pytest.mark.parametrize("read", [fails, lingers])
def test_a_reader_that_breaks_is_counted_and_its_text_is_kept(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: object
) -> None:
    monkeypatch.setattr(script, "MOST_SECONDS", 0.2)
    counts = script.fuzz(1, 0, tmp_path, {"mine": script.Reader("runs", read)})
    assert counts["mine"].broken == 1
    assert len(list(tmp_path.glob("mine-0*"))) == 2
    counts = script.fuzz(1, 0, tmp_path, {"mine": script.Reader("runs", lambda text, folder: None)})
    assert (counts["mine"].read, counts["mine"].broken) == (1, 0)


def test_the_same_seed_makes_the_same_texts(script: ModuleType) -> None:
    import random

    made = [[script.hostile(kind, random.Random(3)) for kind in sorted(script.KINDS)] for _ in range(2)]
    assert made[0] == made[1]
