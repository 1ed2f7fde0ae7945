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


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\n\tb: 2", r"here is not YAML: .*\\t.* \(line 2, column 1\)"),
        ("a:\n  b: 1\n  b: 2", r"here is not YAML: the key 'b' comes twice \(line 2, column 3\)"),
        ("a: *b", r"here is not YAML: found undefined alias 'b' \(line 1, column 4\)"),
        ("a: 1\n---\na: 2", r"here is not YAML: but found another document \(line 2, column 1\)"),
        ("a: !!python/object/apply:os.system ['true']", "here is not YAML: could not determine a constructor"),
        ("<<: 3", "here is not YAML: expected a mapping or list of mappings for merging"),
        ("a: 2020-13-45", "here holds a value that cannot be read: ValueError: month must be in"),
        ("a: !!bool maybe", "here holds a value that cannot be read: KeyError: 'maybe'"),
        ("a: " + "9" * 5000, "here holds a value that cannot be read: ValueError: Exceeds the limit"),
        ("a: !!map b", "here is not YAML: expected a mapping node"),
        ("[" * 5000, "here is nested too deeply"),
    ],
)
def test_text_that_is_no_yaml_is_told_in_one_sentence_with_its_place(text, sentence):
    with pytest.raises(RecipeError, match=sentence) as caught:
        parse_yaml(text, "here")
    assert "\n" not in str(caught.value)


def test_a_section_may_be_merged_from_an_anchor_and_say_a_part_of_it_anew():
    text = "first: &a {x: 1, y: 2}\nsecond: &b {<<: *a, y: 3}\nthird: {<<: [*b], z: 4}"
    assert parse_yaml(text, "here") == {
        "first": {"x": 1, "y": 2},
        "second": {"x": 1, "y": 3},
        "third": {"x": 1, "y": 3, "z": 4},
    }
