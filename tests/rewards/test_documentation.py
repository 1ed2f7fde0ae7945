"""The pages about answers and rewards: their code runs, and every part of the reward is on its page."""

import re

import pytest
import yaml

from thinkseg.answers import AnswerFormat, get_format
from thinkseg.rewards import PARTS, RewardPart, Rubric

from ..conftest import example_in

EXAMPLES = [example_in(AnswerFormat), example_in(RewardPart)]
"""The code of the contracts' docstrings; the tests of the contracts try what it does."""


def test_the_examples_of_the_contracts_are_on_their_pages(repository):
    for page, example in zip(("answers.md", "rewards.md"), EXAMPLES, strict=True):
        assert f"```python\n{example}```" in (repository / "docs" / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["answers.md", "rewards.md"])
def test_the_code_of_a_page_runs(repository, page):
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        assert "assert" in block or block in EXAMPLES
        exec(compile(block, page, "exec"), {})


def test_the_page_about_rewards_has_every_part_in_its_table_and_no_other(repository):
    page = (repository / "docs/rewards.md").read_text(encoding="utf-8")
    table = page.partition("## The parts")[2].partition("**Soft parts**")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(PARTS)


def test_the_recipes_on_the_page_about_rewards_have_parts_that_exist(repository):
    page = (repository / "docs/rewards.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in blocks:
        recipe = yaml.safe_load(block)
        rubric = Rubric(get_format(recipe["format"]), recipe["rewards"])
        assert rubric.needs_masks or recipe["rewards"] == "published"


def test_the_page_about_rewards_says_what_each_part_needs(repository):
    page = (repository / "docs/rewards.md").read_text(encoding="utf-8")
    table = page.partition("## The parts")[2].partition("**Soft parts**")[0]
    rows = [[cell.strip() for cell in line.strip(" |").split(" | ")] for line in table.splitlines() if "`" in line]
    said = {cells[0].strip("`"): cells[3] if len(cells) > 3 else "" for cells in rows}
    for name, part in PARTS.items():
        needs = said[name.removeprefix("soft_")] if said[name].startswith("as ") else said[name]
        assert set(re.findall(r"`(\w+)`", needs)) - {"image"} == part.needs, name
        assert ("a segmenter" in needs) == ("`image`" in needs) == part.needs_masks, name
