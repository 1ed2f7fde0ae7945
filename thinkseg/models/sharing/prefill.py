"""Run the language model over a prompt once, however many completions of it are sampled together.

`generate` of transformers begins with a pass over all rows of a batch, and the rows of a group are the same prompt.
Here equal rows go through the language model once; what it made of them, keys and values too, is then repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int

from thinkseg.models.sharing.distinct import distinct

_BY_ROW = ("inputs_embeds", "attention_mask", "position_ids")
_KNOWN = (*_BY_ROW, "cache_position", "visual_pos_masks", "deepstack_visual_embeds")


@contextmanager
def prompts_read_once(model: Any) -> Iterator[None]:
    """While this is open, `generate` reads equal prompts of a batch once; logits stay the same but for rounding.

    Rows are equal where all that the language model is given of them is, what it sees of the images included. It is
    left alone where that cannot be told of each row: with a cache that is not a plain one that grows, or with tensors
    that are not known here.

    Args:
        model: of `AutoModelForImageTextToText`, without adapters around it.
    """
    language: Any = model.get_decoder()
    forward = language.forward

    def forward_distinct(*unnamed: Any, **inputs: Any) -> Any:
        rows = None if unnamed else _equal_rows(inputs)
        if rows is None:
            return forward(*unnamed, **inputs)
        first, every = (torch.tensor(numbers, device=inputs["inputs_embeds"].device) for numbers in rows)
        output = forward(**_of_rows(inputs, first))
        inputs["past_key_values"].batch_select_indices(every)
        output.last_hidden_state = output.last_hidden_state.index_select(0, every)
        return output

    outer = vars(language).get("forward")
    language.forward = forward_distinct
    try:
        yield
    finally:
        if outer is None:
            del language.forward
        else:
            language.forward = outer


def _equal_rows(inputs: Mapping[str, Any]) -> tuple[Sequence[int], Sequence[int]] | None:
    """Of a first pass with equal rows, the first of each kind and the kind of each; None for any other pass."""
    embedded, mask, places = (inputs.get(name) for name in _BY_ROW)
    if embedded is None or torch.is_grad_enabled() or not _is_empty(inputs.get("past_key_values")):
        return None
    if mask is not None and (not isinstance(mask, torch.Tensor) or mask.shape != embedded.shape[:2]):
        return None
    if places is not None and places.shape[-2:] != embedded.shape[:2]:
        return None
    if any(name not in _KNOWN and isinstance(value, torch.Tensor | list | tuple) for name, value in inputs.items()):
        return None
    own = [value.movedim(-2, 0).flatten(1).tolist() for value in (mask, places) if value is not None]
    keys = [tuple(tuple(of_kind[row]) for of_kind in own) for row in range(len(embedded))]
    first, position = distinct(embedded.unbind(), keys)
    return None if len(first) == len(embedded) else (first, position)


def _is_empty(cache: Any) -> bool:
    """Whether it is a cache that grows by what is put into it, with nothing in it yet."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    plain = type(cache) is DynamicCache and all(type(layer) is DynamicLayer for layer in cache.layers)
    return bool(plain and not cache.get_seq_length())


def _of_rows(inputs: Mapping[str, Any], rows: Int[torch.Tensor, " r"]) -> dict[str, Any]:
    """What a pass over some of the rows is given, the rows in their order."""
    few = dict(inputs)
    for name in (*_BY_ROW, "visual_pos_masks"):
        if isinstance(few.get(name), torch.Tensor):
            few[name] = few[name].index_select(-2 if name == "position_ids" else 0, rows)
    levels, seen = inputs.get("deepstack_visual_embeds"), inputs.get("visual_pos_masks")
    if levels is not None and seen is not None:  # of Qwen3-VL: a row for each token of an image, in the batch's order
        kept = torch.isin(seen.nonzero()[:, 0], rows)
        few["deepstack_visual_embeds"] = [level[kept] for level in levels]
    return few
