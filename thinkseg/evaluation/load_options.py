"""What the loader of a benchmark is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
        told = {name: getattr(self, name) for name in ("query", "split", "images", "masks", "annotations", "dataset")}
        return {name: value for name, value in told.items() if value}
