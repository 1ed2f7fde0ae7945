"""Recipes: everything that a training stage needs, in one YAML file.

A recipe is checked as a whole before anything is loaded: a key that does not exist is refused with the nearest one that
does, and so is a value of the wrong kind. Any setting can be replaced on the command line by its dotted name::

    thinkseg train rl recipes/pocket/rl.yaml --steps 100 --trl.learning_rate 1e-5 --data.tasks.salient 2

`trl` is handed to TRL's `GRPOConfig` (rl) or `SFTConfig` (sft) as it is, after a check that each key exists
there (see `thinkseg.training.trl_settings`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from thinkseg.data.discovery.catalog import MAIN, OWN
from thinkseg.errors import InputError, RecipeError
from thinkseg.extension import is_reference
from thinkseg.models.checkpoint_config import CanvasFilter, CheckpointConfig, MaskChoice
from thinkseg.rewards.published import published_rewards
from thinkseg.settings import NAMES_CODE, TEXT_KEYS, Count, PathText, Pixels, Seed, Settings, Side, kind_of, put
from thinkseg.training.builtin_recipes import find_recipe
from thinkseg.training.parsing import parse_overrides, parse_yaml
from thinkseg.training.trl_settings import Stage, check_trl, trl_fields
from thinkseg.types import Instruction

MOST_STEPS = 10_000_000
"""More optimiser steps than anybody waits for."""

MOST_ROWS = 100_000_000
"""Rows of a run whose places fit into the memory."""

Weight = Annotated[float, Field(ge=-1000, le=1000)]
"""Weight of a part of the reward; far larger ones leave nothing of the others, and overflow."""


class RecipeSettings(Settings):
    """A section of a recipe."""

    model_config = ConfigDict(allow_inf_nan=False)

    error: ClassVar[type[InputError]] = RecipeError
    whole: ClassVar[str] = "the recipe"


class Lora(RecipeSettings):
    """Low-rank adapters in place of training every weight."""

    r: Annotated[int, Field(ge=1, le=8192)] = 16
    """Rank."""
    alpha: Annotated[int, Field(ge=1, le=1_000_000)] = 32
    """Scale of the update: alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of an adapter's inputs that is dropped, from 0 to below 1."""
    target_modules: str | None = None
    """Regular expression over the names of the modules that get an adapter; null for its family's."""

    @field_validator("target_modules")
    @classmethod
    def _can_match(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"should be a regular expression, found {pattern!r}: {error}") from error
        if pattern == "":
            raise ValueError("should name modules or be null, found an empty text")
        return pattern


class PolicySettings(RecipeSettings):
    """The model that is trained."""

    path: str = "pocket"
    """``pocket``, a checkpoint folder (such as the ``final`` of an earlier stage), or a hub id."""
    dtype: str = "auto"
    """dtype of the weights: ``auto`` (the checkpoint's on a GPU, float32 on a CPU), float32, bfloat16 or float16."""
    family: Annotated[str, NAMES_CODE] | None = None
    """The kind of model that it is, a name in `thinkseg.models.families` or ``FILE.py:NAME``; null for its config's."""
    frame: Annotated[str, NAMES_CODE] | None = None
    """How its coordinates are measured, a rule of `thinkseg.models.frames`; null for its family's."""
    lora: Lora | None = None
    """Adapters to train; null trains every weight."""
    freeze_vision: bool = False
    """Leave the vision tower as it is, and train what reads it: less work a step, and nothing that it knows is lost."""
    new_tokens: Annotated[dict[str, str], TEXT_KEYS] | None = None
    """Texts that become one token each, and for each the text whose weights it begins with; for small vocabularies."""


class InstructionTemplate(RecipeSettings):
    """What the model is asked, in words of your own (such as those of a published model's card)."""

    user: str
    """The user's text after the image; ``{query}`` stands for the sample's query and must occur."""
    system: str | None = None
    """The system message; null for none. ``{query}`` may occur here too."""

    @field_validator("user")
    @classmethod
    def _has_a_place_for_the_query(cls, user: str) -> str:
        if "{query}" not in user:
            raise ValueError("should contain {query}, where the sample's query goes; it does not")
        return user


class Images(RecipeSettings):
    """How large the model sees images. The segmenter sees them as they are, unless it is given a square of its own."""

    min_pixels: Pixels | None = None
    """Images are enlarged to at least this many pixels in all; null leaves the processor's own limit."""
    max_pixels: Pixels | None = None
    """Images are shrunk to at most this many pixels in all; null leaves the processor's own limit."""
    canvas: Side | None = None
    """Images are stretched to a square of this many pixels a side first; null keeps their shape."""
    canvas_filter: CanvasFilter | None = None
    """The filter that stretches them; null for `bicubic`."""
    segmenter_canvas: Side | None = None
    """Pixels a side of the square that the segmenter is shown in place of the image; null shows it the image."""

    def model_post_init(self, context: Any) -> None:
        """Refuse limits that no image keeps."""
        if self.min_pixels is not None and self.max_pixels is not None and self.min_pixels > self.max_pixels:
            raise RecipeError(
                "'images.min_pixels' should be at most 'images.max_pixels', found "
                f"{self.min_pixels} and {self.max_pixels}"
            )


