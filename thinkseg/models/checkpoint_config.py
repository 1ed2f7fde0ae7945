"""How a checkpoint wants to be asked: its answer format, its segmenter, its image size.

What a caller says comes first, then the `thinkseg.json` in the checkpoint's folder, then the table of published
checkpoints below. A checkpoint that ThinkSeg wrote describes itself; for any other, use flags, or write the file:

    {"format": "seg-r1", "instruction": {"system": null, "user": "{query}"}, "max_new_tokens": 64}
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.errors import CheckpointError
from thinkseg.types import Instruction

SETTINGS_FILE = "thinkseg.json"


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """What is known about a checkpoint; None where nothing is."""

    format: str | None = None
    """Name of its answer format."""
    instruction: Instruction | None = None
    """The sentences that it is asked with, a template with {query}; None for the format's own."""
    max_new_tokens: int | None = None
    """Length limit of a completion, in tokens."""
    segmenter: str | None = None
    """The segmenter that it was trained with."""
    frame: str | None = None
    """Frame rule that overrules its family's."""
    canvas: int | None = None
    """Pixels a side that every image is stretched to before the processor."""
    min_pixels: int | None = None
    """Smallest number of pixels that an image is resized to."""
    max_pixels: int | None = None
    """Largest number of pixels that an image is resized to."""

    def with_defaults(self, other: CheckpointConfig) -> CheckpointConfig:
        """These settings, with what they leave open taken from the other ones."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return CheckpointConfig(
            **{name: getattr(other, name) if value is None else value for name, value in own.items()}
        )


_SAM2 = "facebook/sam2-hiera-large"
_SAM2_1 = "facebook/sam2.1-hiera-large"

KNOWN: Mapping[str, CheckpointConfig] = {
    "geshang/Seg-R1-3B": CheckpointConfig(format="seg-r1", max_new_tokens=400, segmenter=_SAM2_1, canvas=768),
    "geshang/Seg-R1-7B": CheckpointConfig(format="seg-r1", max_new_tokens=400, segmenter=_SAM2_1, canvas=768),
    "Ricky06662/Seg-Zero-7B": CheckpointConfig(format="seg-zero", max_new_tokens=1300, segmenter=_SAM2, canvas=840),
    "Ricky06662/VisionReasoner-7B": CheckpointConfig(
        format="vision-reasoner", max_new_tokens=2000, segmenter=_SAM2, canvas=840
    ),
}
"""Published checkpoints by hub id: the sizes that they were trained at and the lengths that they were trained with."""


def settings_for(name: str | Path, source: str, given: CheckpointConfig) -> CheckpointConfig:
    """All that is known about a checkpoint.

    Args:
        name: as the caller calls it, a folder or a hub id; the table goes by it.
        source: where its files are, a folder or a hub id.
        given: what the caller says, which wins.

    Raises:
        CheckpointError: its `thinkseg.json` cannot be read.
    """
    known = read_settings(source).with_defaults(KNOWN.get(str(name), CheckpointConfig()))
    if given.format not in (None, known.format):
        # Another format has other sentences and other lengths.
        known = dataclasses.replace(known, instruction=None, max_new_tokens=None)
    return given.with_defaults(known)


def read_settings(source: str | Path) -> CheckpointConfig:
    """What a checkpoint's `thinkseg.json` says; nothing where there is no such file. Other keys in it are its own.

    Raises:
        CheckpointError: the file is not JSON, or a value is of the wrong kind.
    """
    path = Path(source) / SETTINGS_FILE if Path(source).is_dir() else _from_hub(str(source))
    if path is None or not path.is_file():
        return CheckpointConfig()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"'{path}' has to hold an object of settings, found {type(content).__name__}")
    found = {field.name: content[field.name] for field in dataclasses.fields(CheckpointConfig) if field.name in content}
    for key, value in found.items():
        _check(path, key, value)
    if found.get("instruction") is not None:
        found["instruction"] = _instruction(path, found["instruction"])
    return CheckpointConfig(**found)


def read_instruction(path: Path | str) -> Instruction:
    """The sentences in a file: JSON as under "instruction" in a `thinkseg.json`, or the user's text alone.

    Raises:
        CheckpointError: there is no such file, it is not text, or it has no place for the query.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"expected a text file with an instruction at '{path}', found none ({error})") from error
    try:
        value = json.loads(text)
    except ValueError:
        value = {"user": text.strip()}
    if not isinstance(value, dict):
        raise CheckpointError(f"'{path}' has to hold text, or an object with 'user' and 'system'")
    return _instruction(path, value)


def write_settings(settings: CheckpointConfig, folder: Path) -> None:
    """Write what is known about a checkpoint into its folder, as `thinkseg.json`."""
    content = {key: value for key, value in dataclasses.asdict(settings).items() if value is not None}
    (folder / SETTINGS_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


_KINDS: Mapping[str, type] = {
    "format": str,
    "instruction": dict,
    "max_new_tokens": int,
    "segmenter": str,
    "frame": str,
    "canvas": int,
    "min_pixels": int,
    "max_pixels": int,
}


def _check(path: Path, key: str, value: Any) -> None:
    kind = _KINDS[key]
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise CheckpointError(f"{key!r} in '{path}' has to be of type {kind.__name__}, found {value!r}")


def _instruction(path: Path, value: Mapping[str, Any]) -> Instruction:
    user, system = value.get("user"), value.get("system")
    if not isinstance(user, str) or not (system is None or isinstance(system, str)):
        raise CheckpointError(
            f"'instruction' in '{path}' has to be {{\"system\": text or null, \"user\": text}}, found {value!r}"
        )
    if "{query}" not in user + (system or ""):
        raise CheckpointError(f"'instruction' in '{path}' has no place for the query: write {{query}} into its text")
    return Instruction(user=user, system=system)


def _from_hub(hub_id: str) -> Path | None:
    """The settings file of a hub checkpoint, in the local cache; None when it has none or the hub is out of reach."""
    from transformers.utils import cached_file

    try:
        found = cached_file(hub_id, SETTINGS_FILE)
    except OSError:
        # Most checkpoints have no such file; an unreachable hub is reported when the model itself is loaded.
        return None
    return None if found is None else Path(found)
