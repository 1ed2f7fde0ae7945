"""`thinkseg.train`: a training stage from its recipe."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.arguments import FLAG, NAMES, PATH, Kind, takes

if TYPE_CHECKING:
    from thinkseg.training.config import Recipe


def _is_recipe(value: object) -> bool:
    from thinkseg.training.config import Recipe

    return isinstance(value, Recipe)


@takes(recipe=PATH | Kind("a recipe", _is_recipe), resume=FLAG, allow=NAMES)
def train(recipe: str | Path | Recipe, *, resume: bool = False, allow: Collection[str] = (), **overrides: Any) -> Path:
    """Train a model as a recipe says, by imitation (sft) or reinforcement (rl).

    Args:
        recipe: the name of a recipe that comes with ThinkSeg, a YAML file, or a `Recipe`.
        resume: go on from the newest whole checkpoint of the recipe's output folder, as the run began.
        allow: dotted names of settings that may be others when the run goes on, such as ``["trl.learning_rate"]``. The
            run may always get longer, and be kept, logged and shown in another way.
        overrides: settings that win over the recipe's, by name; a setting within a section has a dotted name, and a
            whole section is a mapping that replaces the recipe's.

    Returns:
        The folder of the trained model, which `thinkseg.load` takes.

    Raises:
        InputError: a setting does not exist or cannot work, or the model or the data cannot be used.
        TrainingStopped: the run was interrupted and has saved itself.
        TrainingDiverged: a loss, a gradient or a weight is not finite; what was saved before stays.

    >>> import thinkseg
    >>> thinkseg.train("pocket/rl", steps=100, output="runs/mine", **{"trl.learning_rate": 3e-5})  # doctest: +SKIP
    PosixPath('runs/mine/final')
    >>> thinkseg.train("pocket/rl", stesp=100)
    Traceback (most recent call last):
        ...
    thinkseg.errors.RecipeError: there is no setting 'stesp'; did you mean 'steps'?
    """
    from thinkseg.training.config import load_recipe, replace_settings

    recipe = load_recipe(recipe, overrides) if isinstance(recipe, str | Path) else replace_settings(recipe, overrides)
    from thinkseg.training.stages import train_recipe  # takes seconds to import: what is wrong is said before

    return train_recipe(recipe, resume=resume, allow=allow)
