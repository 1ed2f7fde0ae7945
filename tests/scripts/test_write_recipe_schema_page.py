"""The page of the schema of recipes is what the schema says."""

import runpy

import pytest

from thinkseg.training.schemas import recipe_schema


@pytest.fixture
def written(repository):
    return (repository / "docs/recipe_schema.md").read_text(encoding="utf-8")


def test_the_page_is_the_one_that_its_script_writes(written, repository):
    page = runpy.run_path(str(repository / "scripts/write_recipe_schema_page.py"))["page"]
    assert written == page(), "run: python scripts/write_recipe_schema_page.py docs/recipe_schema.md"


def test_every_setting_has_a_row_with_what_may_stand_there(written):
    rows = {line.split("|")[1].strip(): line for line in written.splitlines() if line.startswith("| `")}
    assert {f"`{name}`" for name in recipe_schema()["properties"]} <= rows.keys()
    assert "| a whole number from 1 to 8,192 | `16` |" in rows["`model.lora.r`"]
    assert "| a number above 0 and below 1 or `null` | `null` |" in rows["`validation.share`"]
    assert "| `sft` or `rl` | has to be said |" in rows["`stage`"]
    assert "[the settings of `data`](#data)" in rows["`validation.data`"]


def test_every_definition_of_the_schema_has_a_section(repository):
    sections = runpy.run_path(str(repository / "scripts/write_recipe_schema_page.py"))["SECTIONS"]
    assert set(sections) == set(recipe_schema()["$defs"])
