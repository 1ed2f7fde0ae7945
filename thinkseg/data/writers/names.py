"""Names of files for samples, no two alike."""

from __future__ import annotations

import re

from thinkseg.results.files import safe_stem


class Names:
    """Gives each id a name without suffix that every file system takes, in one folder."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, identifier: str) -> str:
        """A name that no other id has got."""
        plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "_", identifier).strip(" .") or "_"
        stem = safe_stem(plain).name
        number, free = 1, stem
        while free.casefold() in self._taken:
            number += 1
            free = f"{stem}-{number}"
        self._taken.add(free.casefold())
        return free
