"""What pyproject.toml cannot say: a built package holds the recipes, which in a clone lie beside it (decision 0006)."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RECIPES = Path(__file__).parent / "recipes"


class BuildWithRecipes(build_py):
    """Copies the recipes into the package that is built; an editable installation finds them where they are."""

    def run(self) -> None:
        """Build as usual, then copy."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "thinkseg" / "recipes"
            shutil.rmtree(target, ignore_errors=True)  # a build folder may be an old one
            shutil.copytree(RECIPES, target, ignore=shutil.ignore_patterns(".*"))


setup(cmdclass={"build_py": BuildWithRecipes})
