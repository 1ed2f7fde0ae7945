"""A checkpoint's chat template, which is a program of whoever wrote the checkpoint: it is bounded and may fail.

transformers renders templates in Jinja's sandbox, so that they reach nothing. What is left are templates that do not
come to an end and such that stop with whatever error they like; here both end in one sentence.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from thinkseg.errors import CheckpointError

MOST_SECONDS = 5.0
"""Processor time that a template may take; those of published models take a thousandth of one second."""

_LOOK_EVERY = 1000
"""Lines of a template's code between two looks at the clock."""


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
        CheckpointError: there is no template, it fails, it does not come to an end, or has no place for the image.
    """
    if not processor.chat_template:
        raise CheckpointError("this checkpoint has no chat template, so it cannot be prompted: add chat_template.jinja")
    try:
        with _bounded(most_seconds):
            text = processor.apply_chat_template(
                list(messages), add_generation_prompt=add_generation_prompt, tokenize=False
            )
    except _TooLongError as error:
        raise CheckpointError(
            f"the chat template of this checkpoint has not come to an end in {most_seconds:g} seconds: it loops; use "
            "the template of the model that it was trained from"
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
