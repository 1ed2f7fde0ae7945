"""Benchmarks are scripts beside the package, which import each other by their names."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from ..conftest import REPOSITORY

LoadBenchmark = Callable[[str], ModuleType]


@pytest.fixture(scope="session")
def load_benchmark() -> Iterator[LoadBenchmark]:
    """A function from the name of a benchmark to its module."""
    folder = REPOSITORY / "benchmarks"

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, module.__name__, module)
            spec.loader.exec_module(module)
        return module

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield load
