"""The pages about answers, rewards and metrics: their code runs, and every part of the reward is on its page."""

import re

import pytest
import yaml

from thinkseg.answers import get_format
from thinkseg.rewards import PARTS, Rubric


@pytest.mark.parametrize("page", ["answers.md", "rewards.md", "metrics.md"])
def test_the_code_of_a_page_runs(repository, page):
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        assert "assert" in block
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
        assert Rubric(get_format(recipe["format"]), recipe["rewards"]).needs_masks
