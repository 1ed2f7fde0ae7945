"""The page about one's own images: its commands run in their order, with a step or two in place of the minutes."""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.cli import create_parser, main
from thinkseg.data.readers.folders import list_folders
from thinkseg.training.config import load_recipe

PAGE = Path(__file__).parents[1] / "docs" / "own_images.md"


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def short(words: list[str]) -> list[str]:
    """A command with two steps of training."""
    if "--minutes" in words:
        place = words.index("--minutes")
        return [*words[:place], "--steps", "2", *words[place + 2 :]]
    return [*words, "--steps", "2"] if words[1] == "train" else words


def run(words: list[str], repository: Path) -> None:
    if words[0] == "python":
        sys.argv = [words[1], *words[2:]]
        runpy.run_path(str(repository / words[1]), run_name="__main__")
    else:
        assert main(short(words)[1:]) == 0, shlex.join(words)


@pytest.mark.slow
def test_the_commands_of_the_page_run_one_after_another(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    for words in commands():
        run(words, repository)
    report = json.loads((tmp_path / "runs/own/report.json").read_text(encoding="utf-8"))
    assert report["gain"]["n"] == 60
    assert report["settings"]["samples learnt from"] == 40
    assert (tmp_path / "cutouts").is_dir()
    assert (tmp_path / "runs/after/report.html").is_file()


@pytest.mark.parametrize("words", [words for words in commands() if words[0] == "thinkseg"], ids=" ".join)
def test_every_command_of_the_page_is_one(words):
    _, rest = create_parser(words[1]).parse_known_args(words[2:])
    if words[1] == "train":  # what is left there are settings of the recipe
        load_recipe(words[3], rest)
    else:
        assert rest == []


@pytest.mark.parametrize("of", ["animal", "first"])
def test_the_script_makes_a_folder_as_users_have_them(repository, tmp_path, monkeypatch, of):
    words = ["make_own_folder.py", str(tmp_path / "photos"), "--images", "6", "--size", "96", "--of", of]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(repository / "scripts" / "make_own_folder.py"), run_name="__main__")
    listing = list_folders(tmp_path / "photos" / "images", tmp_path / "photos" / "masks", "the animal")
    assert len(listing.require_complete()) == 6
    for sample in listing:
        with Image.open(sample.image) as image:
            assert image.size == (96, 96)
        assert 0 < sample.target.mean() < 0.9
        assert set(np.unique(np.asarray(Image.open(listing.masks / f"{sample.id}.png")))) == {0, 255}
    with pytest.raises(SystemExit, match="is there already: choose a new folder"):
        runpy.run_path(str(repository / "scripts" / "make_own_folder.py"), run_name="__main__")
