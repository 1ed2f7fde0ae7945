"""Completions of one prompt as branches of one sequence, so that the prompt is computed once.

A packed row holds, for each prompt, all of it but its last token (the prefix), and behind it a branch for each
completion: the prompt's last token and the completion without its last one. What a branch's token predicts is the
completion's token of the same number. A branch sees the prefix and what stands before it in itself, and its positions
go on from the prompt's, so that each token has the same context as in a row of its own::

    prompt p1 p2 p3, completions a1 a2 and b1 b2 b3

    row        p1 p2 | p3 a1 | p3 b1 b2
    predicts         | a1 a2 | b1 b2 b3
    position    0  1 |  2  3 |  2  3  4

Everything here is arithmetic on places; `thinkseg.models.sharing.attention` says what sees what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, slots=True)
class Block:
    """A prompt and its branches within a packed row; a branch follows the other without a gap."""

    row: int
    start: int
    prefix: int
    """Tokens of the prompt without its last one."""
    branches: tuple[int, ...]
    """Tokens of each branch, all at least 1."""

    @property
    def length(self) -> int:
        """Tokens in all."""
        return self.prefix + sum(self.branches)


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """Where the tokens of a batch (B rows of P prompt and C completion tokens) are in R packed rows of N tokens.

    What fills a row up is the last token of a prompt, which sees itself alone and predicts nothing.
    """

    blocks: tuple[Block, ...]
    """In the order in which they stand in the rows, one row after another."""
    prompts: Int[torch.Tensor, " n"]
    """For each block, the row of the batch that its prompt is taken from."""
    tokens: Int[torch.Tensor, "R N"]
    """For each packed token, its place in the batch, row × (P + C) + column."""
    origins: Int[torch.Tensor, "R N"]
    """For each packed token, the prompt token that its position is counted from, block × P + column."""
    offsets: Int[torch.Tensor, "R N"]
    """For each packed token, how far its position is from that."""
    scored: Int[torch.Tensor, " K"]
    """Packed tokens that predict something, row × N + column."""
    predicted: Int[torch.Tensor, " K"]
    """For each of those, what it predicts: the place in the batch, row × (P + C) + column."""
    results: Int[torch.Tensor, " K"]
    """For each of those, its place among the completions, row × C + column."""

    def to(self, device: torch.device) -> PackedLayout:
        """The same on a device."""
        moved = (getattr(self, name).to(device) for name in self.__dataclass_fields__ if name != "blocks")
        return PackedLayout(self.blocks, *moved)

    def scoring(self, wanted: Bool[torch.Tensor, "B T"]) -> PackedLayout:
        """The same, in which only such tokens of the batch are predicted."""
        kept = wanted.reshape(-1)[self.predicted]
        return replace(self, scored=self.scored[kept], predicted=self.predicted[kept], results=self.results[kept])

    def positions(self, of_prompts: Int[torch.Tensor, "axes n P"]) -> Int[torch.Tensor, "axes R N"]:
        """Positions of packed tokens, from those of each block's prompt on each axis."""
        return of_prompts.flatten(1)[:, self.origins] + self.offsets

    def unpacked(self, values: Float[torch.Tensor, " K"], shape: tuple[int, int]) -> Float[torch.Tensor, "B C"]:
        """What tokens that predict something have, as the completions have it; 0 where a completion has no token."""
        return values.new_zeros(shape[0] * shape[1]).index_copy(0, self.results, values).view(shape)


