"""The small format that the contract has as its example, in a file of its own as its user would write it."""

import pytest

from thinkseg.answers import AnswerFormat

from ..conftest import example_in


@pytest.fixture(scope="session")
def own_format(tmp_path_factory):
    """Its reference."""
    file = tmp_path_factory.mktemp("own") / "my_format.py"
    file.write_text(example_in(AnswerFormat), encoding="utf-8")
    return f"{file}:Boxes"
