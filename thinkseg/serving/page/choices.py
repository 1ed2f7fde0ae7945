"""The models that a page was given, of which its visitors choose: reasoners, segmenters, answer formats.

Each is loaded when it is asked for the first time, and kept.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from thinkseg.answers import get_format
from thinkseg.errors import InputError
from thinkseg.models.published.wording import Wording

if TYPE_CHECKING:
    from thinkseg.models.base import Segmenter
    from thinkseg.models.pipeline import Pipeline

ITS_OWN = "the model's own"
"""The segmenter or the format that a model was trained with."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which models are to answer."""

    model: str
    segmenter: str = ITS_OWN
    format: str = ITS_OWN


@dataclass(frozen=True, slots=True)
class Offered:
    """A reasoner with its segmenter, not loaded yet."""

    load: Callable[[], Pipeline]
    identity: Mapping[str, Any] | None = None
    """What records say about it, if anything."""


@dataclass
class Choices:
    """What can be chosen; the first model, and what belongs to it, is chosen where nothing is said."""

    models: Mapping[str, Offered]
    """By name; at least one."""
    segmenters: Mapping[str, Callable[[], Segmenter]] = field(default_factory=dict)
    """By name, besides each model's own."""
    formats: tuple[str, ...] = ()
    """Names of answer formats, besides each model's own."""
    _loaded: dict[tuple[str, str], Any] = field(default_factory=dict, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    @classmethod
    def of(cls, pipeline: Pipeline, name: str = "model", identity: Mapping[str, Any] | None = None) -> Choices:
        """One pipeline, and no choice."""
        choices = cls({name: Offered(lambda: pipeline, identity)})
        choices.pipeline(choices.first)
        return choices

    @property
    def first(self) -> Chosen:
        """What is chosen where nothing is said."""
        return Chosen(next(iter(self.models)))

    @property
    def segmenter_names(self) -> list[str]:
        """What a segmenter can be called."""
        return [ITS_OWN, *self.segmenters]

    @property
    def format_names(self) -> list[str]:
        """What a format can be called."""
        return [ITS_OWN, *self.formats]

    def is_loaded(self, choice: Chosen) -> bool:
        """Whether the models of a choice need not be loaded any more."""
        wanted = {("model", choice.model), ("segmenter", choice.segmenter)} - {("segmenter", ITS_OWN)}
        return wanted <= self._loaded.keys()

    def named(self, model: str = "", segmenter: str = "", format: str = "") -> Chosen:
        """The choice of these names; an empty one is the first.

        Raises:
            InputError: one is not among those that can be chosen.
        """
        choice = Chosen(model or self.first.model, segmenter or ITS_OWN, format or ITS_OWN)
        for what, name, known in (
            ("model", choice.model, list(self.models)),
            ("segmenter", choice.segmenter, self.segmenter_names),
            ("format", choice.format, self.format_names),
        ):
            if name not in known:
                raise InputError(f"there is no {what} '{name}' here: choose {', '.join(known)}")
        return choice

    def pipeline(self, choice: Chosen) -> Pipeline:
        """The models of a choice, loaded if they are not yet.

        Raises:
            InputError, CheckpointError: they cannot be chosen, or cannot be loaded.
        """
        choice = self.named(choice.model, choice.segmenter, choice.format)
        pipeline: Pipeline = self._once("model", choice.model, self.models[choice.model].load)
        if choice.segmenter != ITS_OWN:
            from thinkseg.models.prompting import prompted

            segmenter = self._once("segmenter", choice.segmenter, self.segmenters[choice.segmenter])
            pipeline = dataclasses.replace(pipeline, segmenter=prompted(segmenter, pipeline.config))
        if choice.format != ITS_OWN:
            answer_format = get_format(choice.format)
            pipeline = dataclasses.replace(pipeline, answer_format=answer_format, wording=Wording(answer_format))
        return pipeline

    def identity(self, choice: Chosen) -> dict[str, Any] | None:
        """What records say about the models of a choice, if anything."""
        known = self.models[choice.model].identity
        chosen = {name: value for name, value in dataclasses.asdict(choice).items() if value != ITS_OWN}
        if known is None and len(self.models) == len(chosen) == 1:
            return None
        return {**(known or {"name": choice.model}), **_said(chosen)}

    def _once(self, kind: str, name: str, load: Callable[[], Any]) -> Any:
        with self._turn:
            if (kind, name) not in self._loaded:
                self._loaded[kind, name] = load()
            return self._loaded[kind, name]


def _said(chosen: Mapping[str, str]) -> dict[str, str]:
    """What of a choice takes the place of what is said of its model."""
    said = {name: value for name, value in chosen.items() if name != "model"}
    return {**said, **({"segmenter_revision": ""} if "segmenter" in said else {})}


def segmenters_named(names: list[str], device: str) -> dict[str, Callable[[], Segmenter]]:
    """Segmenters by their names, each to be loaded when it is asked for."""

    def load(name: str) -> Segmenter:
        from thinkseg.models.segmenter import load_segmenter

        return load_segmenter(name, device)

    return {name: partial(load, name) for name in names}