class Data(RecipeSettings):
    """The samples to train on; a path alone stands for data of the user's own, whatever kind they are."""

    source: Annotated[str, NAMES_CODE] = "scenes"
    """A name in `thinkseg.training.sources.SOURCES`, or code of your own (`thinkseg.data.source`)."""
    split: str = "train"
    """Which part of the source."""
    tasks: Annotated[dict[str, Annotated[float, Field(ge=0, le=1_000_000)]], TEXT_KEYS] | None = None
    """Scenes: how often each task comes, as weights; null for the usual mixture."""
    count: Annotated[int, Field(ge=1, le=MOST_ROWS)] | None = None
    """How many samples make an epoch: scenes to compose, or the first so many of what is read; null for all."""
    shuffle: bool = True
    """Whether each epoch has an order of its own, drawn from the recipe's seed; false keeps the source's order."""
    seed: Seed = 0
    """Scenes: other seeds give other scenes."""
    size: Side | None = None
    """Scenes: side of a scene in pixels; null for the usual one."""
    name: str | None = None
    """Data sets: a name in `catalog.DATA_SETS`, or several with commas between; their words are asked."""
    root: str | None = None
    """Data sets: the folder that they lie in or below; for `own` also a table, or a file of rows."""
    annotations: str | None = None
    """Data sets, `own`: a file of COCO instances, from the root on."""
    rows: str | None = None
    """Worked: a file of worked answers (Parquet or JSONL), or a folder of such files."""
    frame: Count | None = None
    """Worked: side in pixels of the square in which the answers are measured; null for each image's own pixels."""
    encoding: str = ""
    """Data sets and worked answers: of tables and JSON, such as ``gbk``; empty for UTF-8, or as a file is marked."""
    images: str | None = None
    """Folders: the folder of images; for `own` from the root on."""
    masks: str | None = None
    """Folders: the folder of masks, paired with the images by name without suffix; for `own` from the root on."""
    query: str = MAIN
    """Folders, and `own` without words: what is asked of every image."""
    task: str = ""
    """Folders: the kind of request, for reports."""
    options: Annotated[dict[str, Any], TEXT_KEYS] = Field(default_factory=dict)
    """Code of your own: its keyword arguments."""

    @model_validator(mode="before")
    @classmethod
    def _of_a_path(cls, values: object) -> object:
        """Let a path stand for the data of the user's own that lie there."""
        return own_data(values) if isinstance(values, str | Path) else values


def own_data(place: str | Path) -> dict[str, Any]:
    """The section of a recipe for data of the user's own: a table, folders, rows, or their code (``FILE.py:NAME``)."""
    if is_reference(str(place)):
        return {"source": str(place)}
    return {"source": "dataset", "name": OWN, "root": str(place)}


SHORT: Mapping[str, str] = {"query": "data.query", "split": "data.split", "encoding": "data.encoding"}
"""Settings that may be said by a short name, as other verbs have it, where they replace a recipe's."""


class Generation(RecipeSettings):
    """How completions are sampled during rl, and how long an answer of this model may be."""

    max_new_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Length limit of a completion, in tokens; null for what the model's folder says, or else 512."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Sampling temperature of rollouts, above 0; 1 samples from the model's own distribution."""


class Validation(RecipeSettings):
    """Held-out samples on which the model is measured while it trains, from image to mask, by mean IoU.

    They come from `data`, from another part of the source (`split`), or are split off by image (`share`); one of the
    three at most. Where none is said, scenes are validated on other scenes, and other data by a share of 0.1.
    """

    every: Count = 50
    """Steps between two validations; there is one before the first step and one after the last, too."""
    samples: Count = 64
    """How many samples at most, spread evenly over all that are held out; the same ones every time."""
    data: Data | None = None
    """A source of its own, as `data` of the recipe."""
    split: str | None = None
    """Another part of the source that is trained on, such as ``val``."""
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the images, each with all of its samples, that is taken out of the training, above 0 and below 1."""
    seed: Seed = 0
    """Which images `share` takes; of scenes, which other ones they are."""
    shown: Annotated[int, Field(ge=0, le=64)] = 8
    """How many of the samples are drawn each time, with thinking, box, points and mask; spread evenly over them."""
    best: bool = True
    """Whether the model of the highest mean IoU so far is kept in the folder ``best``."""
    patience: Count | None = None
    """After so many validations in succession that bring no higher mean IoU, training stops; null for never."""
    batch_size: Count = 16
    """How many samples are answered at a time; changes the memory and the speed, not the numbers."""

    def model_post_init(self, context: Any) -> None:
        """Refuse two sources at once."""
        said = [name for name in ("data", "split", "share") if getattr(self, name) is not None]
        if len(said) > 1:
            raise RecipeError(
                f"the held-out samples come from one of 'validation.data', 'validation.split' and 'validation.share'; "
                f"found '{said[0]}' and '{said[1]}'"
            )


