"""Recipes are found by name, in a clone and in a package that was built and installed without one."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from thinkseg import cli
from thinkseg.errors import RecipeError
from thinkseg.training.builtin_recipes import builtin_recipes, find_recipe, recipes_folder
from thinkseg.training.config import load_recipe


@pytest.mark.parametrize("name", ["pocket/rl", "pocket/rl.yaml", "recipes/pocket/rl.yaml"])
def test_a_recipe_has_a_name_with_and_without_folder_and_suffix(name, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_recipe(name) == repository / "recipes" / "pocket" / "rl.yaml"
    assert load_recipe(name).stage == "rl"


def test_a_file_wins_over_a_name(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "recipes" / "pocket" / "rl.yaml"
    own.parent.mkdir(parents=True)
    shutil.copyfile(repository / "recipes" / "pocket" / "sft.yaml", own)
    assert load_recipe("recipes/pocket/rl.yaml").stage == "sft"


def test_a_name_that_is_nearly_right_is_put_right():
    with pytest.raises(RecipeError, match=r"no such file.*did you mean seg_r1/prerl.*--list"):
        find_recipe("seg_r1/prarl")


def test_an_installation_without_recipes_says_so(tmp_path):
    with pytest.raises(RecipeError, match=r"neither in .*thinkseg/recipes"):
        recipes_folder(tmp_path / "thinkseg")


def test_every_recipe_is_listed_with_its_stage_and_a_title(capsys):
    assert cli.main(["train", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for recipe in builtin_recipes():
        assert recipe.stage in ("sft", "rl")
        assert 10 < len(recipe.title) < 120
        assert any(line.split()[:2] == [recipe.stage, recipe.name] and recipe.title in line for line in lines)
    assert not any("accelerate/" in line for line in lines)


@pytest.mark.slow
def test_a_wheel_has_all_recipes_and_finds_them_without_a_clone(repository, tmp_path):
    source, built, installed = (tmp_path / name for name in ("source", "built", "installed"))
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    for name in ("thinkseg", "recipes"):
        shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    built.mkdir()
    subprocess.run([sys.executable, "-c", build, str(built)], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    shipped = {path.relative_to(installed / "thinkseg").as_posix() for path in (installed / "thinkseg").rglob("*.yaml")}
    there = {path.relative_to(repository).as_posix() for path in (repository / "recipes").rglob("*.yaml")}
    assert shipped == there
    said = subprocess.run(
        [sys.executable, "-m", "thinkseg", "train", "--list"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "seg_r1/rl " in said
    assert str(installed / "thinkseg" / "recipes") in said
