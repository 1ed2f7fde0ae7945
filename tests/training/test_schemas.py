"""The published schemas are those of the code, and editors find nothing wrong with the recipes that come along."""

import json
import re

import pytest
from jsonschema import Draft202012Validator

from thinkseg.answers import FORMATS
from thinkseg.models.checkpoint_config import KNOWN
from thinkseg.rewards import PARTS
from thinkseg.training.builtin_recipes import builtin_recipes
from thinkseg.training.parsing import parse_yaml
from thinkseg.training.schemas import SCHEMAS, checkpoint_schema, recipe_schema, schema_text

RECIPES = builtin_recipes()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_file_is_what_the_models_give(repository, name):
    written = (repository / "recipes" / "schemas" / name).read_text()
    assert written == schema_text(SCHEMAS[name]()), "write it anew: python -m thinkseg.training.schemas recipes/schemas"


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
def test_every_recipe_fits_its_schema_and_says_where_it_is(recipe):
    text = recipe.path.read_text()
    Draft202012Validator(recipe_schema()).validate(parse_yaml(text, recipe.name))
    (place,) = re.findall(r"^# yaml-language-server: \$schema=(.+)$", text, re.MULTILINE)
    assert json.loads((recipe.path.parent / place).read_text()) == recipe_schema()


@pytest.mark.parametrize(
    "change",
    [
        {"stesp": 3},
        {"steps": 0},
        {"steps": "3"},
        {"device": "tpu"},
        {"data": {"sauce": "scenes"}},
        {"rewards": {"x": "1"}},
    ],
)
def test_what_a_recipe_cannot_say_does_not_fit(change):
    validator = Draft202012Validator(recipe_schema())
    good = {"stage": "sft", "output": "runs/x", "rewards": {"my.py:own": 1}, "format": "my.py:Own"}
    assert validator.is_valid(good)
    assert not validator.is_valid(good | change)


def test_an_editor_completes_the_names_that_there_are():
    settings = recipe_schema()["properties"]
    assert settings["format"]["anyOf"][0]["enum"] == list(FORMATS)
    (weighed,) = [each for each in settings["rewards"]["anyOf"] if each.get("type") == "object"]
    assert list(weighed["properties"]) == list(PARTS)


def test_the_known_checkpoints_fit_the_schema_of_their_file():
    validator = Draft202012Validator(checkpoint_schema())
    for config in KNOWN.values():
        validator.validate(config.as_json() | {"a key of its own": 1})
