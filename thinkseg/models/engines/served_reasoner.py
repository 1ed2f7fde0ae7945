"""A reasoner behind an address: any server that speaks OpenAI's chat completions, vLLM, SGLang and hosted ones.

>>> reasoner = load_served_reasoner(model, source, config, engine)  # doctest: +SKIP

Images are sent as PNG at the size that the model's processor makes of them, so that the server's leaves them as
they are and coordinates are in a known frame; what a server of vLLM counts of a prompt is held against that. A request
that fails for good is a completion that says so. The key is that of OPENAI_API_KEY.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from thinkseg import stopwatch
from thinkseg.answers.patterns import AnswerPattern
from thinkseg.errors import InputError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.engines.engine import Engine
from thinkseg.models.engines.images import data_url
from thinkseg.models.engines.service import JsonService, Patience, ServiceError, key_from
from thinkseg.models.engines.sight import ProcessorSight, RuleSight, Sight
from thinkseg.models.reasoner import DEFAULT_MAX_NEW_TOKENS
from thinkseg.models.reasoner_loading import describe_reasoner
from thinkseg.types import Completion, FinishReason, Request, Size

KEY = "OPENAI_API_KEY"
"""The environment variable of the key."""

NEVER = -100.0
"""The lowest bias of a token: it loses a factor of e^100."""

_UNDERSTAND_MORE = ("vllm", "sglang")
"""Servers that take more settings than OpenAI's, by what they say owns their models."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of a server."""

    name: str
    """What it is called there."""
    server: str = ""
    """Which program serves it, ``"vllm"`` or ``"sglang"``; empty where it does not say."""


