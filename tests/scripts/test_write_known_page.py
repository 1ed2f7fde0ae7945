"""The page of what is known is what the tables of the code say."""

import runpy
from pathlib import Path

import pytest

from thinkseg.data.discovery.catalog import DATA_SETS
from thinkseg.evaluation.published_numbers import PUBLISHED
from thinkseg.models.checkpoint_config import KNOWN


@pytest.fixture(scope="module")
def written():
    return (Path(__file__).parents[2] / "docs/known.md").read_text(encoding="utf-8")


def test_the_page_is_the_one_that_its_script_writes(written, repository):
    page = runpy.run_path(str(repository / "scripts/write_known_page.py"))["page"]
    assert written == page(), "run: python scripts/write_known_page.py docs/known.md"


def test_every_checkpoint_data_set_and_number_has_a_row(written):
    heads = [line.split("|")[1].strip() for line in written.splitlines() if line.startswith("| `")]
    assert sorted(heads) == sorted(f"`{name}`" for name in [*KNOWN, *DATA_SETS, *PUBLISHED])
