"""Attention of packed rows: a branch sees its prompt and itself (`thinkseg.models.sharing.prefix` makes such rows).

With `sdpa` of transformers, attention runs in two parts: prompts on themselves as any causal sequences, and branches as
a batch of their own, each on its prompt and itself. No mask grows with the square of a row. Any other kind of attention
is given a mask of R×N×N, which `dense_mask` makes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int

from thinkseg.models.sharing.prefix import Block, PackedLayout

NAME = "thinkseg_sdpa"
"""Under which transformers knows this attention."""


def attend_in_blocks(model: Any) -> bool:
    """Let the language model of a model attend block by block where it is told blocks; otherwise it works as before.

    Args:
        model: of transformers.

    Returns:
        Whether it can: it attends with `sdpa`.
    """
    config = model.config.get_text_config()
    if config._attn_implementation == "sdpa":
        _register()
        config._attn_implementation = NAME
    return bool(config._attn_implementation == NAME)


def takes_masks(config: Any) -> bool:
    """Whether a language model attends in a way that takes blocks or a mask of a packed row; flex attention goes on
    with either as with numbers to add, and may end the process.

    Args:
        config: transformers' of the language model.
    """
    return config._attn_implementation in ("sdpa", "eager", NAME)


def block_mask(blocks: Iterable[Block]) -> Int[torch.Tensor, "1 1 s 2"]:
    """Blocks of a single packed row in place of an attention mask, for a model that attends block by block.

    A segment of each prefix and of each branch: its length, and 1 for a prefix. It stays on the CPU.
    """
    segments = [(length, prefix) for block in blocks for length, prefix in _segments(block)]
    return torch.tensor(segments, dtype=torch.int32)[None, None]


def dense_mask(layout: PackedLayout) -> Bool[torch.Tensor, "R 1 N N"]:
    """What each packed token sees, on the CPU."""
    rows, size = layout.tokens.shape
    mask = torch.eye(size, dtype=torch.bool).repeat(rows, 1, 1)
    for block in layout.blocks:
        seen = mask[block.row]
        stem = slice(block.start, block.start + block.prefix)
        seen[stem, stem] = _causal(block.prefix)
        place = stem.stop
        for length in block.branches:
            branch = slice(place, place + length)
            seen[branch, stem] = True
            seen[branch, branch] = _causal(length)
            place += length
    return mask[:, None]


def _segments(block: Block) -> list[tuple[int, int]]:
    return [(block.prefix, 1), *((length, 0) for length in block.branches)]


def _causal(length: int) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool).tril()


def _register() -> None:
    """Tell transformers of this attention; masks that nobody packed are made as for `sdpa`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """As transformers calls its attention: (1, heads, N, dimension) each, and back comes (1, N, heads, dimension)."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward as sdpa

    if attention_mask is None or attention_mask.dtype != torch.int32:
        output: torch.Tensor = sdpa(module, query, key, value, attention_mask, **options)[0]
        return output, None
    plan = _plan_of(attention_mask, query.device)
    stems = [_rows_of(states, plan.stems) for states in (query, key, value)]
    outputs = [sdpa(module, *stems, None, **options)[0].flatten(0, 1)] if stems[0].shape[2] else []
    if len(plan.branches):
        own = [_rows_of(states, plan.branches) for states in (query, key, value)]
        seen = [torch.cat([plan.spread(stem), mine], dim=2) for stem, mine in zip(stems[1:], own[1:], strict=True)]
        outputs.append(sdpa(module, own[0], *seen, plan.mask, **options)[0].flatten(0, 1))
    return torch.cat(outputs).index_select(0, plan.order)[None], None


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where a packed row's tokens are among prefixes (n rows of p) and branches (b rows of c), filled up behind."""

    stems: Int[torch.Tensor, "n p"]
    """Places in the packed row."""
    branches: Int[torch.Tensor, "b c"]
    """Places in the packed row."""
    counts: tuple[int, ...]
    """For each prefix the number of its branches."""
    mask: Bool[torch.Tensor, "_ 1 c seen"]
    """What a branch's token sees of its prefix and its branch; one for all branches where prefixes are equally long."""
    order: Int[torch.Tensor, " N"]
    """For each packed token its place among all rows of prefixes and of branches."""

    def spread(self, stems: Float[torch.Tensor, "n h p d"]) -> Float[torch.Tensor, "b h p d"]:
        """For each branch what its prefix has."""
        if len(set(self.counts)) == 1:  # an expansion, whose backward pass adds up in one order
            return stems[:, None].expand(-1, self.counts[0], -1, -1, -1).flatten(0, 1)
        owners = [owner for owner, count in enumerate(self.counts) for _ in range(count)]
        return stems.index_select(0, torch.tensor(owners, device=stems.device))


def _plan_of(mask: torch.Tensor, device: torch.device) -> _Plan:
    """The plan that a mask of blocks stands for; made once, as long as the mask is not copied on its way."""
    plan: _Plan | None = getattr(mask, "plan", None)
    if plan is None or plan.order.device != device:
        plan = _create_plan(mask[0, 0].tolist(), device)
        mask.plan = plan  # type: ignore[attr-defined]
    return plan


def _create_plan(segments: list[list[int]], device: torch.device) -> _Plan:
    prefixes = [length for length, is_prefix in segments if is_prefix]
    lengths = [length for length, is_prefix in segments if not is_prefix]
    stems: list[torch.Tensor] = []
    branches: list[torch.Tensor] = []
    counts, order, start = [], [], 0
    high, deep = max(prefixes), max(lengths, default=0)
    for length, is_prefix in segments:
        size, rows = (high, stems) if is_prefix else (deep, branches)
        first = 0 if is_prefix else len(prefixes) * high
        order.append(first + len(rows) * size + torch.arange(length))
        rows.append(start + torch.arange(size).clamp(max=max(length - 1, 0)))
        if is_prefix:
            counts.append(0)
        else:
            counts[-1] += 1
        start += length
    mask = torch.ones(deep, high + deep, dtype=torch.bool).tril(high)[None, None]
    if len(set(prefixes)) > 1:
        inside = torch.arange(high) < torch.tensor(prefixes).repeat_interleave(torch.tensor(counts))[:, None]
        mask = mask.repeat(len(lengths), 1, 1, 1)
        mask[..., :high] &= inside[:, None, None]
    none = torch.zeros(0, deep, dtype=torch.long)
    return _Plan(
        torch.stack(stems).clamp(max=start - 1).to(device),
        (torch.stack(branches) if branches else none).to(device),
        tuple(counts),
        mask.to(device),
        torch.cat(order).to(device),
    )


def _rows_of(
    states: Float[torch.Tensor, "1 h N d"], places: Int[torch.Tensor, "r c"]
) -> Float[torch.Tensor, "r h c d"]:
    """Rows of a packed row's tokens."""
    picked = states[0].index_select(1, places.flatten())
    return picked.view(len(picked), *places.shape, picked.shape[-1]).transpose(0, 1)
