"""Recipes: everything that a training stage needs, in one YAML file.

A recipe is checked as a whole before anything is loaded: a key that does not exist is refused with the nearest one that
does, and so is a value of the wrong kind. Any setting can be replaced on the command line by its dotted name::

    thinkseg train rl recipes/pocket/rl.yaml --steps 100 --trl.learning_rate 1e-5 --data.tasks.salient 2

`trl` is handed to TRL's `GRPOConfig` (rl) or `SFTConfig` (sft) as it is, after a check that each key exists
there (see `thinkseg.training.trl_settings`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import yaml

from thinkseg.errors import RecipeError
from thinkseg.extension import is_reference
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.training.builtin_recipes import find_recipe
from thinkseg.training.parsing import alternatives, build, kind_of, parse_overrides, parse_yaml, put
from thinkseg.training.trl_settings import Stage, check_trl, trl_fields
from thinkseg.types import Instruction


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Low-rank adapters in place of training every weight."""

    r: int = 16
    """Rank."""
    alpha: int = 32
    """Scale of the update: alpha / r."""
    dropout: float = 0.05
    """Share of an adapter's inputs that is dropped, 0…1."""
    target_modules: str | None = None
    """Regular expression over the names of the modules that get an adapter; null for its family's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonerSettings:
    """The model that is trained."""

    path: str = "pocket"
    """``pocket``, a checkpoint folder (such as the ``final`` of an earlier stage), or a hub id."""
    dtype: str = "auto"
    """dtype of the weights: ``auto`` (the checkpoint's on a GPU, float32 on a CPU), float32, bfloat16 or float16."""
    family: str | None = None
    """The kind of model that it is, a name in `thinkseg.models.families` or ``FILE.py:NAME``; null for its config's."""
    frame: str | None = None
    """How its coordinates are measured, a rule of `thinkseg.models.frames`; null for its family's."""
    lora: Lora | None = None
    """Adapters to train; null trains every weight."""
    new_tokens: dict[str, str] | None = None
    """Texts that become one token each, and for each the text whose weights it begins with; for small vocabularies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionTemplate:
    """What the model is asked, in words of your own (such as those of a published model's card)."""

    user: str
    """The user's text after the image; ``{query}`` stands for the sample's query and must occur."""
    system: str | None = None
    """The system message; null for none. ``{query}`` may occur here too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """How large the model sees images. The segmenter always sees them as they are."""

    min_pixels: int | None = None
    """Images are enlarged to at least this many pixels in all; null leaves the processor's own limit."""
    max_pixels: int | None = None
    """Images are shrunk to at most this many pixels in all; null leaves the processor's own limit."""
    canvas: int | None = None
    """Images are stretched to a square of this many pixels a side first; null keeps their shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The samples to train on."""

    source: str = "scenes"
    """A name in `thinkseg.training.sources.SOURCES`, or code of your own (`thinkseg.data.source`)."""
    split: str = "train"
    """Which part of the source."""
    tasks: dict[str, float] | None = None
    """Scenes: how often each task comes, as weights; null for the usual mixture."""
    count: int | None = None
    """How many samples make an epoch: scenes to compose, or the first so many of what is read; null for all."""
    shuffle: bool = True
    """Whether each epoch has an order of its own, drawn from the recipe's seed; false keeps the source's order."""
    seed: int = 0
    """Scenes: other seeds give other scenes."""
    size: int | None = None
    """Scenes: side of a scene in pixels; null for the usual one."""
    name: str | None = None
    """Data sets: a name in `catalog.DATA_SETS`, or several with commas between; their words are asked."""
    root: str | None = None
    """Data sets: the folder that they lie in or below."""
    rows: str | None = None
    """Worked: a file of worked answers (Parquet or JSONL), or a folder of such files."""
    frame: int | None = None
    """Worked: side in pixels of the square in which the answers are measured; null for each image's own pixels."""
    images: str | None = None
    """Folders: the folder of images."""
    masks: str | None = None
    """Folders: the folder of masks, paired with the images by name without suffix."""
    query: str = "the main object"
    """Folders: what is asked of every image."""
    task: str = ""
    """Folders: the kind of request, for reports."""
    options: dict[str, Any] = field(default_factory=dict)
    """Code of your own: its keyword arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How completions are sampled during rl, and how long an answer of this model may be."""

    max_new_tokens: int | None = None
    """Length limit of a completion, in tokens; null for what the model's folder says, or else 512."""
    temperature: float = 1.0
    """Sampling temperature of rollouts, above 0; 1 samples from the model's own distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training stage."""

    stage: Stage
    """``sft`` (imitate reference answers) or ``rl`` (GRPO with the rewards below)."""
    output: Path
    """Folder of the run: ``checkpoint-N`` to resume from, ``final`` to use, ``log.jsonl``, ``recipe.yaml``."""
    model: ReasonerSettings = field(default_factory=ReasonerSettings)
    """The model that is trained."""
    segmenter: str = "pocket"
    """The frozen model in the reward: ``pocket``, ``grabcut``, a folder, a hub id or ``FILE.py:NAME``; not for sft."""
    format: str | None = None
    """The answer format, a name in `thinkseg.answers`; null for the one that the model's folder names."""
    instruction: InstructionTemplate | None = None
    """What the model is asked; null for what its folder says, or else for the format's own words."""
    images: Images = field(default_factory=Images)
    """How large the model sees images."""
    data: Data = field(default_factory=Data)
    """The samples to train on."""
    rewards: dict[str, float] = field(default_factory=dict)
    """Weight of each part of the reward, by its name in `thinkseg.rewards`; rl needs at least one."""
    generation: Generation = field(default_factory=Generation)
    """How completions are sampled."""
    steps: int | None = None
    """Optimiser steps in all; null to count epochs instead."""
    epochs: float | None = None
    """Passes over the samples; null for one, or when `steps` is given."""
    save_every: int | None = None
    """Steps between checkpoints to resume from; null for one at the end only."""
    keep: int = 2
    """How many checkpoints stay on disk, the newest ones."""
    log_every: int = 1
    """Steps between two lines of the run log."""
    seed: int = 0
    """Of everything drawn at random."""
    device: Literal["auto", "cpu"] = "auto"
    """``auto`` takes a GPU where there is one."""
    trl: dict[str, Any] = field(default_factory=dict)
    """Settings for TRL's own configuration, by their names there."""

    def __post_init__(self) -> None:
        _check_values(self)

    def checkpoint_config(self) -> CheckpointConfig:
        """What the recipe says about how its model is asked; what it leaves open the model's folder says."""
        own = self.instruction
        return CheckpointConfig(
            format=self.format,
            instruction=None if own is None else Instruction(own.user, own.system),
            max_new_tokens=self.generation.max_new_tokens,
            # Unused by sft; but where the model's folder names code, only the recipe can say that it is wanted.
            segmenter=self.segmenter if self.stage == "rl" or is_reference(self.segmenter) else None,
            family=self.model.family,
            frame=self.model.frame,
            canvas=self.images.canvas,
            min_pixels=self.images.min_pixels,
            max_pixels=self.images.max_pixels,
        )


def load_recipe(path: Path | str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Read a recipe, replace settings and check all of it.

    Args:
        path: a YAML file, or the name of a recipe that comes with ThinkSeg, such as ``seg_r1/rl``.
        overrides: words of a command line (``["--steps", "100", "--trl.learning_rate=1e-5"]``), or values by
            dotted name.

    Raises:
        RecipeError: the file cannot be read, or a setting does not exist or cannot work.
    """
    file = find_recipe(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe '{file}' cannot be read: {error}") from error
    settings = parse_yaml(text, f"the recipe '{file}'")
    if not isinstance(settings, dict):
        raise RecipeError(f"the recipe '{file}' should be a mapping of settings, found {kind_of(settings)}")
    values = overrides if isinstance(overrides, Mapping) else parse_overrides(overrides)
    for key, value in values.items():
        put(settings, key, value)
    return recipe_from_settings(settings)


def recipe_from_settings(settings: Mapping[str, Any]) -> Recipe:
    """A checked recipe from the nested mapping that its YAML file holds.

    Raises:
        RecipeError: a setting does not exist, is missing, or cannot work.
    """
    recipe: Recipe = build(Recipe, settings, _meant_elsewhere)
    check_trl(recipe.stage, recipe.trl)
    return recipe


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the nested mapping that `recipe_from_settings` reads."""
    settings: dict[str, Any] = dataclasses.asdict(recipe)
    settings["output"] = str(recipe.output)
    return settings


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write the recipe, every setting said, as YAML."""
    path.write_text(yaml.safe_dump(settings_of(recipe), sort_keys=False, allow_unicode=True), encoding="utf-8")


def known_settings(section: type = Recipe, prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings, sections left out, in the order of their declaration."""
    hints = get_type_hints(section)
    for name in (item.name for item in dataclasses.fields(section)):
        inner = next((part for part in alternatives(hints[name]) if dataclasses.is_dataclass(part)), None)
        if isinstance(inner, type):
            yield from known_settings(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def _meant_elsewhere(prefix: str, key: str) -> str | None:
    """A setting of this name in another section, or one of TRL's."""
    for name in known_settings():
        if name.rsplit(".", 1)[-1] == key:
            return name
    if not prefix and any(key in trl_fields(stage) for stage in get_args(Stage)):
        return f"trl.{key}"
    return None


def _check_values(recipe: Recipe) -> None:
    """Refuse values that cannot work, whoever builds the recipe."""
    at_least_one = {
        "steps": recipe.steps,
        "save_every": recipe.save_every,
        "keep": recipe.keep,
        "log_every": recipe.log_every,
        "generation.max_new_tokens": recipe.generation.max_new_tokens,
        "data.count": recipe.data.count,
        "data.frame": recipe.data.frame,
        "images.canvas": recipe.images.canvas,
        "images.min_pixels": recipe.images.min_pixels,
        "images.max_pixels": recipe.images.max_pixels,
    }
    for name, value in at_least_one.items():
        if value is not None and value < 1:
            raise RecipeError(f"'{name}' should be at least 1, found {value}")
    if recipe.steps is not None and recipe.epochs is not None:
        raise RecipeError("the recipe says both 'steps' and 'epochs'; leave one of them out or null")
    if recipe.epochs is not None and not recipe.epochs > 0:
        raise RecipeError(f"'epochs' should be above 0, found {recipe.epochs}")
    if not recipe.generation.temperature > 0:
        raise RecipeError(f"'generation.temperature' should be above 0, found {recipe.generation.temperature}")
    if recipe.instruction is not None and "{query}" not in recipe.instruction.user:
        raise RecipeError("'instruction.user' should contain {query}, where the sample's query goes; it does not")
    if recipe.stage == "rl" and not any(recipe.rewards.values()):
        raise RecipeError("a recipe for rl needs 'rewards' with at least one weight that is not 0, found none")
