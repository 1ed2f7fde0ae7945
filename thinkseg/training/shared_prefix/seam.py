"""What of TRL the shared prefix goes by: `GRPOTrainer` has no public place for it, so that any release may move it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

Seam = Mapping[str, tuple[str, ...]]
"""Methods of a trainer, with the arguments that they have to have."""

SEAM: Seam = {
    "_get_per_token_logps_and_entropies": (
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
        "compute_entropy",
        "compute_aux_loss",
        "pixel_values",
        "image_grid_thw",
        "num_images",
        "pixel_attention_mask",
        "spatial_shapes",
        "num_tiles",
        "image_sizes",
        "token_type_ids",
        "mm_token_type_ids",
        "image_position_ids",
    ),
    "_prepare_inputs": ("self", "generation_batch"),
    "_generate_and_score_completions": ("self", "inputs"),
    "training_step": ("self", "model", "inputs", "num_items_in_batch"),
}
"""Methods of TRL's `GRPOTrainer` that are overridden here, with the arguments that they have to have."""

SEAM_OF_IMITATION: Seam = {"compute_loss": ("self", "model", "inputs", "return_outputs", "num_items_in_batch")}
"""The same of TRL's `SFTTrainer`."""

HELPERS = ("split_pixel_values_by_grid", "unsplit_pixel_values_by_grid", "split_tensor_dict", "add_fused_lm_head")
"""Functions of `trl.trainer.utils` that this goes by."""


def moved_seam(trainer: type, seam: Seam = SEAM) -> str | None:
    """What of the parts of TRL that this goes by is not as it was; None if nothing.

    Args:
        trainer: one of TRL's, or a class derived from it.
        seam: what it is to have.
    """
    import trl.trainer.utils

    for name, arguments in seam.items():
        method = getattr(trainer, name, None)
        if method is None:
            return f"there is no '{name}'"
        if tuple(inspect.signature(method).parameters) != arguments:
            return f"'{name}' has other arguments"
    missing = [name for name in HELPERS if not hasattr(trl.trainer.utils, name)]
    return f"there is no '{missing[0]}'" if missing else None
