"""The engine ``local``: processes on this machine, one a card, that take block after block until none is left.

The folder is the queue: whoever is free takes the next block that nobody holds. Other commands on the same folder, on
this machine or on one that shares its disk, take theirs from it in the same way. When only blocks are left that others
hold, it waits for them, and goes on with those of one that was killed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial

from thinkseg.evaluation.parallel.processes import Tell, run_processes, share_machine
from thinkseg.meter import Meter
from thinkseg.models.loading import card_count
from thinkseg.serving.labelling.folder import Journal, LabelFolder
from thinkseg.serving.labelling.header import LabelHeader
from thinkseg.serving.labelling.labeller import Labeller
from thinkseg.serving.labelling.plan import LabelPlan
from thinkseg.stopwatch import count

POLL_SECONDS = 0.5

News = tuple[int, int, int]
"""A block, how many of its rows are done, and how many of these were done since the last news."""

_log = logging.getLogger(__name__)


def label_locally(plan: LabelPlan, folder: LabelFolder, poll_seconds: float = POLL_SECONDS) -> None:
    """Label all blocks of the plan's share.

    Raises:
        ProcessLost: a process was killed; the same call goes on from there.
    """
    blocks = plan.shard.indices(folder.header.blocks)
    open_blocks = left = [block for block in blocks if not folder.is_done(block)]
    total = sum(map(folder.header.length_of, blocks))
    done = total - sum(map(folder.header.length_of, left))
    with Meter("label", "row", total, done) if plan.progress and left else nullcontext() as meter:
        progress = _Progress(done, meter)
        alone = _Worker(plan, folder)
        while left:
            processes = min(plan.processes or _one_a_card(plan), len(left))
            if processes == 1:
                alone.work_through(left, progress.hear)
            else:
                work = partial(_work, plan, folder.header, processes, left)
                run_processes(processes, work, lambda _, news: progress.hear(news))
            left = _left_by_others(folder, left, poll_seconds)
        for block in open_blocks:  # those that others have done among them
            progress.hear((block, folder.header.length_of(block), 0))


def _one_a_card(plan: LabelPlan) -> int:
    named = isinstance(plan.model.checkpoint, str)
    return max(1, card_count()) if plan.model.device == "auto" and named else 1


class _Progress:
    """How many rows are done, from what workers tell of their blocks."""

    def __init__(self, done: int, meter: Meter | None) -> None:
        self._done = done
        self._meter = meter
        self._of: dict[int, int] = {}

    def hear(self, news: News) -> None:
        """Add up what is new."""
        block, reached, own = news
        self._done += max(0, reached - self._of.get(block, 0))
        self._of[block] = max(reached, self._of.get(block, 0))
        count("rows", own)
        if self._meter is not None:
            self._meter.move(self._done)


class _Worker:
    """Labels blocks; its models are loaded when the first block needs them."""

    def __init__(self, plan: LabelPlan, folder: LabelFolder) -> None:
        self._plan = plan
        self._folder = folder
        self._labeller: Labeller | None = None

    def work_through(self, blocks: Iterable[int], tell: Callable[[News], None]) -> None:
        """Label each of these blocks that is not done and that nobody else holds."""
        for block in blocks:
            with self._folder.claimed(block) as journal:
                if journal is not None:
                    self._label(block, journal, tell)

    def _label(self, block: int, journal: Journal, tell: Callable[[News], None]) -> None:
        if self._labeller is None:
            self._labeller = Labeller(self._plan.pipeline(), self._plan.source.root, self._folder.header.stamp)
        tell((block, len(journal.rows), 0))
        requests = self._folder.requests(block)[len(journal.rows) :]
        for rows in self._labeller.label(requests, self._plan.batch_size):
            journal.add(rows)
            tell((block, len(journal.rows), len(rows)))
        self._folder.finish(block, journal)


def _work(plan: LabelPlan, header: LabelHeader, processes: int, blocks: Sequence[int], number: int, tell: Tell) -> None:
    """One of several processes, each of which begins at another place, so that they seldom want the same block."""
    share_machine(number, processes)
    first = number * len(blocks) // processes
    _Worker(plan, LabelFolder(plan.out, header)).work_through([*blocks[first:], *blocks[:first]], tell)


def _left_by_others(folder: LabelFolder, blocks: Iterable[int], poll_seconds: float) -> list[int]:
    """The blocks that are still to be done, once one of them is free or none is left."""
    told = False
    while left := [block for block in blocks if not folder.is_done(block)]:
        if any(map(folder.is_free, left)):
            break
        if not told:
            told = True
            _log.warning("waiting for %d files of rows that another process labels", len(left))
        time.sleep(poll_seconds)
    return left
