"""Recipes: everything that a training stage needs, in one YAML file.

A recipe is checked as a whole before anything is loaded: a key that does not exist is refused with the nearest one that
does, and so is a value of the wrong kind. Any setting can be replaced on the command line by its dotted name::

    thinkseg train rl recipes/pocket/rl.yaml --steps 100 --trl.learning_rate 1e-5 --data.tasks.salient 2

`trl` is handed to TRL's `GRPOConfig` (rl) or `SFTConfig` (sft) as it is, after a check that each key exists
there (see `thinkseg.training.trl_settings`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BeforeValidator, ConfigDict, Field

from thinkseg.errors import RecipeError
from thinkseg.extension import is_reference
from thinkseg.models.checkpoint_config import GRABCUT, CheckpointConfig, EncoderKind, MaskChoice
from thinkseg.models.engines.service import is_address
from thinkseg.rewards.published import published_rewards
from thinkseg.settings import NAMES_CODE, TEXT_KEYS, Count, PathText, Seed, kind_of, put
from thinkseg.training.builtin_recipes import find_recipe
from thinkseg.training.parsing import parse_overrides, parse_yaml
from thinkseg.training.sections import (
    MOST_STEPS,
    Data,
    Generation,
    Images,
    InstructionTemplate,
    PolicySettings,
    RecipeSettings,
    Validation,
    Weight,
    own_data,
)
from thinkseg.training.trl_settings import Stage, check_trl, trl_fields
from thinkseg.types import Instruction

SHORT: Mapping[str, str] = {"query": "data.query", "split": "data.split", "encoding": "data.encoding"}
"""Settings that may be said by a short name, as other verbs have it, where they replace a recipe's."""

Weights = dict[Annotated[str, NAMES_CODE], Weight]
PUBLISHED = "published"


def _as_weights(value: object) -> object:
    return {PUBLISHED: 1.0} if value == PUBLISHED else value


AS_WEIGHTS = BeforeValidator(_as_weights, json_schema_input_type=Literal["published"] | Weights)
"""For weights by name, or the word that stands for those of the format's authors."""


def _as_switch(value: object) -> object:
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


AS_SWITCH = BeforeValidator(_as_switch, json_schema_input_type=Literal["auto", "on", "off"] | bool)
"""For on and off, which YAML reads as true and false."""