class ServedReasoner:
    """A `Reasoner` that asks a server.

    Args:
        service: at the server's address.
        model: which of its models.
        sight: how images reach it.
        max_new_tokens: the length limit of a completion, in tokens.
        concurrency: requests that are under way at a time.
        pattern: what it may write, where the format is enforced.
    """

    def __init__(
        self,
        service: JsonService,
        model: ServedModel,
        sight: Sight,
        *,
        max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
        concurrency: int = 8,
        pattern: AnswerPattern | None = None,
    ) -> None:
        if pattern is not None and not model.server:
            raise InputError(
                f"the answer format can be enforced by a server of vLLM or SGLang, and {service.address} does not say "
                "that it is one: leave out --enforce-format"
            )
        self.service = service
        self.model = model
        self.sight = sight
        self.max_new_tokens = max_new_tokens
        self.concurrency = concurrency
        self.pattern = pattern
        self._counted: set[tuple[int, int]] = set()

    def asked_as(self, config: CheckpointConfig) -> ServedReasoner:
        """The same model asked in another way: by another frame rule, canvas, length and decoding."""
        other = copy.copy(self)
        other.sight = self.sight.asked_as(config)
        other.max_new_tokens = config.max_new_tokens or DEFAULT_MAX_NEW_TOKENS
        other._counted = set()
        return other

    def frame_of(self, image: Image.Image) -> Size:
        """The frame in which the model's text gives coordinates of this image."""
        return self.sight.frame_of(image)

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order; greedy, or as the checkpoint's settings say.

        Raises:
            InputError: an image or a query cannot be asked about, or the server reads images at another size.
            ServiceError: the server is gone.
        """
        return [completions[0] for completions in self._complete(requests, 1, self.sight.decoding())]

    def sample(
        self, requests: Sequence[Request], count: int = 1, *, temperature: float = 1.0, top_p: float = 1.0
    ) -> list[list[Completion]]:
        """Several completions per request, in order; as `TransformersReasoner.sample`."""
        if temperature == 0.0 and count > 1:
            raise InputError(f"greedy decoding gives one completion per request, {count} were asked for")
        plain = {"temperature": temperature, "top_p": top_p, "top_k": -1, "repetition_penalty": 1.0}
        return self._complete(requests, count, plain)

    def _complete(self, requests: Sequence[Request], count: int, decoding: Mapping[str, Any]) -> list[list[Completion]]:
        if not requests:
            return []
        images = {id(request.image): request.image for request in requests}
        shown = {key: self.sight.shown(image) for key, image in images.items()}
        opened = [self.sight.opened(request.instruction) for request in requests]
        urls: dict[int, str] = {}

        def ask(number: int) -> list[Completion] | ServiceError:
            request = requests[number]
            key = id(request.image)
            urls[key] = url = urls.get(key) or data_url(shown[key])
            body = self._body(request, url, opened[number], count, decoding)
            try:
                told = self.service.post("/chat/completions", body)
            except ServiceError as error:
                return error
            self._check_size(told, shown[key], request)
            return self._completions(told, opened[number], count)

        answered = _each(ask, len(requests), self.concurrency)
        self._see_that_it_lives(answered)
        return [_failed(each, count) if isinstance(each, ServiceError) else each for each in answered]

    def _body(self, request: Request, url: str, opened: str, count: int, decoding: Mapping[str, Any]) -> dict[str, Any]:
        """What is posted: the messages in the order that training has them, system if any, then image, then text."""
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": request.instruction.user}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if request.instruction.system is not None:
            messages.insert(0, {"role": "system", "content": request.instruction.system})
        drawn = dict(decoding)
        if not self.model.server:  # OpenAI's own refuses settings that it does not know
            drawn = {name: value for name, value in drawn.items() if name in ("temperature", "top_p", "seed")}
        body = {"model": self.model.name, "messages": messages, "max_tokens": self.max_new_tokens, **drawn}
        if count > 1:
            body["n"] = count
        if not self.model.server:
            return body
        body |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}
        if never := self.sight.never_written():
            body["logit_bias"] = {str(token): NEVER for token in sorted(never)}
        if self.pattern is not None:
            regex = self.pattern.after(opened)
            body |= {"structured_outputs": {"regex": regex}} if self.model.server == "vllm" else {"regex": regex}
        return body

    def _check_size(self, told: Any, shown: Image.Image, request: Request) -> None:
        """Hold the tokens of a prompt against what they are by the processor here, once a size of images.

        Raises:
            InputError: the server makes another size of an image, so that coordinates would be in another frame.
        """
        if self.model.server != "vllm" or shown.size in self._counted:
            return
        usage = told.get("usage") if isinstance(told, Mapping) else None
        counted = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
        expected = None if counted is None else self.sight.tokens_of(shown, request.instruction)
        if expected is None:
            return
        if counted != expected:
            raise InputError(
                f"the server at {self.service.address} makes {counted} tokens of a prompt that has {expected} by the "
                f"processor of --model, for an image of {shown.width}×{shown.height}: it serves another model, or "
                "resizes images otherwise, so that coordinates would mean other places; name the checkpoint that it "
                "serves, with the same limits of pixels"
            )
        self._counted.add(shown.size)

    def _completions(self, told: Any, opened: str, count: int) -> list[Completion] | ServiceError:
        """The completions of an answer."""
        try:
            choices = told["choices"]
            if len(choices) < count:
                raise ValueError(f"{len(choices)} choices, expected {count}")
            found = [_completion(choice, opened) for choice in choices[:count]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return ServiceError(
                f"{self.service.address}/chat/completions does not answer as OpenAI's does: "
                f"{type(error).__name__}: {error}"
            )
        usage = told.get("usage")
        tokens = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
        if isinstance(tokens, int):
            stopwatch.count("tokens", tokens)
        return found

    def _see_that_it_lives(self, answered: Sequence[list[Completion] | ServiceError]) -> None:
        """Where a whole batch could not reach the server, see whether it is gone: then the work ends.

        Raises:
            ServiceError: it is.
        """
        if any(not isinstance(each, ServiceError) or each.reached for each in answered):
            return
        try:
            self.service.get("/models", retries=0)
        except ServiceError as error:
            if not error.reached:
                raise ServiceError(
                    f"the server of the reasoner is gone: {error}; start it, and the same command goes on from here",
                    reached=False,
                ) from error


def _each(
    ask: Callable[[int], list[Completion] | ServiceError], count: int, concurrency: int
) -> list[list[Completion] | ServiceError]:
    """Every request's answer, in order; what one raises ends all that have not begun."""
    with ThreadPoolExecutor(min(concurrency, count)) as pool:
        asked = [pool.submit(ask, number) for number in range(count)]
        try:
            return [each.result() for each in asked]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _failed(error: ServiceError, count: int) -> list[Completion]:
    return [Completion("", failure=str(error))] * count


