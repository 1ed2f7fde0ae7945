"""A benchmark in parts, so that several processes or machines can share it and the numbers stay the same.

Part I of N has the samples I, I + N, I + 2N, … and its own file. Since the parts advance together, what N processes
have done is nearly all of the beginning for any other number of them: a run may go on with more or fewer.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.record_file import read_records, write_records
from thinkseg.evaluation.records import PredictionRecord

POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of a benchmark: the samples number `index`, `index` + `count`, … (the first index is 1)."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``2/4``.

        Raises:
            InputError: it is not two whole numbers, or the first is not between 1 and the second.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"a shard is I/N, such as 2/4, with I from 1 to N; found '{text}'")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> "Shard | None":
        """The part of this process under ``torchrun`` or ``accelerate launch``; None outside of them.

        Raises:
            InputError: ``RANK`` and ``WORLD_SIZE`` are not what these programs set.
        """
        rank, size = environment.get("RANK"), environment.get("WORLD_SIZE")
        if rank is None or size is None or size == "1":
            return None
        if not rank.isdecimal() or not size.isdecimal() or int(rank) >= int(size):
            raise InputError(f"expected RANK to be a number below WORLD_SIZE, found RANK={rank} and WORLD_SIZE={size}")
        return cls(int(rank) + 1, int(size))

    def path(self, out: Path) -> Path:
        """The file of this shard."""
        part = f".{self.index}-of-{self.count}" if self.count > 1 else ""
        return out / f"predictions{part}.jsonl"

    def indices(self, total: int) -> range:
        """The samples of this shard among so many."""
        return range(self.index - 1, total, self.count)


WHOLE = Shard()
"""The only part of a run that is not shared."""


def refuse_fewer(out: Path, total: int) -> None:
    """Make sure that no file of the folder, of whichever part, has more predictions than so many samples give it.

    Raises:
        DataError: one has, and a shorter run would take the place of a longer one.
    """
    for shard in _shards_in(out):
        found, asked = _lines(shard.path(out)), len(shard.indices(total))
        if found > asked:
            raise DataError(
                f"'{shard.path(out)}' holds {found} predictions, more than the {asked} asked for; choose another "
                "folder with --out, or a higher --limit, the same for every part"
            )


def found_elsewhere(out: Path, shard: Shard, total: int, done: int) -> list[PredictionRecord]:
    """What runs with other numbers of parts have left of this shard, behind the `done` samples that it has itself."""
    others = [other for other in _shards_in(out) if other.count != shard.count]
    records: dict[int, PredictionRecord] = {}
    for other in others:
        found = read_records(other.path(out))
        records.update(zip(other.indices(total), found, strict=False))
    following: list[PredictionRecord] = []
    for index in shard.indices(total)[done:]:
        if index not in records:
            break
        following.append(records[index])
    return following


def _shards_in(out: Path) -> list[Shard]:
    """The shards whose files are there, the whole run's first."""
    names = [re.fullmatch(r"predictions(?:\.(\d+)-of-(\d+))?\.jsonl", path.name) for path in sorted(out.iterdir())]
    return [Shard(int(name[1] or 1), int(name[2] or 1)) for name in names if name is not None]


def merge_shards(out: Path, shards: int, total: int) -> list[PredictionRecord] | None:
    """Put the shards' records into ``predictions.jsonl``, in the order of the samples; None while one is not whole.

    Raises:
        DataError: a file holds more than so many samples give it.
    """
    if out.is_dir():
        refuse_fewer(out, total)
    merged: list[PredictionRecord | None] = [None] * total
    for shard in _all(shards):
        indices = shard.indices(total)
        records = read_records(shard.path(out)) if shard.path(out).exists() else []
        if len(records) < len(indices):
            return None
        for index, record in zip(indices, records, strict=True):
            merged[index] = record
    whole = [record for record in merged if record is not None]
    write_records(WHOLE.path(out), whole)
    return whole


def wait_for_shards(out: Path, shards: int, total: int, poll_seconds: float = POLL_SECONDS) -> None:
    """Return when all parts are whole. Whoever started them ends this process when one of them fails."""
    waiting: Sequence[Shard] = _all(shards)
    while waiting := [shard for shard in waiting if _lines(shard.path(out)) < len(shard.indices(total))]:
        time.sleep(poll_seconds)


def _all(shards: int) -> list[Shard]:
    return [Shard(index, shards) for index in range(1, shards + 1)]


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
