"""The examples in the docstrings of the public calls that need no model give what they say."""

import doctest
from types import ModuleType

import pytest

from thinkseg.api import compare, measure


@pytest.mark.parametrize("module", [compare, measure], ids=["compare", "measure"])
def test_the_examples_of_a_public_call_give_what_they_say(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
