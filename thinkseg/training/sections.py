"""The sections of a recipe: what its model, images, data, sampling and validation are. `config` puts them together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from thinkseg.data.discovery.catalog import MAIN, OWN
from thinkseg.errors import InputError, RecipeError
from thinkseg.extension import is_reference
from thinkseg.models.checkpoint_config import CanvasFilter
from thinkseg.settings import NAMES_CODE, TEXT_KEYS, Count, Pixels, Seed, Settings, Side

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
    bits: Literal[4] | None = None
    """4 keeps the layers below the adapters in 4 bits (QLoRA; takes the extra `qlora`); null as `model.dtype` says."""
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
    shuffle: bool | Literal["images"] = True
    """Whether each epoch has an order of its own, drawn from the recipe's seed; ``images`` draws one of the images and
    keeps the samples of each next to one another, false keeps the source's order."""
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


class Generation(RecipeSettings):
    """How completions are sampled during rl, and how long an answer of this model may be."""

    max_new_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Length limit of a completion, in tokens; null for what the model's folder says, or else 512."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Sampling temperature of rollouts, above 0; 1 samples from the model's own distribution."""
    enforce_format: bool = False
    """Whether vLLM lets rollouts be nothing but what the answer format can read. It draws from another distribution
    than the one that is trained."""


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
