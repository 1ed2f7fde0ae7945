"""What all tests share: no model hub, no network, one thread a process."""

import os

# Before anything imports the packages that read them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers with two threads each are slower than with one

import inspect
import socket
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


def example_in(contract: type) -> str:
    """The code in the docstring of a contract: its indented block after two colons, as its user would write it."""
    lines = inspect.cleandoc(contract.__doc__ or "").partition("::\n")[2].splitlines()
    end = next(number for number, line in enumerate(lines) if line and not line.startswith(" "))
    code = textwrap.dedent("\n".join(lines[:end])).strip() + "\n"
    return code.replace("'''", '"""')  # the other quotes would end the docstring


@pytest.fixture
def repository() -> Path:
    """The folder of the checkout."""
    return REPOSITORY


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
