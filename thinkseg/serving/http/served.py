"""Which models a service has, as it tells those who ask: names without the places where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.extension import is_reference
from thinkseg.models.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Served:
    """What is told of the models."""

    reasoner: str = "reasoner"
    revision: str = ""
    """A digest of the reasoner's checkpoint; empty where it is not known, as for one from the hub."""
    segmenter: str = "segmenter"
    segmenter_revision: str = ""
    format: str = ""
    """Of the answers."""
    masks: str = "single"
    """Which mask of an object is taken: "single" or "best of three"."""

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any], pipeline: Pipeline, name: str | None = None) -> Served:
        """From what `provenance.model_identity` says of the models that were loaded.

        Args:
            identity: of the models.
            pipeline: the models.
            name: what to call the reasoner; None for its own name.
        """
        return cls(
            reasoner=name or public_name(str(identity["name"])),
            revision=identity["revision"],
            segmenter=public_name(str(identity["segmenter"])),
            segmenter_revision=identity["segmenter_revision"],
            format=pipeline.answer_format.name,
            masks=pipeline.config.masks or "single",
        )

    def as_record(self) -> dict[str, Any]:
        """As ``model`` of a result's record."""
        return {
            "name": self.reasoner,
            "revision": self.revision,
            "segmenter": self.segmenter,
            "segmenter_revision": self.segmenter_revision,
        }


def public_name(name: str) -> str:
    """A model's name for strangers: of a folder or a file of one's own the last part, a hub id as it is.

    >>> public_name("/models/mine.py:Mine"), public_name("geshang/Seg-R1-3B")
    ('mine.py:Mine', 'geshang/Seg-R1-3B')
    """
    is_here = is_reference(name) or Path(name).is_absolute() or Path(name).expanduser().exists()
    return Path(name).name if is_here else name
