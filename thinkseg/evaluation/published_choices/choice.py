"""A choice of an evaluation, and the table of all that are behind some published numbers."""

from dataclasses import dataclass
from typing import Any

PROTOCOL = "the protocol"
SAME = "the default"
CHECKPOINT = "the checkpoint's name"
SENTENCES = "thinkseg instruction"

READER = "reader of an answer"
"""The name of a row."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an evaluation."""

    name: str
    theirs: str
    """The authors' value."""
    ours: str
    """What holds without a protocol, for a checkpoint that is known."""
    by: str
    """What gives the authors' value, or "nothing: " and why."""
    key: str = ""
    """The field of `Protocol` or of `CheckpointConfig` that holds it; empty for what has none."""
    value: Any = None
    """The authors' value of that field."""

    @property
    def reproduced(self) -> bool:
        """Whether something gives the authors' value."""
        return not self.by.startswith("nothing")


@dataclass(frozen=True, slots=True)
class Table:
    """The choices behind one kind of published table."""

    title: str
    checkpoints: tuple[str, ...]
    protocol: str
    tasks: tuple[str, ...]
    """Of the benchmarks that it is about."""
    choices: tuple[Choice, ...]
