"""The recipes that come with ThinkSeg, by name: ``seg_r1/rl`` is the file ``recipes/seg_r1/rl.yaml``.

In a clone they lie in ``recipes/`` beside the package, in an installed package inside it; a name finds either. A file
that exists wins over a name.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkseg.errors import RecipeError

PACKAGE = Path(__file__).resolve().parents[1]
LAUNCHERS = "accelerate"
"""The folder among the recipes that holds configurations of ``accelerate launch``, which are no recipes."""


@dataclass(frozen=True, slots=True)
class BuiltinRecipe:
    """A recipe that comes with ThinkSeg, as a list shows it."""

    name: str
    """Folder and file without suffix, such as ``seg_r1/rl``."""
    path: Path
    stage: str
    """``sft`` or ``rl``."""
    title: str
    """The first sentence of its comment."""


def recipes_folder(package: Path = PACKAGE) -> Path:
    """The folder of the recipes: inside the package, or beside it.

    Raises:
        RecipeError: the installation lacks it.
    """
    places = [package / "recipes", package.parent / "recipes"]
    for place in places:
        if place.is_dir():
            return place
    raise RecipeError(
        f"the recipes of ThinkSeg are neither in '{places[0]}' nor in '{places[1]}'; install ThinkSeg again, or give "
        "the path of a recipe file"
    )


def builtin_recipes() -> Sequence[BuiltinRecipe]:
    """All recipes that come with ThinkSeg, by name."""
    root = recipes_folder()
    paths = sorted(path for path in root.rglob("*.yaml") if path.relative_to(root).parts[0] != LAUNCHERS)
    return [_builtin(path.relative_to(root).with_suffix("").as_posix(), path) for path in paths]


def find_recipe(name: Path | str) -> Path:
    """The file of a recipe.

    Args:
        name: a file, or the name of a built-in recipe, with or without ``recipes/`` before and ``.yaml`` behind.

    Raises:
        RecipeError: it is neither; the sentence has the nearest names.
    """
    file = Path(name)
    if os.path.isfile(file):  # a name that is too long for a file is none, and no error
        return file
    asked = file.as_posix().removeprefix("recipes/").removesuffix(".yaml")
    known = {recipe.name: recipe.path for recipe in builtin_recipes()}
    if asked in known:
        return known[asked]
    near = difflib.get_close_matches(asked, known, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise RecipeError(
        f"the recipe '{name}' cannot be read: there is no such file, and none that comes with ThinkSeg has this name; "
        f"{hint}'thinkseg train --list' shows them all"
    )


def _builtin(name: str, path: Path) -> BuiltinRecipe:
    text = path.read_text(encoding="utf-8")
    stage = re.search(r"^stage:\s*(\w+)", text, re.MULTILINE)
    title = text.partition("\n")[0].removeprefix("#").strip()
    return BuiltinRecipe(name, path, stage[1] if stage else "", title.partition(". ")[0].rstrip("."))