def lay_out(
    mask: Bool[torch.Tensor, "B T"], completion: int, owners: Sequence[int], capacity: int | None = None
) -> PackedLayout:
    """Lay the rows of a batch out as branches of their prompts.

    Args:
        mask: which tokens count, on the CPU; padding may be on either side of prompts and completions.
        completion: C, columns of a completion; the columns before it are the prompt's.
        owners: for each row the number of its prompt, counted by first appearance.
        capacity: tokens of a packed row; prompts share one as long as they fit, and a longer one makes all rows
            longer. None puts all into one row.
    """
    width = mask.shape[1] - completion
    kept = [columns.nonzero()[:, 0] for columns in mask]
    rows: list[list[int]] = [[] for _ in range(max(owners) + 1)]
    for row, owner in enumerate(owners):
        rows[owner].append(row)
    prompts = [kept[mine[0]][kept[mine[0]] < width] for mine in rows]
    answers = {row: columns[columns >= width] for row, columns in enumerate(kept)}
    branches = [[row for row in mine if len(answers[row])] for mine in rows]
    lengths = [
        len(prompt) - 1 + sum(len(answers[row]) for row in mine) for prompt, mine in zip(prompts, branches, strict=True)
    ]
    shelves = _shelves(lengths, capacity)
    blocks: list[Block] = []
    tokens, origins, offsets, scored, predicted, results = [], [], [], [], [], []
    size = max(sum(lengths[owner] for owner in shelf) for shelf in shelves)
    total = mask.shape[1]
    for number, shelf in enumerate(shelves):
        place = 0
        for owner in shelf:
            prompt, first = prompts[owner], rows[owner][0]
            at, spot = len(blocks) * width, number * size + place
            blocks.append(Block(number, place, len(prompt) - 1, tuple(len(answers[row]) for row in branches[owner])))
            tokens.append(first * total + prompt[:-1])
            origins.append(at + prompt[:-1])
            offsets.append(torch.zeros(len(prompt) - 1, dtype=torch.long))
            spot += len(prompt) - 1
            for row in branches[owner]:
                answer = answers[row]
                tokens.append(torch.cat([first * total + prompt[-1:], row * total + answer[:-1]]))
                origins.append((at + prompt[-1:]).expand(len(answer)))
                offsets.append(torch.arange(len(answer)))
                scored.append(torch.arange(spot, spot + len(answer)))
                predicted.append(row * total + answer)
                results.append(row * completion + answer - width)
                spot += len(answer)
            place += blocks[-1].length
        last = prompts[shelf[-1]][-1:]
        rest = size - place
        tokens.append((rows[shelf[-1]][0] * total + last).expand(rest))
        origins.append(((len(blocks) - 1) * width + last).expand(rest))
        offsets.append(torch.zeros(rest, dtype=torch.long))
    shape = (len(shelves), size)
    none = [torch.zeros(0, dtype=torch.long)]
    return PackedLayout(
        tuple(blocks),
        torch.tensor([rows[owner][0] for shelf in shelves for owner in shelf]),
        *(torch.cat(pieces).view(shape) for pieces in (tokens, origins, offsets)),
        *(torch.cat(none + pieces) for pieces in (scored, predicted, results)),
    )


def packed_size(lengths: Sequence[int], capacity: int | None = None) -> int:
    """Tokens of all packed rows, with what fills them up.

    >>> packed_size([5, 3, 4]), packed_size([5, 3, 4], capacity=0)
    (12, 15)

    Args:
        lengths: of each prompt with its branches, as `Block.length` has it; at least one.
        capacity: as in `lay_out`.
    """
    shelves = _shelves(lengths, capacity)
    return len(shelves) * max(sum(lengths[owner] for owner in shelf) for shelf in shelves)


def _shelves(lengths: Sequence[int], capacity: int | None) -> list[list[int]]:
    """Which prompts share a packed row: the longest first, each where it fits first (first-fit decreasing)."""
    if capacity is None:
        return [list(range(len(lengths)))]
    room = max(capacity, *lengths)
    shelves: list[list[int]] = []
    left: list[int] = []
    for owner in sorted(range(len(lengths)), key=lambda owner: -lengths[owner]):
        found = next((shelf for shelf, space in enumerate(left) if lengths[owner] <= space), None)
        if found is None:
            found = len(shelves)
            shelves.append([])
            left.append(room)
        shelves[found].append(owner)
        left[found] -= lengths[owner]
    return shelves
