"""The rows of which TRL wants log-probabilities, and which of them belong to one prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from thinkseg.models.sharing.distinct import distinct


@dataclass(frozen=True, slots=True)
class Batch:
    """What log-probabilities are asked for."""

    ids: torch.Tensor
    """(B, P + C)"""
    mask: torch.Tensor
    """(B, P + C)"""
    completion: int
    """C."""
    rows: Mapping[str, Any]
    """Of the images, and whatever else a row has: a tensor or a list with an entry for each row."""

    @property
    def shape(self) -> tuple[int, int]:
        """B and C."""
        return len(self.ids), self.completion

    @classmethod
    def joining(cls, batches: Sequence[Batch]) -> Batch:
        """The rows of several batches of one shape, one batch after the other."""
        fields = {name: _joined([batch.rows[name] for batch in batches]) for name in batches[0].rows}
        ids, mask = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("ids", "mask"))
        return cls(ids, mask, batches[0].completion, fields)

    def taken(self, rows: Sequence[int]) -> Batch:
        """Some of its rows."""
        at = list(rows)
        fields = {name: _taken(value, at) for name, value in self.rows.items()}
        return Batch(self.ids[at], self.mask[at], self.completion, fields)

    def joined(self) -> dict[str, Any]:
        """The images as TRL has them."""
        from trl.trainer.utils import unsplit_pixel_values_by_grid

        return cast("dict[str, Any]", unsplit_pixel_values_by_grid(dict(self.rows)))

    @property
    def has_shared(self) -> bool:
        """Whether rows have a prompt and its image in common."""
        owners = self.owners()
        return max(owners) + 1 < len(owners)

    def owners(self) -> list[int]:
        """For each row the number of its prompt, which is another one where the image is."""
        width = self.ids.shape[1] - self.completion
        return _owners(self.ids[:, :width], self.mask[:, :width], self.rows.get("pixel_values"))


def create_batch(ids: torch.Tensor, mask: torch.Tensor, completion: int, options: Mapping[str, Any]) -> Batch:
    """The rows of a call as TRL makes it.

    Args:
        ids: prompts and completions, (B, P + C).
        mask: which of them count, (B, P + C).
        completion: C.
        options: what else TRL gives, with the images of all rows behind one another.
    """
    from trl.trainer.utils import split_pixel_values_by_grid

    rows = {name: value for name, value in options.items() if value is not None}
    return Batch(ids, mask, completion, split_pixel_values_by_grid(rows))


def _owners(ids: torch.Tensor, mask: torch.Tensor, pixels: Any) -> list[int]:
    """For each row the number of its prompt and image, counted by first appearance."""
    prompts = [tuple(row) for row in ids.masked_fill(mask == 0, -1).tolist()]
    images = [torch.zeros(1) for _ in prompts] if pixels is None else list(pixels)
    return distinct(images, prompts)[1]


def with_whole_groups(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same rows in parts of the same size, those of one prompt next to each other.

    Args:
        parts: as TRL buffers them. Prompts keep the order in which they come first.
    """
    from trl.trainer.utils import split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

    rows = [split_pixel_values_by_grid(dict(part)) for part in parts]
    whole = {name: _joined([part[name] for part in rows]) for name in rows[0]}
    owners = _owners(whole["prompt_ids"], whole["prompt_mask"], whole.get("pixel_values"))
    order = sorted(range(len(owners)), key=owners.__getitem__)
    ordered = {name: _taken(value, order) for name, value in whole.items()}
    return [unsplit_pixel_values_by_grid(part) for part in split_tensor_dict(ordered, len(parts))]


def _joined(values: Sequence[Any]) -> Any:
    """One field of several parts as one; what is not by row is the same in all of them."""
    if isinstance(values[0], torch.Tensor) and values[0].ndim:
        return torch.cat(list(values))
    return [entry for value in values for entry in value] if isinstance(values[0], list) else values[0]


def _taken(value: Any, rows: Sequence[int]) -> Any:
    """Some rows of a field."""
    if isinstance(value, torch.Tensor):
        return value[list(rows)] if value.ndim else value
    return [value[row] for row in rows] if isinstance(value, list) else value


def few_of(batch: Batch) -> Batch:
    """Two prompts of a batch with two completions each, the second of which is the first one turned by a token."""
    owners = batch.owners()
    rows = [owners.index(owner) for owner in range(min(2, max(owners) + 1))]
    few = batch.taken([row for row in rows for _ in range(2)])
    ids, mask = few.ids.clone(), few.mask.clone()
    answers = mask[:, -batch.completion :]
    answers[answers.sum(1) == 0] = 1  # completions that do not count would show nothing
    ids[1::2, -batch.completion :] = ids[1::2, -batch.completion :].roll(1, dims=1)
    return Batch(ids, mask, few.completion, few.rows)
