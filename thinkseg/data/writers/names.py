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
        return self.free(safe_stem(plain).name)

    def free(self, stem: str) -> str:
        """This name, or one after it with a number that nothing has got; capitals make no other one."""
        number, free = 1, stem
        while free.casefold() in self._taken:
            number += 1
            free = f"{stem}-{number}"
        self._taken.add(free.casefold())
        return free
