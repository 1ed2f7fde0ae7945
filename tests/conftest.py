"""What all tests share: no model hub, no network, one thread a process."""

import os

# Before anything imports the packages that read them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers with two threads each are slower than with one

import gc
import inspect
import socket
import textwrap
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from unittest.mock import patch

import pytest
from jaxtyping import _import_hook as typed

gc.disable()  # importing makes much and throws away little

REPOSITORY = Path(__file__).parent.parent


def example_in(contract: object) -> str:
    """The code in the docstring of a contract: its indented block after two colons, as its user would write it."""
    lines = inspect.cleandoc(contract.__doc__ or "").partition("::\n")[2].splitlines()
    end = next((number for number, line in enumerate(lines) if line and not line.startswith(" ")), None)
    code = textwrap.dedent("\n".join(lines[:end])).strip() + "\n"
    return code.replace("'''", '"""')  # the other quotes would end the docstring


class _TypedLoader(typed._JaxtypingLoader):
    """Reads the byte code of a typed module under a name of its own, and that of no other.

    jaxtyping's loader has the other name for as long as the module is executed, so that PyTorch and all else that it
    imports would be compiled anew in each worker.
    """

    exec_module = SourceFileLoader.exec_module

    def get_code(self, fullname: str) -> object:
        name = partial(typed._optimized_cache_from_source, self._typechecker.get_hash())
        with patch("importlib._bootstrap_external.cache_from_source", name):
            return super().get_code(fullname)


typed._JaxtypingLoader = _TypedLoader


def pytest_collection_finish() -> None:
    """What is loaded by now stays loaded: garbage is sought among what the tests make.

    A training collects it at its end, which takes longer than the training of a tiny model when PyTorch, TRL and every
    test are looked through.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """At the end all may go; packages in C++ complain of what is left."""
    gc.unfreeze()


@pytest.fixture
def repository() -> Path:
    """The folder of the checkout."""
    return REPOSITORY


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """A device of PyTorch: what holds on a CPU is tried on a GPU, too, where the tests marked `gpu` are asked for."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU that PyTorch can use")
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails, unless it is marked `network`."""
    if not request.node.get_closest_marker("network"):
        connect = socket.socket.connect

        def guarded_connect(self: socket.socket, address: object) -> None:
            if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
                raise PermissionError(f"a test without the marker 'network' wants to connect to {address}")
            connect(self, address)

        monkeypatch.setattr(socket.socket, "connect", guarded_connect)
