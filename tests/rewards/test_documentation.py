"""The pages about answers, rewards and metrics: their code runs."""

import re

import pytest


@pytest.mark.parametrize("page", ["answers.md", "rewards.md", "metrics.md"])
def test_the_code_of_a_page_runs(repository, page):
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        assert "assert" in block
        exec(compile(block, page, "exec"), {})
