"""What the loader of a benchmark is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of a loader."""

    limit: int | None = None
    """The first so many samples; all of them when None. A loader may return more."""
    seed: int = 0
    """For benchmarks that are made rather than read, and for protocols that draw samples at random."""
    root: Path | None = None
    """Where the data sets are on disk, for benchmarks that are read."""
    encoding: str = ""
    """Of tables and JSON, such as "gbk"; when empty, UTF-8 or what a file's byte order mark says."""
    query: str = ""
    """For data of one's own without words: what is asked of every image."""
    split: str = ""
    """For rows of one's own that have several."""
    images: str = ""
    """For data of one's own: the folder of images, from the root on; found by its name when empty."""
    masks: str = ""
    """Likewise, of masks."""
    annotations: str = ""
    """For data of one's own: a file of COCO instances, from the root on."""

    dataset: str = ""
    """For data of one's own: the name of their format; looked for when empty."""

    def of_own(self) -> dict[str, str]:
        """What is said of data of one's own."""
        return {name: value for name in _OWN if (value := getattr(self, name))}

    def asked(self) -> dict[str, str]:
        """What is kept of them beside the place of the data, in the `asked` of a run's header."""
        encoding = {"encoding": self.encoding} if self.encoding else {}
        return encoding | {f"{_PREFIX}{name}": value for name, value in self.of_own().items()}

    @classmethod
    def of_run(cls, asked: Mapping[str, Any], limit: int | None, seed: int, root: Path | None) -> LoadOptions:
        """The options of a run, from what its header keeps of them."""
        own = {name: str(asked[f"{_PREFIX}{name}"]) for name in _OWN if f"{_PREFIX}{name}" in asked}
        return cls(limit, seed, root, str(asked.get("encoding", "")), **own)


_OWN = ("query", "split", "images", "masks", "annotations", "dataset")
_PREFIX = "data."
"""Before their names in a header, where the segmenter's masks are asked for, too."""
