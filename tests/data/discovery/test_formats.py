"""Every format says the same of the same image, and the page about formats is about what there is."""

import re
import shlex

import numpy as np
import pytest

from thinkseg.cli import main
from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.formats import FORMATS
from thinkseg.data.discovery.load import find_listings, load_own
from thinkseg.data.writers.formats import WRITERS
from thinkseg.testing.annotated import ANNOTATED, CRACK, RUST, mask_of


@pytest.fixture
def page(repository):
    return (repository / "docs/data/formats.md").read_text(encoding="utf-8")


def rows(page, start):
    """Cells of the table that a line begins."""
    table = page[page.index(start) :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("name", ANNOTATED)
def test_the_same_objects_are_read_from_every_format_found_or_named(tmp_path, name):
    ANNOTATED[name](tmp_path)
    for dataset in ("own", name):
        crack, rust = load_own(OwnData(tmp_path, dataset=dataset)).require_complete()
        words = ("crack", "rust spot") if name == "coco-json" else ("the crack", "the rust spot")
        assert (crack.query, rust.query) == words
        assert np.array_equal(crack.target, mask_of(CRACK))
        assert np.array_equal(rust.target, mask_of(RUST))
        known = name != "colours"
        assert (crack.instances is not None) is known
        assert not known or np.array_equal(crack.instances[0], crack.target)
        assert crack.task == "instances"


@pytest.mark.parametrize("name", ANNOTATED)
def test_one_format_is_never_taken_for_another(tmp_path, name):
    ANNOTATED[name](tmp_path)
    places = {other: FORMATS[other].find(tmp_path, "") for other in FORMATS}
    assert [other for other, place in places.items() if place is not None] == [name]


def test_every_format_has_a_row_on_the_page_whose_command_runs_without_a_fault(page, tmp_path, monkeypatch, capsys):
    found = rows(page, "| format | recognised by")
    assert [re.search(r"`([\w-]+)`", cells[0])[1] for cells in found] == list(FORMATS)
    monkeypatch.chdir(tmp_path)
    for name, cells in zip(FORMATS, found, strict=True):
        words = shlex.split(cells[3].strip("`"))[1:]
        if name == "results":
            continue  # tests/data/readers/test_results.py has some
        root = tmp_path / words[2]
        root.mkdir(parents=True)
        ANNOTATED[name](root)
        assert main(words) == 0, capsys.readouterr()
        told = capsys.readouterr().out
        assert "no fault" in told or "2 of 2 samples" in told


def test_every_format_that_is_written_has_a_row_on_the_page(page):
    assert {cells[0].strip("`") for cells in rows(page, "| `--to` |")} == set(WRITERS)


def test_a_format_that_is_named_is_not_looked_for_elsewhere(tmp_path):
    ANNOTATED["yolo"](tmp_path)
    ((_, listings),) = find_listings(OwnData(tmp_path / "data.yaml", dataset="yolo", split="train"))
    assert list(listings) == ["train"]
