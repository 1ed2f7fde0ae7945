"""The tutorials: every command and every line of Python runs, in the order of the page."""

import sys

import pytest

from .pages import blocks_of, run_page

SLOW = pytest.mark.slow


def shorter(words):
    """A command with less of the same work, where it says how much."""
    if words[0] == "train" and "--steps" not in words and not {"--list", "--dry-run"} & set(words):
        words = [*words, "--steps", "1", "--trl.per_device_train_batch_size", "16", "--save_every", "1"]
    if "--limit" in words:
        words = [*words[: words.index("--limit")], "--limit", "6", *words[words.index("--limit") + 2 :]]
    return words


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("first_masks", marks=SLOW),
        pytest.param("evaluate", marks=SLOW),
        pytest.param("seg_r1_small", marks=SLOW),
        pytest.param("write_a_reward", marks=SLOW),
        pytest.param("own_data", marks=SLOW),
    ],
)
def test_a_tutorial_runs_as_it_stands(name, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    page = repository / f"docs/tutorials/{name}.md"
    assert blocks_of(page)
    run_page(page, repository, shorter)
