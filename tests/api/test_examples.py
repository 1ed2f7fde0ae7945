"""The examples in the docstrings of the public calls give what they say."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import thinkseg.api

MODULES = [f"thinkseg.api.{module.name}" for module in pkgutil.iter_modules(thinkseg.api.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_public_call_give_what_they_say(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