Weights = dict[Annotated[str, NAMES_CODE], Weight]
PUBLISHED = "published"


def _as_weights(value: object) -> object:
    return {PUBLISHED: 1.0} if value == PUBLISHED else value


AS_WEIGHTS = BeforeValidator(_as_weights, json_schema_input_type=Literal["published"] | Weights)
"""For weights by name, or the word that stands for those of the format's authors."""


class Fragment(RecipeSettings):
    """What a recipe says, nothing of which has to be said: enough of one for ``thinkseg score``."""

    stage: Stage | None = None
    """``sft`` (imitate reference answers) or ``rl`` (GRPO with the rewards below)."""
    output: PathText | None = None
    """Folder of the run: ``checkpoint-N`` to resume from, ``final`` to use, ``log.jsonl``, ``recipe.yaml``."""
    model: PolicySettings = Field(default_factory=PolicySettings)
    """The model that is trained."""
    segmenter: Annotated[str, NAMES_CODE] = "pocket"
    """The frozen model in the reward and in `validation`: ``pocket``, ``grabcut``, a folder, a hub id or
    ``FILE.py:NAME``; sft needs it for validation alone."""
    masks: MaskChoice | None = None
    """What of it is taken for an object: its `single` mask or the `best of three`; null for what its folder says,
    or else `single`."""
    format: Annotated[str, NAMES_CODE] | None = None
    """The answer format, by name or your own; null for the one that the model's folder names."""
    tolerant: bool | None = None
    """Whether answers in JSON are read as models that were never tuned write them, too: in a code fence, among words,
    without points; null for what the model's folder says, or else no."""
    instruction: InstructionTemplate | None = None
    """What the model is asked; null for what its folder says, or else for the format's own words."""
    sentences: str | None = None
    """A published instruction that `thinkseg instruction` has fetched, such as ``seg-r1/rl``; null for the folder's."""
    stripped: str | None = None
    """Queries are put in lower case and lose these characters at their ends; null for what the model's folder says."""
    images: Images = Field(default_factory=Images)
    """How large the model sees images."""
    data: Data = Field(default_factory=Data)
    """The samples to train on."""
    rewards: Annotated[Weights, AS_WEIGHTS, TEXT_KEYS] = Field(default_factory=dict)
    """Weight of each part of the reward, by its name in `thinkseg.rewards` or your own; rl needs at least one.
    ``published`` stands for those of the format's authors, with exactly the values of their functions."""
    generation: Generation = Field(default_factory=Generation)
    """How completions are sampled."""
    validation: Validation | None = None
    """Held-out samples to measure the model on while it trains; null for none."""
    thinking: Literal["unlearnt", "own"] = "unlearnt"
    """Of answers without thinking, such as those made from masks, in sft: `unlearnt` leaves it out of what is learnt,
    `own` takes what the model itself thinks where that leads to the right place."""
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] | None = None
    """Optimiser steps in all; null to count epochs instead."""
    epochs: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Passes over the samples; null for one, or when `steps` is given."""
    save_every: Count | None = None
    """Steps between checkpoints to resume from; null for one at the end only."""
    keep: Count = 2
    """How many checkpoints stay on disk, the newest ones."""
    log_every: Count = 1
    """Steps between two lines of the run log."""
    seed: Seed = 0
    """Of everything drawn at random."""
    device: Literal["auto", "cpu"] = "auto"
    """``auto`` takes a GPU where there is one."""
    trl: Annotated[dict[str, Any], TEXT_KEYS] = Field(default_factory=dict)
    """Settings for TRL's own configuration, by their names there."""

    def model_post_init(self, context: Any) -> None:
        """Refuse settings that contradict each other."""
        if self.steps is not None and self.epochs is not None:
            raise RecipeError("the recipe says both 'steps' and 'epochs'; leave one of them out or null")

    @property
    def rubric_weights(self) -> Mapping[str, float] | Literal["published"]:
        """The rewards as a `Rubric` takes them."""
        return "published" if set(self.rewards) == {PUBLISHED} else self.rewards

    @property
    def reward_weights(self) -> Mapping[str, float]:
        """Weight of each part of the reward.

        Raises:
            RecipeError: the published rewards are asked for, and no format that has some is named.
        """
        if self.rubric_weights != "published":
            return self.rewards
        if self.format is None:
            raise RecipeError("'rewards: published' goes by the answer format: say 'format', too, such as seg-zero")
        return published_rewards(self.format).weights

    @classmethod
    def meant_elsewhere(cls, prefix: str, key: str) -> str | None:
        """A setting of this name in another section, or one of TRL's."""
        if (name := super().meant_elsewhere(prefix, key)) is not None:
            return name
        return f"trl.{key}" if not prefix and any(key in trl_fields(stage) for stage in get_args(Stage)) else None


