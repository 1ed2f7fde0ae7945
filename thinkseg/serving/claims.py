"""Names of results that a process is about to write, so that another that works into the same folder takes others.

A name is claimed by a lock on a small hidden file beside the result, from when it is chosen until its record is there;
then the file is removed. Wherever the other process stands and however it spells the folder, it finds the same file. A
process that is killed gives its claims free.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout


class Claims:
    """The names that this process holds.

    Args:
        locks: of which kind the locks are, and which come in their place where the file system has none of these.
    """

    def __init__(self, locks: tuple[type[BaseFileLock], type[BaseFileLock]] = (FileLock, SoftFileLock)) -> None:
        self._locks = locks
        self._held: dict[str, BaseFileLock] = {}

    def claim(self, stem: Path) -> bool:
        """Take a name, unless another process holds it.

        Args:
            stem: where files of this name will lie, without suffix; folders that are missing are made.
        """
        name = str(stem).casefold()
        if name in self._held:
            return True
        stem.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(stem.name.casefold().encode("utf-8", "surrogatepass")).hexdigest()[:16]
        path = stem.parent / f".thinkseg-{digest}.lock"
        own, otherwise = self._locks
        try:
            lock = _locked(own(path))
        except (OSError, NotImplementedError):
            lock = _locked(otherwise(path))
        if lock is None:
            return False
        self._held[name] = lock
        return True

    def release(self) -> None:
        """Give all names free: their records are written, or will not be."""
        for lock in self._held.values():
            with suppress(OSError):  # Windows does not remove a file that is open
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
        self._held.clear()


def _locked(lock: BaseFileLock) -> BaseFileLock | None:
    """The lock once it is held; None where another process holds it."""
    try:
        lock.acquire(timeout=0)
        while not _is_there(lock):  # whoever held it before has removed the file that is locked
            lock.release()
            lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _is_there(held: BaseFileLock) -> bool:
    """Whether the file of a lock that is held is the one that others find at its place: they cannot lock it, then."""
    another = type(held)(held.lock_file)
    try:
        another.acquire(timeout=0)
    except Timeout:
        return True
    another.release()
    return False
