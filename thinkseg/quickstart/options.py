"""What a user may say about the quickstart. Nothing heavy is imported before it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.quickstart.job import QuickstartSettings
    from thinkseg.training.config import Recipe

RECIPE = "pocket/jargon"
SCENES = 512


@dataclass(frozen=True, slots=True)
class QuickstartOptions:
    """What a user may say."""

    out: Path = Path("runs/quickstart")
    """The folder of the run."""
    steps: int | None = None
    """Training steps; those of the recipe when None."""
    scenes: int = SCENES
    """Held-out scenes to evaluate on."""
    seed: int = 0
    """Of the scenes and of the training."""
    batch_size: int = 16
    """Scenes that a model gets at a time."""
    recipe: str | Path | None = None
    """A file or a name; `RECIPE` when None."""
    overwrite: bool = False
    """Whether to replace the run that the folder holds."""

    def check(self) -> None:
        """Refuse numbers below 1.

        Raises:
            InputError: the sentence has the flag.
        """
        for name in ("steps", "scenes", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name.replace('_', '-')} should be at least 1, found {value}")
        if self.seed < 0:
            raise InputError(f"--seed should be 0 or more, found {self.seed}")

    def load_recipe(self) -> Recipe:
        """The recipe with what is said in its place.

        Raises:
            InputError: there is no such recipe, or it is for another stage.
        """
        from thinkseg.quickstart.job import TRAINING
        from thinkseg.training.config import load_recipe

        overrides: dict[str, Any] = {"output": str(self.out / TRAINING), "seed": self.seed, "data.seed": self.seed}
        if self.steps is not None:
            overrides |= {"steps": self.steps, "epochs": None}
        recipe = load_recipe(self.recipe or RECIPE, overrides)
        if recipe.stage != "rl":
            raise InputError(f"the quickstart trains by reinforcement: expected a recipe for rl, found {recipe.stage}")
        return recipe

    def settings(self, recipe: Recipe) -> QuickstartSettings:
        """What makes this run differ from another."""
        from thinkseg.models.loading import POCKET, pocket_folder
        from thinkseg.quickstart.job import QuickstartSettings
        from thinkseg.training.config import settings_of

        segmenter = recipe.segmenter
        if segmenter == POCKET and pocket_folder("segmenter") is None:
            segmenter = "grabcut"  # what takes its place
        trained_by = {name: value for name, value in settings_of(recipe).items() if name != "output"}
        return QuickstartSettings(recipe.steps, self.scenes, self.seed, recipe.model.path, segmenter, trained_by)
