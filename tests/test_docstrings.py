"""The examples in docstrings run and print what stands below them, offline and on the pocket models."""

import ast
import doctest
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


def examples() -> Iterator[tuple[str, str, str]]:
    """Module, name and docstring of everything that has an example which is not skipped as a whole."""
    for path in sorted((REPOSITORY / "thinkseg").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if ">>>" not in text:
            continue
        module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                docstring = ast.get_docstring(node) or ""
                lines = [line for line in docstring.splitlines() if line.lstrip().startswith(">>>")]
                if any("doctest: +SKIP" not in line for line in lines):
                    yield module, getattr(node, "name", "module"), docstring


FOUND = list(examples())


@pytest.mark.parametrize(("module", "name", "docstring"), FOUND, ids=[f"{room}:{name}" for room, name, _ in FOUND])
def test_the_example_of_a_docstring_does_what_it_says(
    module: str, name: str, docstring: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path))
    names = {**vars(import_module(module))}
    test = doctest.DocTestParser().get_doctest(docstring, names, f"{module}.{name}", None, 0)
    told: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    assert results.attempted > 0
    assert results.failed == 0, "".join(told)


def test_the_calls_that_users_make_have_examples() -> None:
    calls = {(module, name) for module, name, _ in FOUND}
    assert ("thinkseg", "load") in calls
    assert ("thinkseg.models.pipeline", "segment") in calls
    for path in (REPOSITORY / "thinkseg" / "api").glob("[a-z]*.py"):
        assert any(module == f"thinkseg.api.{path.stem}" for module, _ in calls), path.name
