"""What of a run is as the authors of a checkpoint made their numbers, and what is not: the rows of
`thinkseg.evaluation.published_choices` held against the rules and settings that are in force. Nothing is loaded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.evaluation.protocols import PROTOCOLS, Protocol, reader_of, settings_of
from thinkseg.evaluation.published_choices.choice import PROTOCOL, READER, SAME, SENTENCES, Choice, Table
from thinkseg.evaluation.published_choices.tables import find_table
from thinkseg.models.checkpoint_config import KNOWN, CheckpointConfig, read_config
from thinkseg.models.published.wording import identity_of

AS_THEIRS = "as theirs"
_RULES = {field.name for field in dataclasses.fields(Protocol)}
_UNSAID: Mapping[str, Any] = {
    "canvas_filter": "bicubic",
    "canvas_jpeg": False,
    "segmenter_bgr": False,
    "decoding": "greedy",
    "masks": "single",
    "objects": "all",
}
"""What a setting of `CheckpointConfig` means that is not said."""


@dataclass(frozen=True, slots=True)
class ExplainedRun:
    """How a run is asked and scored, as far as that can be known before it runs."""

    benchmark: str
    task: str
    protocol: str
    checkpoint: str
    given: CheckpointConfig = dataclasses.field(default_factory=CheckpointConfig)
    """What the caller overrules of the checkpoint's settings."""
    dtype: str = ""
    """Of the weights; empty where it is not said."""
    instruction: str | None = None
    """The published instruction that was asked, as `Wording.identity`; None for what this machine would ask."""
    answer_format: str = ""
    """By which the answers were read; empty before a run."""

    @property
    def table(self) -> Table | None:
        """What it is held against; None where nothing was published."""
        return find_table(self.protocol, self.task, self.checkpoint)

    @property
    def in_force(self) -> CheckpointConfig:
        """The settings by which the model is asked: the caller's, the protocol's, the checkpoint's, in this order."""
        found = read_config(self.checkpoint) if Path(self.checkpoint).is_dir() else CheckpointConfig()
        own = self.given.with_defaults(found).with_defaults(KNOWN.get(self.checkpoint, CheckpointConfig()))
        settings = settings_of(self.protocol, self.task)
        asked = own.asked_as(self.given.with_defaults(CheckpointConfig(**settings))) if settings else own
        if self.answer_format:
            return asked.replaced(format=self.answer_format)
        if self.given.format is not None or asked.format is None or asked.tolerant:
            return asked
        return asked.replaced(format=reader_of(self.protocol, self.task, asked.format))

    def rows(self) -> list[dict[str, str]]:
        """A row for each choice: its name, the authors' value, ours by default, what gives theirs, and this run's."""
        table = self.table
        if table is None:
            return []
        config = self.in_force
        return [
            {
                "choice": choice.name,
                "authors": choice.theirs,
                "default": choice.ours,
                "by": choice.by,
                "run": self._here(choice, table, config),
            }
            for choice in table.choices
        ]

    def _here(self, choice: Choice, table: Table, config: CheckpointConfig) -> str:
        """The run's value of a choice."""
        if choice.key:
            found = self._found(choice.key, config)
            return AS_THEIRS if _holds(found, choice.value) else _worded(choice, found)
        by_protocol = choice.by.startswith(PROTOCOL) and self.protocol == table.protocol
        if by_protocol or choice.by in (SAME, f"--dtype {self.dtype}"):
            return AS_THEIRS
        return self._sentences(choice, table, config) if choice.by == SENTENCES else choice.ours

    def _sentences(self, choice: Choice, table: Table, config: CheckpointConfig) -> str:
        """Whose sentences are asked.

        Raises:
            DataError: those that were fetched are damaged.
        """
        if config.instruction is not None:
            return "those given, or of the checkpoint's folder"
        name = (identity_of(config) if self.instruction is None else self.instruction).partition(" ")[0]
        if name:
            return AS_THEIRS if name == table.protocol else f"those of {name}"
        return choice.ours if config.sentences is not None else "ours"

    def _found(self, key: str, config: CheckpointConfig) -> Any:
        """The value in force of a field of `Protocol`, or else of `CheckpointConfig`."""
        rules = PROTOCOLS[self.protocol]
        if key in _RULES and key != "stripped":
            return getattr(rules, key)
        found = rules.stripped if key == "stripped" and rules.stripped is not None else getattr(config, key)
        return _UNSAID.get(key) if found is None else found


def _holds(found: Any, value: Any) -> bool:
    """Whether a value is the authors'; of measures, whether theirs are among those that take a place."""
    if isinstance(value, Mapping):
        return all(found.get(name) == other for name, other in value.items())
    return bool(found == value)


def _worded(choice: Choice, found: Any) -> str:
    """Another value than the authors', for people."""
    if choice.key == "empty":
        return "left out" if found is None else f"IoU {found:g}"
    if choice.key == "canvas":
        return "the image's own size" if found is None else f"{found} × {found}"
    if found is None:
        return "the checkpoint's own"
    if isinstance(found, bool | Mapping) or (choice.key == "format" and choice.name != READER):
        return choice.ours
    told = {"max_new_tokens": "{:,} tokens", "format": "that of {}"}.get(choice.key, "{}")
    return told.format(found)


def explained_text(run: ExplainedRun) -> str:
    """The rows as a table for a terminal, below a line that says what they are of."""
    table = run.table
    head = f"{run.benchmark}, protocol {run.protocol}, {run.checkpoint}"
    if table is None:
        return (
            f"{head}: no numbers are published that it could be held against (docs/published.md lists those that are)"
        )
    rows = run.rows()
    other = [row for row in rows if row["run"] != AS_THEIRS]
    lines = [f"{head}: against the published numbers of {table.title}", ""]
    lines += _columns(
        [
            ("choice", "authors", "this run", "what gives theirs"),
            *((row["choice"], row["authors"], row["run"], row["by"]) for row in rows),
        ]
    )
    told = f"{len(rows) - len(other)} of {len(rows)} choices are the authors'"
    return "\n".join(
        [*lines, "", f"{told}; the others: {', '.join(row['choice'] for row in other)}" if other else told]
    )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
