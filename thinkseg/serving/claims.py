"""Names of results that a process is about to write, so that another that works into the same folder takes others.

A name is claimed by a lock on a small hidden file in the folder of results, from when it is chosen until its record is
there; then the file is removed. A process that is killed gives its claims free.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout


class Claims:
    """The names that this process holds in a folder.

    Args:
        out: the folder of results; where its file system has no locks, every claim is granted.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._held: dict[str, FileLock] = {}

    def claim(self, stem: Path) -> bool:
        """Take a name, unless another process holds it."""
        name = str(stem).casefold()
        if name in self._held:
            return True
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        lock = FileLock(self._out / f".thinkseg-{digest}.lock")
        try:
            lock.acquire(timeout=0)
            while not _is_there(lock):  # whoever held it before has removed the file that is locked
                lock.release()
                lock.acquire(timeout=0)
        except Timeout:
            return False
        except (OSError, NotImplementedError):
            return True
        self._held[name] = lock
        return True

    def release(self) -> None:
        """Give all names free: their records are written, or will not be."""
        for lock in self._held.values():
            with suppress(OSError):  # Windows does not remove a file that is open
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
        self._held.clear()


def _is_there(held: FileLock) -> bool:
    """Whether the file of a lock that is held is the one that others find at its place: they cannot lock it, then."""
    another = FileLock(held.lock_file)
    try:
        another.acquire(timeout=0)
    except Timeout:
        return True
    another.release()
    return False
