"""One evaluation a folder: whoever works in one holds it from before the models are loaded until the report is there.

A run that is not shared holds the folder alone, and so does the process that starts several. Parts that are started one
by one, be it by hand or by ``torchrun``, hold a part each, all of the same number, and the folder while they put the
parts together. A process that ends or is killed gives free what it held; where a file system has no locks, nothing is
held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from thinkseg.errors import DataError
from thinkseg.evaluation.parallel.shards import Shard
from thinkseg.evaluation.record_file import LOCK_SECONDS

GATE = ".evaluation.lock"
_PART = re.compile(r"\.evaluation\.\d+-of-(\d+)\.lock")
_HALF = re.compile(r"(predictions(\.\d+-of-\d+)?\.jsonl|(run|report)\.json)\.\d+\.part")
FOREVER = -1.0


class HeldFolder:
    """A folder that this process works in."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._gate = FileLock(out / GATE, thread_local=False)

    @contextmanager
    def alone(self, patience: float = FOREVER) -> Iterator[None]:
        """Hold the whole folder, once more if it is held already; others are waited for."""
        with _held(self._gate, self._out, patience):
            yield


@contextmanager
def hold_folder(out: Path, shard: Shard, patience: float = LOCK_SECONDS) -> Iterator[HeldFolder]:
    """Hold a folder, or a part of it.

    Args:
        out: the folder; made if it is not there.
        shard: the part that is done; the whole is held alone.
        patience: seconds to wait for others: one that was killed is given the time to end.

    Raises:
        DataError: another evaluation works there, in other parts or on the same one.
    """
    out.mkdir(parents=True, exist_ok=True)
    folder = HeldFolder(out)
    with ExitStack() as held, ExitStack() as gate:
        gate.enter_context(folder.alone(patience))
        for path in sorted(out.iterdir()):
            found = _PART.fullmatch(path.name)
            if found is not None and (shard.count == 1 or int(found[1]) != shard.count):
                with _held(FileLock(path), out, patience):
                    pass
        if shard.count == 1:
            for path in out.glob("*.part"):
                if _HALF.fullmatch(path.name):  # one that was killed was about to write it
                    path.unlink(missing_ok=True)
        if shard.count > 1:
            part = out / f".evaluation.{shard.index}-of-{shard.count}.lock"
            held.enter_context(_held(FileLock(part, thread_local=False), out, patience))
            gate.close()
        yield folder


@contextmanager
def _held(lock: FileLock, out: Path, patience: float) -> Iterator[None]:
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise DataError(
            f"another evaluation is at work in '{out}'; wait until it ends, or choose another folder with --out"
        ) from error
    except (OSError, NotImplementedError):
        yield  # some network file systems have no locks
        return
    try:
        yield
    finally:
        lock.release()
