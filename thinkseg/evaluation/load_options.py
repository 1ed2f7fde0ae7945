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
