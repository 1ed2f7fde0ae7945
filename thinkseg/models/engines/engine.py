"""Where a reasoner's text is written, as a caller says it: by transformers here, by vLLM, or by a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from thinkseg.errors import CheckpointError, InputError
from thinkseg.models import loading
from thinkseg.models.checkpoint_config import CheckpointConfig, resolve_config
from thinkseg.models.engines.service import checked_address, is_address
from thinkseg.settings import TEXT_KEYS, Count, Settings

TRANSFORMERS: Final = "transformers"
VLLM: Final = "vllm"
ENGINES = (TRANSFORMERS, VLLM)

_FRAMES_WITHOUT_PROCESSOR = ("relative-1000", "canvas")


class ServerOptions(Settings):
    """How a server is asked."""

    whole: ClassVar[str] = "the options of a server"

    model: str | None = None
    """What the model is called there; null for the checkpoint's own name, where the server has it."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    """Requests that are under way at a time."""
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    """Tries of a request after the first one."""
    timeout: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """Seconds that one try may take."""


class TransformersOptions(Settings):
    """How many prompts transformers reads together."""

    whole: ClassVar[str] = "the options of transformers"

    tokens_per_pass: Count | None = None
    """Tokens of prompts, those of images and padding among them, that the model reads together: of what it is handed
    at a time, many short prompts or few long ones; null for all of it."""


class Engine(Settings):
    """Where text is written, and how it is asked for."""

    whole: ClassVar[str] = "the engine"

    name: Literal["transformers", "vllm"] = TRANSFORMERS
    address: str | None = None
    """Of an OpenAI-style server, with its ``/v1``; it takes the place of an engine here."""
    options: Annotated[dict[str, Any], TEXT_KEYS] = Field(default_factory=dict)
    """`ServerOptions` where there is an address; keyword arguments of `vllm.LLM` for vLLM, `TransformersOptions`."""
    enforce_format: bool = False
    """Whether the engine lets the model write nothing but what the answer format can read."""

    @classmethod
    def chosen(
        cls, reasoner: str | None = None, engine_options: Mapping[str, Any] | None = None, enforce_format: bool = False
    ) -> Engine:
        """The engine that a caller means.

        Args:
            reasoner: ``"transformers"``, ``"vllm"``, or the address of a server; None for the first.
            engine_options: of the engine.
            enforce_format: see above.

        Raises:
            InputError: there is no such engine, an address is none, an option does not exist, or the format cannot be
                enforced.
        """
        kept = dict(engine_options or {})
        if is_address(reasoner):
            address = checked_address(str(reasoner), "a reasoner's server")
            ServerOptions.checked(kept, " of the server")
            return cls(address=address, options=kept, enforce_format=enforce_format)
        name = reasoner or TRANSFORMERS
        if name not in ENGINES:
            raise InputError(
                f"a reasoner's engine is one of {', '.join(ENGINES)}, or the address of a server "
                f"(http://HOST:PORT/v1), found '{name}'"
            )
        engine = cls(name=name, options=kept, enforce_format=enforce_format)  # type: ignore[arg-type]
        if name == TRANSFORMERS:
            if unknown := [key for key in kept if key not in TransformersOptions.model_fields]:
                raise InputError(
                    f"the text is written by transformers, which has no option {', '.join(map(repr, unknown))} (it has "
                    f"{', '.join(TransformersOptions.model_fields)}): leave it out, or say who has it, "
                    "--reasoner-engine vllm or --reasoner and the address of a server"
                )
            TransformersOptions.checked(kept, " of transformers")
        if name == TRANSFORMERS and enforce_format:
            raise InputError(
                "the answer format can be enforced where the engine has structured outputs, and transformers has none: "
                "say --reasoner-engine vllm, or name a server of vLLM or SGLang with --reasoner"
            )
        return engine

    @property
    def here(self) -> bool:
        """Whether transformers writes the text."""
        return self.address is None and self.name == TRANSFORMERS

    def said(self) -> list[str]:
        """The arguments of the public calls in which it was said; none where nothing was."""
        return [] if self == Engine() else ["engine_options"] if self.here else ["reasoner"]

    @property
    def server_options(self) -> ServerOptions:
        """The options, of a server."""
        return ServerOptions.checked(self.options, " of the server")

    @property
    def transformers_options(self) -> TransformersOptions:
        """The options, of transformers."""
        return TransformersOptions.checked(self.options, " of transformers")

    def identity(self) -> dict[str, Any]:
        """What of it tells a result apart, as JSON: empty for transformers; an address may change from day to day."""
        if self.here:
            return {}
        kept: dict[str, Any] = {"engine": self.name if self.address is None else "server"}
        if self.address is not None and self.server_options.model is not None:
            kept["served_model"] = self.server_options.model
        return kept | ({"enforce_format": True} if self.enforce_format else {})

    def source(self, model: str | Path, given: CheckpointConfig) -> str | None:
        """Where the files of a checkpoint are: a folder, or a hub id; None for a served model that needs none.

        Args:
            model: as the caller calls it.
            given: what the caller says about it. Where its frame and its format are said, nothing is looked for on the
                hub.

        Raises:
            CheckpointError: it is no checkpoint, or a folder that is none.
        """
        if self.address is None or Path(model).expanduser().is_dir():
            return loading.locate(model, "reasoner")
        try:
            found = loading.locate(model, "reasoner")
        except CheckpointError:
            return None
        said = given.frame in _FRAMES_WITHOUT_PROCESSOR and given.format is not None
        return None if said and not Path(found).is_dir() else found

    def resolve(self, model: str | Path, given: CheckpointConfig) -> CheckpointConfig:
        """All that is known about how a model is prompted, as `resolve_config` says.

        Raises:
            CheckpointError: as `resolve_config`.
        """
        source = self.source(model, given)
        return resolve_config(model, given, source=source, at_hand=source is not None)


def refuse_overruling(config: CheckpointConfig, engine: Engine) -> None:
    """Refuse settings beside a pipeline that is loaded already, which would go on as it is.

    Args:
        config: what the caller says.
        engine: where the text is to be written.

    Raises:
        InputError: something is said.
    """
    if said := ", ".join(f"'{name}'" for name in [*config.said(), *engine.said()]):
        raise InputError(f"a pipeline is asked as it was loaded: leave out {said}, or give a model's name")