class Fragment(RecipeSettings):
    """What a recipe says, nothing of which has to be said: enough of one for ``thinkseg score``."""

    stage: Stage | None = None
    """``sft`` (imitate reference answers) or ``rl`` (GRPO with the rewards below)."""
    output: PathText | None = None
    """Folder of the run: ``checkpoint-N`` to resume from, ``final`` to use, ``log.jsonl``, ``recipe.yaml``."""
    model: PolicySettings = Field(default_factory=PolicySettings)
    """The model that is trained."""
    segmenter: Annotated[str, NAMES_CODE] = "pocket"
    """The frozen model in the reward and in `validation`: ``pocket``, ``grabcut``, a folder, a hub id,
    ``FILE.py:NAME`` or the address of a ThinkSeg service; sft needs it for validation alone."""
    segmenter_memory: Annotated[int, Field(ge=0, le=1_000_000)] = 256
    """Megabytes that encodings of the segmenter may take in training where samples come again: of SAM 2 one takes 17,
    of the pocket's 4; 0 keeps none."""
    segmenter_encoder: EncoderKind | None = None
    """How it encodes images: in `float32`, in `bfloat16` (for GPUs; masks differ in a few pixels), `compiled` by
    `torch.compile`, or `compiled bfloat16`; prompts and masks stay in float32. Null is `float32`."""
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
    dead_reward: Count | None = 50
    """rl stops after so many steps in succession in which all completions of each group earned the same, so that
    nothing was learnt; null never stops for it."""
    generation: Generation = Field(default_factory=Generation)
    """How completions are sampled."""
    validation: Validation | None = None
    """Held-out samples to measure the model on while it trains; null for none."""
    thinking: Literal["unlearnt", "own"] = "unlearnt"
    """Of answers without thinking, such as those made from masks, in sft: `unlearnt` leaves it out of what is learnt,
    `own` takes what the model itself thinks where that leads to the right place."""
    shared_prefix: Annotated[Literal["auto", "on", "off"], AS_SWITCH] = "auto"
    """Whether rl computes a prompt once for all of its completions, and sft an image once for all rows of a micro-batch
    about it: `auto` where the model's log-probabilities stay the same, `on` refuses a model where they do not, `off`
    computes it for each."""
    tokens_per_pass: Count | None = None
    """Tokens, prompts counted once, that go through the model together in rl: as many whole groups of a step's
    micro-batches as have room; null for a micro-batch at a time. Changes the memory and the speed, not the numbers."""
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the start's weights in each weight of `final`; the rest is what was trained. It forgets less of what the
    start knew, and has learnt less. As ``thinkseg merge --start-share`` does with any checkpoint."""
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
    profile: bool = False
    """Whether to tell at the end where the seconds of a step went, and to write it to ``profile.json``."""
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
        if self.start_share and self.validation is not None:
            raise RecipeError(
                "'start_share' mixes the final model, and 'validation' measures the trained one: leave out one of "
                "them, or mix the best model afterwards by 'thinkseg merge --start-share'"
            )

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
        if self.generation.enforce_format:
            self._refuse_unenforceable()
        self._refuse_encoder()
        if self.tokens_per_pass is not None and (self.stage != "rl" or self.shared_prefix == "off"):
            raise RecipeError(
                "'tokens_per_pass' packs the groups of rl, with prompts shared: leave it out for sft, and where "
                "'shared_prefix' is off"
            )

    def _refuse_encoder(self) -> None:
        """Refuse another encoder for a segmenter that has none here, which is known by its name."""
        without = "GrabCut" if self.segmenter == GRABCUT else "a service" if is_address(self.segmenter) else None
        loaded = self.stage == "rl" or self.validation is not None
        if without is not None and loaded and self.segmenter_encoder not in (None, "float32"):
            raise RecipeError(
                f"'segmenter' names {without}, which has no encoder that could be told "
                f"'{self.segmenter_encoder}': leave out 'segmenter_encoder', or name a checkpoint of the SAM line"
            )

    def _refuse_unenforceable(self) -> None:
        if self.stage != "rl" or not self.trl.get("use_vllm"):
            raise RecipeError(
                "'generation.enforce_format' needs structured outputs, which vLLM has and transformers has not: say "
                "'trl.use_vllm' in a recipe for rl, or leave it out"
            )
        if self.trl.get("vllm_structured_outputs_regex") is not None:
            raise RecipeError(
                "'generation.enforce_format' makes the regular expression by itself: leave out it or "
                "'trl.vllm_structured_outputs_regex'"
            )

    def _segmenter_of_checkpoint(self) -> str | None:
        """The segmenter that the model's folder is to name; an address is of these machines and this day, and is not.

        Of no meaning for sft; but where the model's folder names code, only the recipe can say that it is wanted.
        """
        if is_address(self.segmenter):
            return None
        return self.segmenter if self.stage == "rl" or is_reference(self.segmenter) else None

    def checkpoint_config(self) -> CheckpointConfig:
        """What the recipe says about how its model is asked; what it leaves open the model's folder says."""
        own = self.instruction
        return CheckpointConfig(
            format=self.format,
            tolerant=self.tolerant,
            instruction=None if own is None else Instruction(own.user, own.system),
            sentences=self.sentences,
            max_new_tokens=self.generation.max_new_tokens,
            segmenter=self._segmenter_of_checkpoint(),
            family=self.model.family,
            frame=self.model.frame,
            canvas=self.images.canvas,
            canvas_filter=self.images.canvas_filter,
            segmenter_canvas=self.images.segmenter_canvas,
            segmenter_encoder=self.segmenter_encoder,
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
    if fragment.trl and find_spec("trl") is not None:  # where it is not installed rewards are read, and nothing trained
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
