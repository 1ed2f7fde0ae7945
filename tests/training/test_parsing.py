"""Words become settings as YAML 1.2 has it."""

import pytest

from thinkseg.errors import RecipeError
from thinkseg.training.parsing import parse_overrides, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("010", 10),
        ("-007", -7),
        ("1_000", 1000),
        ("1_000.5", 1000.5),
        ("0x1F", 31),
        ("0o17", 15),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("1_", "1_"),
        (".inf", float("inf")),
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        (".5", 0.5),
        ("3", 3),
        ("-3", -3),
        ("1.5", 1.5),
        ("null", None),
        ("true", True),
        ("1e-6x", "1e-6x"),
        ("e5", "e5"),
        ("v1.5", "v1.5"),
        ("[1, 2e-1]", [1, 0.2]),
        ("runs/try", "runs/try"),
    ],
)
def test_a_value_is_read_as_a_person_means_it(text, value):
    found = parse_yaml(text, "here")
    assert found == value
    assert type(found) is type(value)


def test_flags_take_their_value_after_a_space_or_an_equals_sign():
    words = ["--steps", "3", "--a.b=x=y", "--shift", "-0.5"]
    assert parse_overrides(words) == {"steps": 3, "a.b": "x=y", "shift": -0.5}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["steps", "3"], "expected a setting such as --steps 100, found 'steps'"),
        (["--steps"], "the setting --steps has no value"),
        (["--steps", "--epochs", "3"], "the setting --steps has no value"),
        (["--steps", "[1"], "the value of --steps is not YAML"),
    ],
)
def test_a_flag_that_makes_no_sense_is_named(words, sentence):
    with pytest.raises(RecipeError, match=sentence):
        parse_overrides(words)
