"""The pages of how to extend ThinkSeg: their files are those of the contracts, their commands and their Python run."""

import re
import sys
from importlib import import_module

import pytest

from thinkseg.answers import AnswerFormat
from thinkseg.data.source import DataSource
from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.models.base import Segmenter
from thinkseg.rewards import RewardPart

from .conftest import example_in
from .pages import blocks_of, run_page

CONTRACTS = {
    "reward": RewardPart,
    "format": AnswerFormat,
    "segmenter": Segmenter,
    "data_source": DataSource,
    "benchmark": import_module("thinkseg.evaluation.benchmarks"),
    "measure": import_module("thinkseg.evaluation.measures.base"),
}


def page_of(repository, name):
    return repository / f"docs/extend/{name}.md"


def code_of(text):
    """The code without its blank lines, which docstrings have others of."""
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_file_of_a_page_is_the_example_of_its_contract(name, repository):
    (file,) = [block for block in blocks_of(page_of(repository, name)) if block.file]
    assert code_of(file.text) == code_of(example_in(CONTRACTS[name]))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a photograph, to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    load_scenes("test", count=1, seed=1, size=224)[0].image.save("photo.jpg")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["reward", "format", "measure"])
def test_the_python_of_a_page_runs(name, repository):
    run_page(page_of(repository, name), repository, languages=["python"])


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", [*CONTRACTS, "recipe", "data_set", "published"])
def test_a_page_runs_as_it_stands(name, repository):
    run_page(page_of(repository, name), repository)


def test_the_family_of_its_page_measures_as_it_says(repository):
    from thinkseg.types import Size

    (file,) = [block for block in blocks_of(page_of(repository, "family")) if block.file]
    names = {}
    exec(compile(file.text, file.file, "exec"), names)
    assert names["MyFamily"]().frame_of(None, Size(640, 480)) == Size(100, 100)


def test_every_row_of_what_to_open_has_its_page(repository):
    rows = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| to change | ")[2]
    files = set(re.findall(r"`(thinkseg/[\w/]+\.py)`", rows.partition("\n\n")[0]))
    pages = "".join(page.read_text(encoding="utf-8") for page in (repository / "docs/extend").glob("*.md"))
    tables = [file for file in files if not file.endswith(("base.py", "part.py", "source.py"))]  # the contracts
    assert len(tables) > 8
    for file in tables:
        assert file in pages, file
