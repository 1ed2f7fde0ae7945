"""Data of the user's own code: the example of the contract, what breaks it, and the verbs that read it."""

import json

import numpy as np
import pytest

from thinkseg.cli import main
from thinkseg.data.listing import Listing
from thinkseg.data.prepared.writer import load_prepared
from thinkseg.data.source import DataSource, load_source
from thinkseg.errors import DataError, RecipeError
from thinkseg.imaging import load_image
from thinkseg.testing.data_sets import write_pair

from ..conftest import example_in


@pytest.fixture
def example(tmp_path):
    """The example in the contract's docstring as a file, and a folder for it to read."""
    (tmp_path / "my_data.py").write_text(example_in(DataSource), encoding="utf-8")
    lines = []
    for number in range(3):
        write_pair(tmp_path / f"photos/{number}.jpg", tmp_path / f"photos/masks/{number}.png", number)
        lines.append({"image": f"{number}.jpg", "mask": f"masks/{number}.png", "query": f"thing {number}"})
    for split, part in (("train", lines), ("test", lines[:1])):
        text = "".join(json.dumps(line) + "\n" for line in part)
        (tmp_path / f"photos/{split}.jsonl").write_text(text, encoding="utf-8")
    return f"{tmp_path / 'my_data.py'}:load", tmp_path / "photos"


def code(tmp_path, text):
    (tmp_path / "own.py").write_text(text, encoding="utf-8")
    return f"{tmp_path / 'own.py'}:load"


def run(capsys, *words):
    done = main(["data", *map(str, words)])
    captured = capsys.readouterr()
    return done, captured.out, captured.err


def test_the_example_of_the_contract_gives_samples_that_are_a_listing(example):
    name, folder = example
    listing = load_source(name, {"folder": folder})
    assert isinstance(listing, Listing)
    assert [listing[index].id for index in range(3)] == ["0.jpg", "1.jpg", "2.jpg"]
    assert listing[2].query == "thing 2"
    assert listing[-1].target.shape == (64, 64)
    assert [sample.id for sample in listing[1:]] == ["1.jpg", "2.jpg"]
    assert listing.entry(0).image == folder / "0.jpg"
    assert listing.require_complete() is listing


def test_a_split_is_handed_over_where_it_is_taken(example, tmp_path):
    name, folder = example
    assert len(load_source(name, {"folder": folder}, "test")) == 1
    assert len(load_source(name, {"folder": folder, "split": "train"}, "test")) == 3
    plain = code(tmp_path, "def load():\n    return []")
    assert len(load_source(plain, split="test")) == 0


def test_a_listing_of_its_own_is_taken_as_it_is(tmp_path):
    write_pair(tmp_path / "images/0.jpg", tmp_path / "masks/0.png", 0)
    name = code(
        tmp_path,
        "from thinkseg.data.readers.folders import list_folders\n"
        "def load(root):\n    return list_folders(root + '/images', root + '/masks', 'it')",
    )
    assert load_source(name, {"root": str(tmp_path)}).folder == tmp_path


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("load = 3", {}, r"expected a function that gives samples at '.*:load', found 3"),
        ("def load(folder):\n    return []", {}, "missing a required argument: 'folder'; it takes folder"),
        ("def load():\n    return []", {"seed": 1}, "unexpected keyword argument 'seed'; it takes no options"),
        ("def load():\n    return None", {}, r"expected a sequence of samples from '.*:load', found None"),
        ("def load():\n    yield 1", {}, "found a value of the kind 'generator'"),
        ("def load():\n    return [1]", {}, r"expected sample 0 of '.*:load' as a Sample, found 1"),
        ("def load():\n    return 1 / 0", {}, "fails where it is called: ZeroDivisionError: division by zero"),
        ("def laod():\n    return []", {}, "has nothing called 'load'; did you mean 'laod'"),
        ("import nowhere_at_all", {}, "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_breaks_the_contract_is_one_sentence(tmp_path, text, options, sentence):
    name = code(tmp_path, text)
    for error in (DataError, RecipeError):
        with pytest.raises(error, match=sentence):
            load_source(name, options, error=error)


def test_the_verbs_check_show_and_prepare_what_code_gives(example, tmp_path, capsys):
    name, folder = example
    words = (name, "--option", f"folder={folder}")
    done, out, _ = run(capsys, "check", *words)
    assert done == 0
    assert "all: 3 samples, 3 images" in out
    assert run(capsys, "show", *words, "--split", "test", "--out", tmp_path / "sheet.png")[0] == 0
    assert load_image(tmp_path / "sheet.png").width > 100
    assert run(capsys, "prepare", *words, "--split", "train", "--out", tmp_path / "rows")[0] == 0
    rows, given = load_prepared(tmp_path / "rows"), load_source(name, {"folder": folder})
    for row, sample in zip(rows, given, strict=True):
        assert (row.id, row.query) == (sample.id, sample.query)
        assert np.array_equal(row.target, sample.target)


def test_a_check_names_the_samples_that_cannot_be_read_and_goes_on(example, capsys):
    name, folder = example
    (folder / "masks/1.png").unlink()
    (folder / "2.jpg").unlink()
    done, out, _ = run(capsys, "check", name, "--option", f"folder={folder}", "--json")
    assert done == 1
    faults = json.loads(out)["sets"][0]["faults"]
    assert [fault["kind"] for fault in faults] == ["bad-record", "bad-record"]
    assert "1.png" in faults[0]["detail"]
    assert "2.jpg" in faults[1]["detail"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--option", "folder"], "expected '--option NAME=VALUE', found 'folder'"),
        (["--option", "folder=[1"], "is not YAML"),
        (["--option", "size=3"], "it takes folder, split"),
        (["--query", "it"], "is told by '--option NAME=VALUE' and '--split' alone"),
    ],
)
def test_wrong_words_for_code_are_a_wrong_call(example, capsys, words, sentence):
    done, _, err = run(capsys, "check", example[0], *words)
    assert done == 2
    assert sentence in err


def test_options_are_for_code_alone(tmp_path, capsys):
    done, _, err = run(capsys, "check", tmp_path, "--option", "a=1")
    assert done == 2
    assert "'--option' is for code of your own" in err


def test_samples_of_changed_code_have_another_revision(tmp_path):
    text = "from PIL import Image\nfrom thinkseg.types import Sample\n"
    text += "def load():\n    return [Sample('a', Image.new('RGB', (8, 6)), 'it')]\n"
    first = load_source(code(tmp_path, text)).revision()
    assert load_source(code(tmp_path, text)).revision() == first
    assert load_source(code(tmp_path, text + "# another\n")).revision() != first
