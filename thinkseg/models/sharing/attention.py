"""Attention of packed rows: a branch sees its prompt and itself (`thinkseg.models.sharing.prefix` makes such rows).

With `sdpa` of transformers, attention runs block by block: the prompt on itself as any causal sequence, and the
branches as a batch of their own, each on the prompt and itself. No mask grows with the square of a row. Any other kind
of attention is given a mask of R×N×N, which `dense_mask` makes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch.nn.utils.rnn import pad_sequence

from thinkseg.models.sharing.prefix import Block, Layout

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


def block_mask(blocks: Iterable[Block]) -> Int[torch.Tensor, "1 1 s 2"]:
    """Blocks of a single packed row in place of an attention mask, for a model that attends block by block.

    A segment of each prefix and of each branch: its length, and 1 for a prefix. It stays on the CPU.
    """
    segments = [(length, prefix) for block in blocks for length, prefix in _segments(block)]
    return torch.tensor(segments, dtype=torch.int32)[None, None]


def dense_mask(layout: Layout) -> Bool[torch.Tensor, "R 1 N N"]:
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
    outputs, start = [], 0
    for prefix, branches in _blocks(attention_mask[0, 0].tolist()):
        stem = slice(start, start + prefix)
        queries, keys, values = (states[:, :, stem] for states in (query, key, value))
        if prefix:
            outputs.append(sdpa(module, queries, keys, values, None, **options)[0])
        start += prefix
        if branches:
            rest = slice(start, start + sum(branches))
            own = [_as_batch(states[0, :, rest], branches) for states in (query, key, value)]
            seen = [
                torch.cat([stems.expand(len(branches), -1, -1, -1), mine], dim=2)
                for stems, mine in zip((keys, values), own[1:], strict=True)
            ]
            longest = max(branches)
            mask = torch.ones(longest, prefix + longest, dtype=torch.bool, device=query.device).tril(prefix)
            together = sdpa(module, own[0], *seen, mask[None, None], **options)[0]
            outputs.append(_as_row(together, branches))
            start = rest.stop
    return torch.cat(outputs, dim=1), None


def _blocks(segments: list[list[int]]) -> list[tuple[int, list[int]]]:
    """Each prefix with its branches."""
    blocks: list[tuple[int, list[int]]] = []
    for length, is_prefix in segments:
        if is_prefix:
            blocks.append((length, []))
        else:
            blocks[-1][1].append(length)
    return blocks


def _as_batch(states: Float[torch.Tensor, "h n d"], lengths: list[int]) -> Float[torch.Tensor, "g h c d"]:
    """Branches that follow one another as rows, filled up with zeros behind their ends."""
    if len(set(lengths)) == 1:
        heads, _, size = states.shape
        return states.reshape(heads, len(lengths), lengths[0], size).transpose(0, 1)
    pieces = torch.split(states.transpose(0, 1), lengths)
    return pad_sequence(list(pieces), batch_first=True).transpose(1, 2)


def _as_row(outputs: Float[torch.Tensor, "g c h d"], lengths: list[int]) -> Float[torch.Tensor, "1 n h d"]:
    """Rows of branches one after another, without what filled them up."""
    if len(set(lengths)) == 1:
        return outputs.flatten(0, 1)[None]
    return torch.cat([output[:length] for output, length in zip(outputs, lengths, strict=True)])[None]
