"""The trees in the documentation are what the readers find: each is built as it is drawn, and then looked for."""

import re
from itertools import count
from pathlib import Path

import pytest

from thinkseg.data.discovery.catalog import DATA_SETS
from thinkseg.data.discovery.load import load_dataset
from thinkseg.data.readers.tables import list_table
from thinkseg.testing.data_sets import (
    write_coco,
    write_lvis,
    write_pair,
    write_reasonseg,
    write_refcoco,
    write_rows,
)

PAGES = Path(__file__).parents[3] / "docs/data"
TREE = re.compile(r"```text\n(.*?)```", re.DOTALL)


def sections():
    """Each block of text with its tree and the table below it: page, block, rows of the table by name."""
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for block in TREE.finditer(text):
            table = text[block.end() :].partition("```")[0]
            names = [name for name in re.findall(r"^\| `([a-z0-9+-]+)` \|", table, re.MULTILINE) if name in DATA_SETS]
            if names and "…" in block[1]:
                yield names, block[1], table


SECTIONS = list(sections())
TOLD = {name: (block, table) for names, block, table in SECTIONS for name in names}


def leaves(block):
    """(path, remark) of every file that a drawn tree names; folders end in "/", two blanks part name and remark."""
    above: list[tuple[int, str]] = []
    for line in filter(str.strip, block.splitlines()):
        depth = len(line) - len(line.lstrip())
        name, _, remark = line.strip().partition("  ")
        above = [(indent, folder) for indent, folder in above if indent < depth]
        path = "".join(folder for _, folder in above) + name
        if name.endswith("/"):
            above.append((depth, name))
        else:
            yield path, remark.strip()


def build(root, block):
    """Write the files of a drawn tree."""
    numbers, waiting, scene = count(10), [], count()
    files = [path for path, _ in leaves(block)]
    images = {Path(path).parent.name: root / Path(path).parent for path in files if path.endswith(".jpg")}
    for path, remark in leaves(block):
        name, folder = Path(path).name, (root / path).parent
        if name.startswith(("refs(", "grefs(")):
            write_refcoco(folder, images["train2014"], name, tuple(remark.partition(": ")[2].split(", ")))
        elif name.startswith("lvis_"):
            write_lvis(root / path, images["train2017"].parent)
        elif name.startswith("instances_"):
            write_coco(root / path, images[name[len("instances_") : -len(".json")]])
        elif name.endswith(".parquet"):
            write_rows(folder, "vision-reasoner" if "multi_object" in path else "seg-zero")
        elif "masks" in remark:
            for image, number in waiting:
                write_pair(image, root / path.replace("…", str(number)), next(scene))
            waiting = []
        elif "images" in remark and any("masks" in other for _, other in leaves(block)):
            for number in (next(numbers), next(numbers)):
                waiting.append((root / path.replace("…", str(number)), number))
        elif name.endswith(".json") and "questions" in remark and not (root / "ReasonSeg").exists():
            write_reasonseg(root)
    assert not waiting


def test_every_data_set_has_a_section_with_its_tree():
    assert set(TOLD) == set(DATA_SETS)


@pytest.mark.parametrize("names", [names for names, _, _ in SECTIONS], ids=" ".join)
def test_a_tree_that_is_built_as_it_is_drawn_is_found(names, tmp_path):
    block, _ = TOLD[names[0]]
    build(tmp_path, block)
    for path, _ in leaves(block):
        assert list(tmp_path.glob(path.replace("[", "[[]").replace("…", "*"))), path
    for name in names:
        for split in DATA_SETS[name].splits:
            listing = load_dataset(name, split, tmp_path)
            assert len(listing), (name, split)
            assert listing[0].query
            assert not listing.faults


@pytest.mark.parametrize("name", DATA_SETS)
def test_what_a_page_says_of_a_data_set_is_what_the_catalogue_says(name):
    block, table = TOLD[name]
    data_set = DATA_SETS[name]
    (row,) = re.findall(rf"^\| `{re.escape(name)}` \|.*$", table, re.MULTILINE)
    address, _, remark = data_set.source.partition(" ")
    for told in (f"<{address}>", remark, data_set.licence, f"| {data_set.task} |"):
        assert told in row
    for split, record in data_set.splits.items():
        assert (split if record.count is None else f"{split} {record.count:,}") in row
    counts = [int(found.replace(",", "")) for found in re.findall(r"([\d,]+) images", block)]
    if counts and not data_set.on_request:
        assert counts == [record.count for record in data_set.splits.values()]


def test_the_table_in_the_documentation_is_read(tmp_path):
    page = (PAGES / "own.md").read_text(encoding="utf-8")
    tables = dict(zip(("t.csv", "t.jsonl"), TREE.findall(page), strict=True))
    for number, name in enumerate(("1", "1a", "1b", "2")):
        write_pair(tmp_path / f"shots/{name}.jpg", tmp_path / f"outlines/{name}.png", number)
    for name, text in tables.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    red, cyclists, cow = list_table(tmp_path / "t.csv")
    assert (len(red.instances), len(cyclists.instances), len(cow.instances)) == (1, 2, 0)
    assert [len(sample.instances) for sample in list_table(tmp_path / "t.jsonl")] == [2, 0]
