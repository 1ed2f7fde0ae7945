"""GRPO that computes a prompt once for all of its completions.

TRL runs the language model over each completion's own copy of the prompt: to sample, to train, and again for the old
and the reference log-probabilities. A prompt with an image has hundreds of tokens and a completion a few, so that most
of that is the same work done again. Here a group is one packed sequence (`thinkseg.models.sharing.prefix`), with the
same log-probabilities, entropies and gradients, and what transformers samples begins with one pass over the prompt.
Whether they are the same `deciding` measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from thinkseg.errors import RecipeError
from thinkseg.models.sharing.pixels import images_processed_once
from thinkseg.models.sharing.prefill import prompts_read_once
from thinkseg.training.checkpoints import warn
from thinkseg.training.shared_prefix.batch import Batch, create_batch, few_of, with_whole_groups
from thinkseg.training.shared_prefix.deciding import Deciding, SharedPrefix, averages_over_images, derived
from thinkseg.training.shared_prefix.packing import capacity_of, run_packed
from thinkseg.training.shared_prefix.passes import Pass, fill, tokens_needed
from thinkseg.training.shared_prefix.reducing import add_up_next, moved_reducer
from thinkseg.training.shared_prefix.seam import SEAM
from thinkseg.training.stage import CreateTrainer

if TYPE_CHECKING:
    from trl import GRPOTrainer as _Trainer
else:
    _Trainer = object

_Scores = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
_NOT_PROVEN = ("spatial_shapes", "token_type_ids", "image_position_ids")
_OF_ROWS = SEAM["_get_per_token_logps_and_entropies"][8:]


def sharing(create: CreateTrainer, setting: SharedPrefix, tokens: int | None = None) -> CreateTrainer:
    """What makes a trainer that shares prefixes, from what makes TRL's.

    Args:
        create: TRL's `GRPOTrainer` or a class derived from it; anything else is left as it is.
        setting: as the recipe says.
        tokens: that a pass has room for, whose micro-batches go through the model together; None for each on its own.

    Raises:
        RecipeError: it is to share them, and this release of TRL is not known.
    """
    settings: dict[str, Any] = {"setting": setting, "tokens": tokens}
    if tokens is not None:
        settings["apart"] = f"{SharedPrefixMixin.apart}, and 'tokens_per_pass' has no effect"
    return derived(create, SharedPrefixMixin, SEAM, settings)


class SharedPrefixMixin(Deciding, _Trainer):
    """The part of a trainer that shares prefixes, before TRL's class in the order of resolution."""

    tokens: int | None = None
    _buffered_inputs: Any
    _pass: Pass | None = None

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any) -> Any:
        """Go back through the model once the last micro-batch of a pass is done."""
        part = self._step % self.args.steps_per_generation
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self._pass is not None and self._pass.parts[-1] == part:
            self._go_back(model, self._pass)
            self._pass = None
        return loss

    def _go_back(self, model: Any, done: Pass) -> None:
        """Gradients of a pass. Those of a step's last one are added up over processes, as its forward pass may not say:
        it was made for a micro-batch after which others come.
        """
        if self.accelerator.sync_gradients:
            add_up_next(model, done.scores)
        done.go_back()

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """Let the parts of a set of rollouts hold whole groups, which TRL's shuffle has torn apart."""
        before: Any = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        parts: Any = self._buffered_inputs
        if parts is before or parts is None:
            return inputs
        self._decide(self.model, *_call_of(parts[0]))
        if self._refused is not None or len(parts) == 1:
            return inputs
        self._buffered_inputs = with_whole_groups(parts)
        return self._buffered_inputs[self._step % len(parts)]

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        """Let the processor see each image once, and the model read each prompt once before it writes."""
        with images_processed_once(self.processing_class), prompts_read_once(self._core(self.model)):
            return super()._generate_and_score_completions(inputs)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        **options: Any,
    ) -> _Scores:
        plain = super()._get_per_token_logps_and_entropies
        self._decide(model, input_ids, attention_mask, logits_to_keep, options)
        if self._refused is not None:
            found: _Scores = plain(model, input_ids, attention_mask, logits_to_keep, **options)
            return found
        if torch.is_grad_enabled() and (budget := self._budget(model)) is not None:
            logps, entropies = self._of_pass(model, budget)
            return logps, entropies, None
        size = options.pop("batch_size", None) or len(input_ids)
        entropy = options.pop("compute_entropy", False)
        options.pop("compute_aux_loss", None)
        batch = create_batch(input_ids, attention_mask, logits_to_keep, options)
        # As many forward passes as other processes make: those that share weights have to make the same number.
        passes = self._filled(batch, size, self.tokens) if self.tokens is not None else None
        each = passes or [range(part, part + 1) for part in range(-(-len(input_ids) // size))]
        rows = [range(parts.start * size, min(parts.stop * size, len(input_ids))) for parts in each]
        scores = [self._scored(model, batch.taken(mine), entropy) for mine in rows]
        logps = torch.cat([values for values, _ in scores])
        return logps, torch.cat([values for _, values in scores]) if entropy else None, None

    def _budget(self, model: Any) -> int | None:
        """Tokens of a pass that is gone back through; None for a micro-batch at a time."""
        moved = None if self.tokens is None else moved_reducer(model)
        if moved is not None:
            self.tokens = None
            if self.accelerator.is_main_process:
                warn(
                    f"PyTorch {torch.__version__} adds gradients up over processes in another way than ThinkSeg knows "
                    f"({moved}): 'tokens_per_pass' has no effect, each micro-batch goes through the model on its own"
                )
        return self.tokens

    def _of_pass(self, model: Any, budget: int) -> list[torch.Tensor]:
        """Log-probabilities and entropies of the micro-batch that is trained on, from its pass."""
        part = self._step % self.args.steps_per_generation
        if self._pass is None:
            steps: int = self.current_gradient_accumulation_steps
            left = steps - self._step % self.args.gradient_accumulation_steps
            parts = self._buffered_inputs[part : part + left]  # no pass goes on behind the optimiser's step
            calls = [_call_of(mine) for mine in parts]
            batch = Batch.joining([create_batch(*call[:3], _of_rows(call[3])) for call in calls])
            size = len(calls[0][0])
            own = self._filled(batch, size, budget)[0]
            scores = self._scored(model, batch.taken(range(own.stop * size)), entropy=True)
            self._pass = Pass.of(range(part, part + own.stop), size, scores)
        return self._pass.of_part(part)

    def _filled(self, batch: Batch, size: int, budget: int) -> list[range]:
        """Which micro-batches go through the model together, in all processes the same ones."""
        needed, torn = tokens_needed(batch, size, capacity_of(self._core(self.model)))
        told = torch.cat([needed, torch.tensor([torn])]).to(self.accelerator.device)
        *most, anywhere = self.accelerator.gather(told[None]).amax(0).tolist()
        return fill(most, [bool(each) for each in anywhere], budget)

    def _scored(self, model: Any, batch: Batch, entropy: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities and, if they are asked for, entropies of a pass, each (B, C)."""
        if batch.mask[:, -batch.completion :].any():
            return self._shared(model, batch, entropy)
        # All were cut off: nothing to score, but a pass for every process.
        plain: _Scores = super()._get_per_token_logps_and_entropies(
            model, batch.ids, batch.mask, batch.completion, compute_entropy=entropy, **batch.joined()
        )
        return plain[0], plain[0] if plain[1] is None else plain[1]

    def _shared(self, model: Any, batch: Batch, entropy: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities and, if they are asked for, entropies, each (B, C), by a packed sequence."""
        with self.accelerator.autocast():
            outputs, layout = run_packed(model, self._core(model), batch)
        logps = layout.unpacked(outputs.log_probs[0], batch.shape)
        return logps, layout.unpacked(outputs.entropy[0], batch.shape) if entropy else logps

    def _decide(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, completion: int, options: Mapping[str, Any]
    ) -> None:
        """Find out at the first batch whether prefixes can be shared."""
        if self.tokens is not None and averages_over_images(model):  # asked of a run that goes on, too
            raise RecipeError(
                "'tokens_per_pass' changes what a vision tower with batch norm makes of an image, which goes by the "
                "images beside it: leave it out, or say 'model.freeze_vision'"
            )
        if self._measured:
            return
        self._measured = True
        self._refuse(self._reason_beforehand(options) or self._measure(model, ids, mask, completion, options))

    def _measure(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, completion: int, options: Mapping[str, Any]
    ) -> str | None:
        """Compute a few log-probabilities both ways; why prefixes cannot be shared, or None."""
        few = few_of(create_batch(ids, mask, completion, _of_rows(options)))
        plain = super()._get_per_token_logps_and_entropies
        return self._compared(
            model,
            lambda: plain(model, few.ids, few.mask, completion, **few.joined())[0],
            lambda: self._shared(model, few)[0],
            few.mask[:, -completion:].bool(),
        )

    def _reason_beforehand(self, options: Mapping[str, Any]) -> str | None:
        """What speaks against it before anything is computed."""
        if options.get("compute_aux_loss") or self.aux_loss_enabled:
            return "the loss that balances a router's experts counts every token of every prompt"
        if self.tools:
            return "tools may put images into completions"
        if (reason := self._reason_of_model()) is not None:
            return reason
        unknown = [name for name in _NOT_PROVEN if options.get(name) is not None]
        return f"nobody has proven it with a model that needs '{unknown[0]}'" if unknown else None


def _call_of(part: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor, int, Mapping[str, Any]]:
    """What TRL would ask for of a part of a set of rollouts."""
    ids = torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1)
    mask = torch.cat([part["prompt_mask"], part["completion_mask"]], dim=1)
    return ids, mask, part["completion_ids"].shape[1], part


def _of_rows(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of the options of a call those that have an entry for each row."""
    return {name: options.get(name) for name in _OF_ROWS}
