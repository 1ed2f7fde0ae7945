"""Passes filled by tokens: as many micro-batches as a budget has room for go through the model together.

A micro-batch stays what TRL averages its loss over; a pass is what the model computes at once. Log-probabilities of all
micro-batches of a pass come from one forward pass, each micro-batch is given its own as leaves of a graph, and when the
last of them has had its backward pass down to those leaves, what has gathered there goes back through the model. So
losses, gradients and logs are TRL's, whatever kind of loss it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64

from thinkseg.models.sharing.prefix import packed_size
from thinkseg.training.shared_prefix.batch import Batch


def tokens_needed(
    batch: Batch, size: int, capacity: int | None = None
) -> tuple[Int64[torch.Tensor, "n n"], list[bool]]:
    """How many tokens the packed rows of neighbouring micro-batches have, with what fills them up.

    Args:
        batch: rows of n micro-batches, those of one prompt next to each other.
        size: rows of a micro-batch.
        capacity: of a packed row, as `capacity_of` gives it.

    Returns:
        The tokens of micro-batches `first` to `last` at [first, last], 0 below the diagonal; and for each micro-batch
        whether it begins within a group.
    """
    owners = batch.owners()
    width = batch.ids.shape[1] - batch.completion
    prompts = (batch.mask[:, :width].sum(1) - 1).tolist()
    answers = batch.mask[:, width:].sum(1).tolist()
    parts = [range(start, min(start + size, len(owners))) for start in range(0, len(owners), size)]
    needed = torch.zeros(len(parts), len(parts), dtype=torch.long)
    for first in range(len(parts)):
        lengths: dict[int, int] = {}
        for last in range(first, len(parts)):
            for row in parts[last]:
                lengths[owners[row]] = lengths.get(owners[row], prompts[row]) + answers[row]
            needed[first, last] = packed_size(list(lengths.values()), capacity)
    return needed, [start > 0 and owners[start] == owners[start - 1] for start in (part.start for part in parts)]


def fill(needed: Sequence[Sequence[int]], torn: Sequence[bool], budget: int) -> list[range]:
    """Which micro-batches go together, in their order: as many whole groups as there is room for.

    >>> fill([[5, 9, 14], [0, 5, 10], [0, 0, 5]], [False, True, False], 12)
    [range(0, 2), range(2, 3)]

    Args:
        needed: as `tokens_needed` gives it.
        torn: likewise. A group without room for all of it is torn; a micro-batch without room goes alone.
        budget: tokens of a pass.
    """
    count, start, passes = len(torn), 0, []
    while start < count:
        fitting = [stop for stop in range(start + 1, count + 1) if needed[start][stop - 1] <= budget] or [start + 1]
        whole = [stop for stop in fitting if stop == count or not torn[stop]]
        passes.append(range(start, (whole or fitting)[-1]))
        start = passes[-1].stop
    return passes


@dataclass(frozen=True, slots=True)
class Pass:
    """Micro-batches that go through the model together."""

    parts: range
    """Their numbers."""
    size: int
    """Rows of each."""
    scores: tuple[Float[torch.Tensor, "B C"], ...]
    """What the model has computed for all of them."""
    leaves: tuple[Float[torch.Tensor, "B C"], ...]
    """The same, for losses to go back to."""

    @classmethod
    def of(cls, parts: range, size: int, scores: tuple[torch.Tensor, ...]) -> Pass:
        """A pass that the model has gone forward."""
        return cls(parts, size, scores, tuple(values.detach().requires_grad_() for values in scores))

    def of_part(self, part: int) -> list[torch.Tensor]:
        """What belongs to a micro-batch, by its number."""
        first = (part - self.parts.start) * self.size
        return [values[first : first + self.size] for values in self.leaves]

    def go_back(self) -> None:
        """Let the model have the gradients of all losses."""
        gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in self.leaves]
        torch.autograd.backward(self.scores, gradients)
