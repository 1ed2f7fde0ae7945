"""One call at a time becomes a batch: what is asked while a batch is being scored is the next one.

An engine that scores completions as they come, each by a call of its own, would have the segmenter see an image once a
completion. Here the calls wait for each other only as long as the work before them takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Given = TypeVar("Given")


class Batches(Generic[Asked, Given]):
    """Answers many callers of one event loop by calls of a function that takes a batch, in a thread of its own.

    Args:
        answer: gives one answer for each of a batch, in its order.
        most: in a batch.
    """

    def __init__(self, answer: Callable[[Sequence[Asked]], Sequence[Given]], most: int = 256) -> None:
        self._answer = answer
        self._most = most
        self._waiting: list[tuple[Asked, asyncio.Future[Given]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Given:
        """The answer to one.

        Raises:
            Exception: what the function raises about it, asked again on its own where the batch fails.
        """
        future: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        """Answer until nobody waits."""
        try:
            await asyncio.sleep(0)  # whoever is about to ask asks now
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._answer_to([pair for pair in batch if not pair[1].done()])
        finally:
            self._working = None

    async def _answer_to(self, batch: Sequence[tuple[Asked, asyncio.Future[Given]]]) -> None:
        if not batch:
            return
        try:
            given = await asyncio.to_thread(self._answer, [asked for asked, _ in batch])
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is told to whoever asked
            if len(batch) == 1:
                _tell(batch[0][1], error)
                return
            for pair in batch:  # one of them is at fault: the others are not to pay for it
                await self._answer_to([pair])
            return
        for (_, future), answer in zip(batch, given, strict=True):
            if not future.done():
                future.set_result(answer)


def _tell(future: asyncio.Future[Given], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
