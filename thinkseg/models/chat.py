"""A checkpoint's chat template, which is a program of whoever wrote the checkpoint: it is bounded and may fail.

transformers renders templates in Jinja's sandbox, so that they reach nothing. What is left are templates that do not
come to an end, such that ask for all memory there is, if need be in one call, and such that stop with whatever error
they like; here all of them end in one sentence. Memory is bounded where the system can do so, which is on Linux.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from thinkseg.errors import CheckpointError

MOST_SECONDS = 5.0
"""Processor time that a template may take; those of published models take a thousandth of one second."""

MOST_BYTES = 1 << 30
"""Memory that a template may take; those of published models take less than a thousandth of it."""

_LOOK_EVERY = 16
"""Lines of a template's code between two looks at the clock."""

_ONE_AT_A_TIME = threading.Lock()
"""The bound on memory is one of the whole process."""


class _TooLongError(Exception):
    pass


def use_tokenizers_template(processor: Any) -> None:
    """Give a processor without a chat template that of its tokenizer: older checkpoints have it only there."""
    if not processor.chat_template:
        processor.chat_template = processor.tokenizer.chat_template


def render_chat(
    processor: Any,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = False,
    most_seconds: float = MOST_SECONDS,
) -> str:
    """The messages in the model's chat layout.

    Args:
        processor: with the template.
        messages: of the chat.
        add_generation_prompt: whether the model's turn is opened at the end.
        most_seconds: processor time that it may take.

    Raises:
        CheckpointError: there is no template, it fails, it does not come to an end, asks for more memory than
            `MOST_BYTES`, or has no place for the image.
    """
    if not processor.chat_template:
        raise CheckpointError("this checkpoint has no chat template, so it cannot be prompted: add chat_template.jinja")
    template = processor.chat_template
    if isinstance(template, str) and _has_powers(template):  # one of them may take hours, in which nothing can stop it
        raise CheckpointError(
            "the chat template of this checkpoint raises numbers to powers (**), which no template needs: use the "
            "template of the model that it was trained from"
        )
    try:
        with _ONE_AT_A_TIME, _memory_bounded(MOST_BYTES), _bounded(most_seconds):
            text = processor.apply_chat_template(
                list(messages), add_generation_prompt=add_generation_prompt, tokenize=False
            )
    except _TooLongError as error:
        raise CheckpointError(
            f"the chat template of this checkpoint has not come to an end in {most_seconds:g} seconds: it loops; use "
            "the template of the model that it was trained from"
        ) from error
    except MemoryError as error:
        raise CheckpointError(
            f"the chat template of this checkpoint asks for more than {MOST_BYTES:,} bytes of memory: use the template "
            "of the model that it was trained from"
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"the chat template of this checkpoint fails ({type(error).__name__}: {reason}): use the template of the "
            "model that it was trained from"
        ) from error
    token = getattr(processor, "image_token", None)
    if isinstance(token, str) and _asks_for_image(messages) and token not in text:
        raise CheckpointError(
            f"the chat template of this checkpoint has no place for an image ({token} is not in what it writes): it is "
            "for text alone; use the template of the model that it was trained from"
        )
    return str(text)


def _asks_for_image(messages: Sequence[Mapping[str, Any]]) -> bool:
    parts = [part for message in messages for part in message["content"] if isinstance(part, Mapping)]
    return any(part.get("type") == "image" for part in parts)


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Stop Python code that takes longer: in any thread, and without leaving one behind that goes on."""
    ends = time.thread_time() + seconds
    lines = 0

    def trace(frame: Any, event: str, _argument: Any) -> Callable[..., Any]:
        nonlocal lines
        lines += 1
        if lines % _LOOK_EVERY == 0 and time.thread_time() > ends:
            raise _TooLongError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def _memory_bounded(most: int) -> Iterator[None]:
    """While this is open the process cannot grow by more bytes: an allocation that would is a MemoryError."""
    pages = Path("/proc/self/statm")
    if not pages.is_file():
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(pages.read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    bounds = [bound for bound in (now + most, *before) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@lru_cache(maxsize=8)
def _has_powers(template: str) -> bool:
    """Whether a template holds the operator of powers; one that cannot be parsed is left to whoever renders it."""
    from jinja2 import Environment, TemplateSyntaxError

    try:
        return any(kind == "operator" and sign == "**" for _, kind, sign in Environment().lex(template))
    except TemplateSyntaxError:
        return False
