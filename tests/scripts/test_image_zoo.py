"""No image of the zoo stops what is done with the others, by the script that leads ThinkSeg through it."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def script(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "scripts" / "robustness"))
    return importlib.import_module("image_zoo")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("models", "every"), [("fake", 30), pytest.param("pocket", 1, marks=pytest.mark.slow)])
def test_every_image_of_the_zoo_is_read_or_refused_by_name(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], models: str, every: int
) -> None:
    code = script.main(["--models", models, "--every", str(every), "--out", str(tmp_path / "zoo")])
    told = capsys.readouterr().out
    assert (code, "5 runs, 0 broken" in told) == (0, True), told
    assert (tmp_path / "zoo" / "evaluated" / "report.html").exists()


def test_an_animal_is_broken_that_nothing_is_said_of_or_the_wrong_thing(script: ModuleType) -> None:
    def animal(name: str, expected: str) -> object:
        return script.Animal(name, b"", expected=expected)

    found = script.Verdicts(
        read={"a.png", "b.png", "both.png"},
        refused={
            "both.png": "'both.png' is damaged",
            "c.png": "'c.png' is damaged",
            "d.png": "an image is damaged",
            "e.png": "'e.png' is\ndamaged",
            "f\n.png": r"'f\n.png' is damaged",
            "g.png": "'g.png' is damaged",
        },
        passed={"h.tif"},
    )
    found.account_for(
        animal(name, expected)
        for name, expected in [
            *(("a.png", "read"), ("b.png", "refused"), ("both.png", "either"), ("c.png", "read")),
            *(("d.png", "refused"), ("e.png", "refused"), ("f\n.png", "refused"), ("g.png", "either")),
            *(("h.tif", "read"), ("lost.png", "either")),
        ]
    )
    assert found.broken.keys() == {"b.png", "both.png", "c.png", "d.png", "e.png", "lost.png"}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise KeyError('a')", "Traceback"),
        ("import sys; sys.exit(2)", "ended with 2"),
        ("import time; time.sleep(60)", "was killed"),
        ("import sys; sys.stderr.write('this is a defect of ThinkSeg')", "defect"),
    ],
)
def test_a_run_that_ends_as_none_may_is_broken(script: ModuleType, tmp_path: Path, code: str, told: str) -> None:
    found = script.Verdicts()
    script.run([sys.executable, "-c", code], tmp_path / "log", 3.0, found)
    assert [told in why for why in found.broken.values()] == [True]
    whole = script.Verdicts()
    ended = script.run([sys.executable, "-c", "print('{}')"], tmp_path / "log", 30.0, whole)
    assert (json.loads(ended.out), whole.broken) == ({}, {})


def test_a_reader_that_lingers_or_raises_what_it_does_not_document_is_broken(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> None:
        raise KeyError(path)

    def lingers(path: Path) -> None:
        import time

        time.sleep(2)

    verdicts = importlib.import_module("zoo_verdicts")
    monkeypatch.setattr(verdicts, "MOST_SECONDS", 0.2)
    for reader in (fails, lingers):
        found = script.Verdicts()
        verdicts.read_with("a.png", tmp_path / "a.png", [reader], found)
        assert (list(found.broken), found.read) == (["a.png"], set())


def test_the_same_seed_makes_the_same_zoo(script: ModuleType) -> None:
    strange_images = importlib.import_module("strange_images").strange_images
    first, second = list(strange_images(3, heavy=False)), list(strange_images(3, heavy=False))
    assert first == second
    assert len({animal.name for animal in first}) == len({animal.mask_name for animal in first}) == len(first)
