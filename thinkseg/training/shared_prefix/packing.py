"""One pass of a model over a packed row: what it is given of a batch, and what comes back for each completion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from thinkseg.models.sharing.attention import attend_in_blocks, block_mask, dense_mask
from thinkseg.models.sharing.prefix import PackedLayout, lay_out
from thinkseg.training.shared_prefix.batch import Batch


def run_packed(model: Any, core: Any, batch: Batch) -> tuple[Any, PackedLayout]:
    """Let a model with TRL's fused head score completions as branches of their prompts.

    Args:
        model: as it is called, with whatever spreads it over processes.
        core: the model itself, of `AutoModelForImageTextToText`.
        batch: the rows; at least one token of a completion counts. Where they have `labels`, (B, P + C), tokens are not
            scored where these are -100.

    Returns:
        What the model gives, its fields (1, K), and the layout, which says where each of the K is in the batch.
    """
    in_blocks = attend_in_blocks(core)
    layout = lay_out(batch.mask.bool().cpu(), batch.completion, batch.owners(), capacity_of(core))
    if "labels" in batch.rows:
        layout = layout.scoring((batch.rows["labels"] != IGNORED).cpu())
    mask = block_mask(layout.blocks) if in_blocks else dense_mask(layout).to(batch.ids.device)
    if core.config.get_text_config()._attn_implementation == "eager":  # which adds its mask
        mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
    layout = layout.to(batch.ids.device)
    prompts = batch.taken(layout.prompts.tolist())
    inputs = prompts.joined()
    for name in ("num_images", "num_tiles", "labels"):
        inputs.pop(name, None)
    inputs["position_ids"] = _positions(core, prompts, layout)
    inputs["input_ids"] = batch.ids.reshape(-1)[layout.tokens]
    if "mm_token_type_ids" in inputs:
        inputs["mm_token_type_ids"] = batch.rows["mm_token_type_ids"].reshape(-1)[layout.tokens]
    predicted = batch.ids.reshape(-1)[layout.predicted][None]
    with _only_scored(core, layout):
        return model(**inputs, attention_mask=mask, shift_labels=predicted, fused_lm_head=True), layout


IGNORED = -100
"""The label of a token that is not scored."""


def capacity_of(core: Any) -> int | None:
    """How many tokens of several prompts a packed row of a model holds, as `lay_out` takes it: any number where it
    attends block by block; else, since a mask grows with the square of a row, no more than the longest prompt has.
    """
    return None if attend_in_blocks(core) else 0


@contextmanager
def _only_scored(core: Any, layout: PackedLayout) -> Iterator[None]:
    """While this is open, the model hands its head only those hidden states that predict something, as one row."""

    def pick(module: Any, args: Any, output: Any) -> Any:
        hidden = output.last_hidden_state
        output.last_hidden_state = hidden.flatten(0, 1).index_select(0, layout.scored)[None]
        return output

    hook = core.base_model.register_forward_hook(pick)
    try:
        yield
    finally:
        hook.remove()


def _positions(core: Any, prompts: Batch, layout: PackedLayout) -> torch.Tensor:
    """Of packed tokens: (3, R, N) where the model counts images on three axes, else (R, N)."""
    width = prompts.ids.shape[1] - prompts.completion
    ids, mask = prompts.ids[:, :width], prompts.mask[:, :width]
    kinds = prompts.rows.get("mm_token_type_ids")
    if kinds is None or "image_grid_thw" not in prompts.rows or not hasattr(core.model, "get_rope_index"):
        return layout.positions((mask.long().cumsum(1) - 1).clamp(min=0)[None])[0]
    grids = torch.cat(list(prompts.rows["image_grid_thw"]))
    positions, _ = core.model.get_rope_index(
        ids, mm_token_type_ids=kinds[:, :width], image_grid_thw=grids, attention_mask=mask
    )
    return layout.positions(positions)
