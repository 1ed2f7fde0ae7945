"""Imitation that computes an image once for all rows that ask about it, and what their prompts begin with, too.

Rows of a micro-batch with the same image are one packed sequence: what they have in common from their first token on,
and behind it for each of them the rest of its prompt and its answer, as a branch. Loss, gradients and what is logged
are TRL's, since TRL works them out, of the same log-probabilities of the same tokens.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from thinkseg.training.shared_prefix.batch import Batch, few_of
from thinkseg.training.shared_prefix.deciding import Deciding, SharedPrefix, averages_over_images, derived
from thinkseg.training.shared_prefix.packing import IGNORED, run_packed
from thinkseg.training.shared_prefix.regrouping import batch_by_image
from thinkseg.training.shared_prefix.seam import SEAM_OF_IMITATION
from thinkseg.training.stage import CreateTrainer

if TYPE_CHECKING:
    from trl import SFTTrainer as _Trainer
else:
    _Trainer = object


def sharing_images(create: CreateTrainer, setting: SharedPrefix, image_token: int | None) -> CreateTrainer:
    """What makes a trainer that shares images, from what makes TRL's.

    Args:
        create: TRL's `SFTTrainer` or a class derived from it; anything else is left as it is.
        setting: as the recipe says.
        image_token: what stands for a piece of an image, as the model's family knows it; None where it does not.

    Raises:
        RecipeError: it is to share them, and this release of TRL is not known.
    """
    return derived(create, SharedImagesMixin, SEAM_OF_IMITATION, {"setting": setting, "image_token": image_token})


class SharedImagesMixin(Deciding, _Trainer):
    """The part of a trainer that shares images, before TRL's class in the order of resolution."""

    apart = "each row is computed with an image and a prompt of its own"
    image_token: int | None = None

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's, of a model that is given rows and goes through them packed."""
        if not return_outputs and self._refused is None:
            batch = batch_by_image(inputs, self.image_token)
            has_shared = batch is not None and batch.has_shared
            self._decide(model, batch, has_shared)
            if batch is not None and has_shared and self._refused is None:
                model = partial(self._packed, model, batch)
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _packed(self, model: Any, batch: Batch, **_inputs: Any) -> Any:
        """What the model gives for the tokens that are learnt, as one row of them."""
        return run_packed(model, self._core(model), batch)[0]

    def _decide(self, model: Any, batch: Batch | None, has_shared: bool) -> None:
        """Find out at the first batch in which an image comes again, in whichever process, whether it can be shared."""
        if self._measured:
            return
        found = torch.tensor([[batch is None, has_shared]], device=self.accelerator.device)
        unknown, shared = self.accelerator.gather(found).any(0).tolist()
        self._measured = unknown or shared
        if batch is None or unknown:
            self._refuse("which tokens stand for which image is not known")
        elif shared:
            self._refuse(self._reason_beforehand(model) or self._measure(model, batch))

    def _measure(self, model: Any, batch: Batch) -> str | None:
        """Compute a few log-probabilities both ways; why images cannot be shared, or None."""
        few = few_of(batch)
        labels = few.rows["labels"]
        counted = labels[:, -few.completion :] != IGNORED

        def plain() -> torch.Tensor:
            inputs = {name: value for name, value in few.joined().items() if name not in ("num_images", "num_tiles")}
            inputs["labels"] = few.ids.masked_fill(labels == IGNORED, IGNORED)
            outputs = model(input_ids=few.ids, attention_mask=few.mask, use_cache=False, fused_lm_head=True, **inputs)
            return outputs.log_probs[:, -few.completion :].masked_fill(~counted, 0)  # type: ignore[no-any-return]

        def packed() -> torch.Tensor:
            outputs, layout = run_packed(model, self._core(model), few)
            return layout.unpacked(outputs.log_probs[0], few.shape)

        return self._compared(model, plain, packed, counted)

    def _reason_beforehand(self, model: torch.nn.Module) -> str | None:
        """What speaks against it before anything is computed."""
        if averages_over_images(model):
            return "its vision tower is trained with a mean over images (batch norm), in which copies count"
        if self.label_smoother is not None or self.compute_loss_func is not None:
            return "smoothed labels are held against all logits of each row"
        if self.aux_loss_enabled:
            return "the loss that balances a router's experts counts every token of every prompt"
        if self.args.neftune_noise_alpha:
            return "noise on embeddings ('trl.neftune_noise_alpha') is drawn for each row"
        return self._reason_of_model()