def _completion(choice: Mapping[str, Any], opened: str) -> Completion:
    """One choice of an answer; thinking that the server has taken out of the text is put before it again."""
    message = choice["message"]
    text, reason = _text(message.get("content")), choice.get("finish_reason")
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and thought:
        text = f"<think>{thought}</think>{text}"
    elif reason == "content_filter" or (not text and message.get("refusal")):
        return Completion("", failure="the server refused to write an answer (content filter)")
    else:
        text = opened + text
    return Completion(text, FinishReason.LENGTH if reason == "length" else FinishReason.STOP)


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part.get("type") == "text")


def load_served_reasoner(
    model: str | Path,
    source: str | None,
    config: CheckpointConfig,
    engine: Engine,
    pattern: AnswerPattern | None = None,
) -> ServedReasoner:
    """The reasoner of a server.

    Args:
        model: the checkpoint that it serves, as `load_pipeline` takes it, or what the model is called there.
        source: where the checkpoint's files are, as `Engine.source` gives it.
        config: how it is asked, all of it, as `Engine.resolve` gives it.
        engine: with the server's address.
        pattern: what it may write, where the format is enforced.

    Raises:
        InputError: nothing answers there, the key is refused, it has not this model, or its frame is not known.
    """
    assert engine.address is not None
    options = engine.server_options
    sight: Sight = (
        RuleSight.of(config, str(model)) if source is None else ProcessorSight(describe_reasoner(source, config))
    )
    patience = Patience(timeout=options.timeout, retries=options.retries)
    service = JsonService(engine.address, key_from(KEY), patience)
    return ServedReasoner(
        service,
        _served_model(service, str(model), source, options.model),
        sight,
        max_new_tokens=config.max_new_tokens or DEFAULT_MAX_NEW_TOKENS,
        concurrency=options.concurrency,
        pattern=pattern,
    )


def _served_model(service: JsonService, model: str, source: str | None, wanted: str | None) -> ServedModel:
    """Which of the server's models is meant: the one that is named, or the one that is called as the checkpoint."""
    try:
        told = service.get("/models", retries=min(2, service.patience.retries))
        entries = {str(entry["id"]): str(entry.get("owned_by", "")) for entry in told["data"]}
    except ServiceError as error:
        if error.status == 404:  # some have chat completions alone
            return ServedModel(wanted or model)
        hint = f"; the key is read from {KEY}" if error.status in (401, 403) else ""
        raise InputError(f"the server of the reasoner cannot be used: {error}{hint}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{service.address}/models lists no models: expected the address of an OpenAI-style server, which mostly "
            "ends in /v1"
        ) from error
    names = (
        [wanted] if wanted is not None else [model, *([] if source is None else [source, str(Path(source).resolve())])]
    )
    name = next((name for name in names if name in entries), None)
    if name is None:
        raise InputError(
            f"the server at {service.address} has no model '{wanted or model}', it has "
            f"{', '.join(map(repr, entries)) or 'none'}: name the checkpoint that it serves with --model, and what it "
            "is called there with --engine-option model=NAME"
        )
    server = entries[name].lower()
    return ServedModel(name, server if server in _UNDERSTAND_MORE else "")
