"""What a user may say about the quickstart on images of their own. Nothing heavy is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.data.discovery.custom import OwnData
    from thinkseg.training.config import Recipe

OUT = Path("runs/own")
SMALL_RECIPE, LARGE_RECIPE, IMITATION_RECIPE = "pocket/own", "seg_r1/own", "pocket/own_sft"
LARGE_MODEL = "geshang/Seg-R1-3B"
LARGE_GB = 13.0
"""What a card should have free for the large recipe: the 12.2 GB of docs/memory.md and CUDA's own."""
SMALL_BYTES = 200_000_000
"""A checkpoint whose weights take less trains by the small recipe, on a CPU too."""
MINUTES = {"cpu": 8.0, "gpu": 60.0}
"""What the whole job may take where the user says nothing."""


Card = tuple[str, float]
"""The name of a CUDA card and its free memory in GB; an empty name where there is none."""


@dataclass(frozen=True, slots=True)
class OwnOptions:
    """What a user may say."""

    data: Path | str
    """A table, a folder of images and masks, what a tool for annotation writes, rows, or code (``FILE.py:NAME``)."""
    query: str = ""
    """What to ask of every image, where the data have no words."""
    test: Path | str | None = None
    """Data to measure on, of any kind; when None a part of `data` is kept for that."""
    minutes: float | None = None
    """What the whole job may take, from the first evaluation to the report; by the device when None."""
    model: str | None = None
    """The start: ``pocket``, a checkpoint folder or a hub id; by the device when None."""
    out: Path = OUT
    """The folder of the run."""
    seed: int = 0
    """Of the split and of the training."""
    steps: int | None = None
    """Training steps, in place of as many as the minutes allow."""
    batch_size: int = 16
    """Samples that a model gets at a time when it is evaluated."""
    recipe: str | Path | None = None
    """A file or a name, of reinforcement; that of the start when None."""
    overwrite: bool = False
    """Whether to replace the run that the folder holds."""
    split: str = ""
    """Of data that have several: which one to learn from."""
    images: str = ""
    """The folder of images, from the data on; found by its name when empty."""
    masks: str = ""
    """The folder of masks, likewise."""
    annotations: str = ""
    """A file of COCO instances, from the data on."""
    dataset: str = ""
    """The name of the data's format; looked for when empty."""
    encoding: str = ""
    """Of tables, where it is not UTF-8."""

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            InputError: the sentence has the flag.
        """
        for name in ("steps", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name.replace('_', '-')} should be at least 1, found {value}")
        if self.minutes is not None and not 0 < self.minutes < 100_000:
            raise InputError(f"--minutes should be above 0, found {self.minutes:g}")
        if self.minutes is not None and self.steps is not None:
            raise InputError("--minutes and --steps both say how long to train: give one of them")
        if self.seed < 0:
            raise InputError(f"--seed should be 0 or more, found {self.seed}")

    def of_data(self, root: Path | str, split: str) -> OwnData:
        """What is said of the data, at this place."""
        from thinkseg.data.discovery.catalog import OWN
        from thinkseg.data.discovery.custom import OwnData

        named = (self.images, self.masks, self.annotations, self.encoding)
        return OwnData(root, self.query, split, *named, self.dataset or OWN)


@dataclass(frozen=True, slots=True)
class StartChoice:
    """By what and from where is trained."""

    recipe: Recipe
    minutes: float
    why: str
    """A sentence."""


def _card() -> Card:
    from thinkseg.models.loading import cuda_card

    return cuda_card()


def _is_here(model: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model, "config.json"), str)


def choose(
    options: OwnOptions, card: Callable[[], Card] = _card, is_here: Callable[[str], bool] = _is_here
) -> StartChoice:
    """The start and the recipe, as the user says, or by the device.

    Args:
        options: what the user says.
        card: looks which CUDA card there is.
        is_here: whether a model of the hub is in this machine's cache.

    Raises:
        InputError: there is no such model or recipe, or the card is too small for it.
    """
    from thinkseg.training.config import load_recipe

    name_of_card, free = card()
    model, why = options.model, ""
    if model is None and options.recipe is None:
        model, why = _usual(name_of_card, free, is_here)
    name = options.recipe or (SMALL_RECIPE if model is None or _is_small(model) else LARGE_RECIPE)
    overrides: dict[str, Any] = {"output": str(options.out / "training"), "seed": options.seed}
    if model is not None:
        overrides["model.path"] = model
    if options.recipe is None:
        overrides["format"] = None  # the start's own
    if options.steps is not None:
        overrides |= {"steps": options.steps, "epochs": None}
    recipe = load_recipe(name, overrides)
    if recipe.stage != "rl":
        raise InputError(f"the quickstart trains by reinforcement: expected a recipe for rl, found {recipe.stage}")
    if name == LARGE_RECIPE and free < LARGE_GB:
        found = f"{free:.1f} GB are free" if name_of_card else "no CUDA card is there"
        raise InputError(
            f"'{recipe.model.path}' is trained on a card with at least {LARGE_GB:g} GB free, and {found}: free memory, "
            "name a recipe of your own with --recipe, or take the small model with --model pocket"
        )
    minutes = options.minutes or MINUTES["gpu" if name_of_card else "cpu"]
    return StartChoice(recipe, minutes, why or f"the start is '{recipe.model.path}', by the recipe '{name}'")


def _usual(card: str, free: float, is_here: Callable[[str], bool]) -> tuple[str, str]:
    """The start where the user names none, and why it is this one."""
    if not card:
        return "pocket", "no CUDA card is here, so the small model 'pocket' is trained, which has 7 million weights"
    if free < LARGE_GB:
        return "pocket", (
            f"{card} has {free:.1f} GB free, less than the {LARGE_GB:g} GB that '{LARGE_MODEL}' takes, so the small "
            "model 'pocket' is trained"
        )
    if not is_here(LARGE_MODEL):
        return "pocket", (
            f"'{LARGE_MODEL}' is not on this machine, and nothing is downloaded unasked, so the small model 'pocket' "
            f"is trained: --model {LARGE_MODEL} downloads the large one (8 GB), which is for real use"
        )
    return LARGE_MODEL, f"{card} has {free:.0f} GB free, enough for adapters on '{LARGE_MODEL}'"


def _is_small(model: str) -> bool:
    """Whether a start is of the size that trains on a CPU: the pocket, or what was made from it."""
    from thinkseg.models.loading import is_pocket

    folder = Path(model)
    if is_pocket(model) or not folder.is_dir():
        return is_pocket(model)
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) < SMALL_BYTES