class Recipe(Fragment):
    """One training stage."""

    model_config = ConfigDict(title="ThinkSeg recipe")

    stage: Stage
    """``sft`` (imitate reference answers) or ``rl`` (GRPO with the rewards below)."""
    output: PathText
    """Folder of the run: ``checkpoint-N`` to resume from, ``final`` to use, ``log.jsonl``, ``recipe.yaml``."""

    def model_post_init(self, context: Any) -> None:
        """Refuse settings that contradict each other, or a stage that has nothing to go by."""
        super().model_post_init(context)
        if self.stage == "rl" and not any(self.reward_weights.values()):
            raise RecipeError("a recipe for rl needs 'rewards' with at least one weight that is not 0, found none")

    def checkpoint_config(self) -> CheckpointConfig:
        """What the recipe says about how its model is asked; what it leaves open the model's folder says."""
        own = self.instruction
        return CheckpointConfig(
            format=self.format,
            tolerant=self.tolerant,
            instruction=None if own is None else Instruction(own.user, own.system),
            sentences=self.sentences,
            max_new_tokens=self.generation.max_new_tokens,
            # Of no meaning for sft; but where the model's folder names code, only the recipe can say that it is wanted.
            segmenter=self.segmenter if self.stage == "rl" or is_reference(self.segmenter) else None,
            family=self.model.family,
            frame=self.model.frame,
            canvas=self.images.canvas,
            canvas_filter=self.images.canvas_filter,
            segmenter_canvas=self.images.segmenter_canvas,
            masks=self.masks,
            stripped=self.stripped,
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
    settings = _read_settings(path)
    _put_all(settings, overrides if isinstance(overrides, Mapping) else parse_overrides(overrides))
    return recipe_from_settings(settings)


def replace_settings(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """A recipe with some settings replaced, by their dotted names, checked again.

    Raises:
        RecipeError: a setting does not exist or cannot work.
    """
    settings = settings_of(recipe)
    _put_all(settings, overrides)
    return recipe_from_settings(settings)


def _put_all(settings: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Put values in the place of a recipe's; data as a whole first, since other ones may replace a part of them."""
    for name in sorted(values, key=lambda name: name != "data"):
        value = values[name]
        if name == "data" and isinstance(value, str | Path):
            value = own_data(value)
        put(settings, Recipe, SHORT.get(name, name), value)


def load_fragment(path: Path | str) -> Fragment:
    """Read what a recipe says, whether or not it is enough to train by, with the same checks.

    Raises:
        RecipeError: as `load_recipe`.
    """
    fragment = Fragment.checked(_read_settings(path))
    if fragment.trl:
        check_trl(fragment.stage or "rl", fragment.trl, whole=False)
    return fragment


def recipe_from_settings(settings: Mapping[str, Any]) -> Recipe:
    """A checked recipe from the nested mapping that its YAML file holds.

    Raises:
        RecipeError: a setting does not exist, is missing, or cannot work.
    """
    recipe = Recipe.checked(settings)
    check_trl(recipe.stage, recipe.trl)
    return recipe


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the nested mapping that `recipe_from_settings` reads."""
    return {**recipe.model_dump(), "output": str(recipe.output)}


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write the recipe, every setting said, as YAML."""
    path.write_text(recipe_text(recipe), encoding="utf-8")


def recipe_text(recipe: Recipe) -> str:
    """The recipe as YAML, every setting said."""
    text: str = yaml.safe_dump(settings_of(recipe), sort_keys=False, allow_unicode=True)
    return text


def _read_settings(path: Path | str) -> dict[str, Any]:
    """The mapping that a recipe's file holds, unchecked."""
    file = find_recipe(path)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"the recipe '{file}' should be text in UTF-8 and is not: is it a recipe?") from error
    except OSError as error:
        raise RecipeError(f"the recipe '{file}' cannot be read ({error.strerror or error})") from error
    settings = parse_yaml(text, f"the recipe '{file}'")
    if not isinstance(settings, dict):
        raise RecipeError(f"the recipe '{file}' should be a mapping of settings, found {kind_of(settings)}")
    return settings
