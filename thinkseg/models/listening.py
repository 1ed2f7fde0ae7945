"""Text that is told while it is written, and may be stopped.

>>> from thinkseg.testing import FakeReasoner
>>> from thinkseg.types import Instruction, Request
>>> from PIL import Image
>>> request = Request(Image.new("RGB", (8, 6)), Instruction("where is it"))
>>> completions = complete(FakeReasoner(["<think>Here.</think>"]), [request], lambda number, text: print(number, text))
0 <think>
0 <think>Here.
0 <think>Here.</think>
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from thinkseg.models.base import Reasoner
from thinkseg.types import Completion, FinishReason, Request

Listener = Callable[[int, str], bool | None]
"""Is called with the number of a request, from 0, and all that has been written for it, each time that there is more.
Each text begins with the one before, and the last one is the completion's. Where the listener gives False, no more is
written for this request; what it raises ends the writing of all."""


@runtime_checkable
class StreamingReasoner(Reasoner, Protocol):
    """A `Reasoner` that tells what it writes while it writes it."""

    def stream(self, requests: Sequence[Request], listen: Listener) -> list[Completion]:
        """What `complete` gives, and as it would, told to a listener from the first token on.

        A completion that the listener stopped has what was written until then, and ends as at the length limit. The
        listener is called in the thread that called this, amid the work: it should be quick.
        """
        ...


def complete(reasoner: Reasoner, requests: Sequence[Request], listen: Listener | None = None) -> list[Completion]:
    """One completion per request, in order, told as they are written where the reasoner can, or else at their end.

    Args:
        reasoner: any.
        requests: what to ask.
        listen: is told; None for nobody.
    """
    if listen is None:
        return reasoner.complete(requests)
    if isinstance(reasoner, StreamingReasoner):
        return reasoner.stream(requests, listen)
    completions = reasoner.complete(requests)
    for number, completion in enumerate(completions):
        listen(number, completion.text)
    return completions


class Hearing:
    """Hands a listener the texts of a batch as they grow, each new text once.

    Args:
        listen: is told.
        numbers: of the requests whose completions are the batch's rows.
    """

    def __init__(self, listen: Listener, numbers: Sequence[int]) -> None:
        self._listen = listen
        self._numbers = numbers
        self._told = [""] * len(numbers)
        self._stopped = [False] * len(numbers)

    def hear(self, row: int, text: str) -> bool:
        """Tell the text of a row so far, if there is more than before; whether more of it is wanted."""
        # The bytes of a letter may be those of several tokens: until the last of them, its place is held by U+FFFD.
        text = text.rstrip("\ufffd")
        if text != self._told[row] and not self._stopped[row]:
            self._told[row] = text
            self._stopped[row] = self._listen(self._numbers[row], text) is False
        return not self._stopped[row]

    def finish(self, row: int, completion: Completion) -> Completion:
        """The completion of a row, told whole unless it has been or was stopped; as much of it as was wanted."""
        if self._stopped[row]:
            return Completion(self._told[row], FinishReason.LENGTH)
        if completion.text != self._told[row]:
            self._listen(self._numbers[row], completion.text)
        return completion
