"""GRPO that computes a prompt once for all of its completions.

TRL runs the language model over each completion's own copy of the prompt: to sample, to train, and again for the old
and the reference log-probabilities. A prompt with an image has hundreds of tokens and a completion a few, so that most
of that is the same work done again. Here a group is one packed sequence (`thinkseg.models.sharing.prefix`), with the
same log-probabilities, entropies and gradients, and what transformers samples begins with one pass over the prompt.

Whether they are the same is measured on the first batch of a run, both ways; where they differ, or the model cannot
take a packed sequence, all goes TRL's way, and so it does in a release of TRL whose `seam` has moved. A run that goes
on goes the way that its checkpoint says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from thinkseg.errors import RecipeError
from thinkseg.models.sharing.attention import attend_in_blocks, block_mask, dense_mask
from thinkseg.models.sharing.pixels import images_processed_once
from thinkseg.models.sharing.prefill import prompts_read_once
from thinkseg.models.sharing.prefix import PackedLayout, lay_out
from thinkseg.training.checkpoints import warn, write_whole
from thinkseg.training.endings import is_lost_process, is_out_of_memory
from thinkseg.training.shared_prefix.batch import Batch, create_batch, few_of, with_whole_groups
from thinkseg.training.shared_prefix.seam import SEAM, moved_seam
from thinkseg.training.stage import CreateTrainer

if TYPE_CHECKING:
    from trl import GRPOTrainer as _Trainer
else:
    _Trainer = object

SharedPrefix = Literal["auto", "on", "off"]
"""Whether a prompt is computed once for all of its completions: where it can be, always, never."""

DECISION = "shared_prefix.json"
"""What was found out, in each checkpoint: measured anew, it might come out otherwise in bfloat16."""

IN_FLOAT32 = 1e-3
"""The largest difference of a log-probability, in nats, between both ways that is taken for rounding."""

IN_LESS = 0.05
"""The same for the mean difference in bfloat16 and float16, where a log-probability has two or three digits."""

_Scores = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
_NOT_PROVEN = ("spatial_shapes", "token_type_ids", "image_position_ids")
_OF_ROWS = SEAM["_get_per_token_logps_and_entropies"][8:]
_CANNOT = (
    RuntimeError,
    ValueError,
    TypeError,
    NotImplementedError,
    IndexError,
    KeyError,
    AttributeError,
    AssertionError,
)


def sharing(create: CreateTrainer, setting: SharedPrefix) -> CreateTrainer:
    """What makes a trainer that shares prefixes, from what makes TRL's.

    Args:
        create: TRL's `GRPOTrainer` or a class derived from it; anything else is left as it is.
        setting: as the recipe says.

    Raises:
        RecipeError: it is to share them, and this release of TRL is not known.
    """
    if setting == "off" or not isinstance(create, type):
        return create
    moved = moved_seam(create)
    if moved is None:
        return type("SharedPrefixTrainer", (SharedPrefixMixin, create), {"setting": setting})
    import trl

    found = f"TRL {trl.__version__} computes log-probabilities in another way than ThinkSeg knows ({moved})"
    if setting == "on":
        raise RecipeError(f"'shared_prefix: on' needs TRL 1.16, and {found}; say 'shared_prefix: auto'")
    warn(f"{found}: each completion is computed with a prompt of its own")
    return create


class SharedPrefixMixin(_Trainer):
    """The part of a trainer that shares prefixes, before TRL's class in the order of resolution."""

    setting: SharedPrefix = "auto"
    _refused: str | None = None
    """Why prefixes are not shared after all."""
    _measured: bool = False
    _buffered_inputs: Any

    def train(self, resume_from_checkpoint: Any = None, **options: Any) -> Any:
        """Go the way that the run has gone before, where it goes on."""
        if isinstance(resume_from_checkpoint, str):
            self._recall(Path(resume_from_checkpoint) / DECISION)
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **options)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write the way that the run goes beside what the trainer writes."""
        super()._save_checkpoint(model, trial)
        if self._measured and self.args.should_save:
            decided = {"setting": self.setting, "shared": self._refused is None, "reason": self._refused}
            folder = Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            write_whole(folder / DECISION, json.dumps(decided, indent=2) + "\n")

    def _recall(self, file: Path) -> None:
        """Take the decision of a run that goes on, unless another setting is asked for now."""
        decided = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if decided.get("setting") == self.setting:
            self._measured, self._refused = True, decided["reason"]

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
        size = options.pop("batch_size", None) or len(input_ids)
        entropy = options.pop("compute_entropy", False)
        options.pop("compute_aux_loss", None)
        batch = create_batch(input_ids, attention_mask, logits_to_keep, options)
        # As many forward passes as TRL makes: processes that share weights have to make the same number.
        chunks = []
        for start in range(0, len(input_ids), size):
            chunk = batch.taken(range(start, min(start + size, len(input_ids))))
            if chunk.mask[:, -logits_to_keep:].any():
                chunks.append(self._shared(model, chunk, entropy))
            else:  # all were cut off: nothing to score, but a pass for every process
                cut: _Scores = plain(
                    model, chunk.ids, chunk.mask, logits_to_keep, compute_entropy=entropy, **chunk.joined()
                )
                chunks.append((cut[0], cut[0] if cut[1] is None else cut[1]))
        logps = torch.cat([values for values, _ in chunks])
        return logps, torch.cat([values for _, values in chunks]) if entropy else None, None

    def _shared(self, model: Any, batch: Batch, entropy: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities and, if they are asked for, entropies, each (B, C)."""
        core = self._core(model)
        in_blocks = attend_in_blocks(core)
        layout = lay_out(batch.mask.bool().cpu(), batch.completion, batch.owners(), None if in_blocks else 0)
        mask = block_mask(layout.blocks) if in_blocks else dense_mask(layout).to(batch.ids.device)
        if core.config.get_text_config()._attn_implementation == "eager":  # which adds its mask
            mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
        layout = layout.to(batch.ids.device)
        prompts = batch.taken(layout.prompts.tolist())
        inputs = prompts.joined()
        inputs.pop("num_images", None)
        inputs.pop("num_tiles", None)
        inputs["position_ids"] = _positions(core, prompts, layout)
        inputs["input_ids"] = batch.ids.reshape(-1)[layout.tokens]
        if "mm_token_type_ids" in inputs:
            inputs["mm_token_type_ids"] = batch.rows["mm_token_type_ids"].reshape(-1)[layout.tokens]
        labels = batch.ids.reshape(-1)[layout.predicted][None]
        with self.accelerator.autocast(), _only_scored(core, layout):
            outputs = model(**inputs, attention_mask=mask, shift_labels=labels, fused_lm_head=True)
        logps = layout.unpacked(outputs.log_probs[0], batch.shape)
        return logps, layout.unpacked(outputs.entropy[0], batch.shape) if entropy else logps

    def _core(self, model: Any) -> Any:
        """The model itself, without what spreads it over processes and without its adapters."""
        model = self.accelerator.unwrap_model(model)
        return model.get_base_model() if hasattr(model, "get_base_model") else model

    def _decide(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, completion: int, options: Mapping[str, Any]
    ) -> None:
        """Find out at the first batch whether prefixes can be shared."""
        if self._measured:
            return
        self._measured = True
        self._refuse(self._measure(model, ids, mask, completion, options))

    def _refuse(self, reason: str | None) -> None:
        """Take TRL's way from now on, and say why.

        Raises:
            RecipeError: the recipe wants prefixes to be shared.
        """
        self._refused = reason
        if reason is None:
            return
        if self.setting == "on":
            raise RecipeError(f"'shared_prefix: on' cannot be kept: {reason}; say 'shared_prefix: auto'")
        if self.accelerator.is_main_process:
            warn(f"each completion is computed with a prompt of its own: {reason}")

    def _measure(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, completion: int, options: Mapping[str, Any]
    ) -> str | None:
        """Compute a few log-probabilities both ways; why prefixes cannot be shared, or None."""
        reason = self._reason_beforehand(options)
        if reason is not None:
            return reason
        batch = few_of(create_batch(ids, mask, completion, {name: options.get(name) for name in _OF_ROWS}))
        trouble, difference = "", torch.inf
        plain = super()._get_per_token_logps_and_entropies
        with torch.no_grad(), _evaluating(model):
            expected, _, _ = plain(model, batch.ids, batch.mask, completion, **batch.joined())
            try:
                found, _ = self._shared(model, batch)
            except _CANNOT as error:
                if is_lost_process(error) or is_out_of_memory(error):
                    raise  # which is the machine's, not the model's
                trouble = " ".join(str(error).split()) or type(error).__name__
            else:
                differences = (found - expected).abs()[batch.mask[:, -completion:].bool()].float()
                difference = (differences.mean() if self._in_less else differences.max()).item()
        # Of all processes, so that all of them go the same way; and what is no number is too much.
        every = self.accelerator.gather(torch.tensor([difference], device=self.accelerator.device))
        difference = every.nan_to_num(torch.inf).max().item()
        bound = IN_LESS if self._in_less else IN_FLOAT32
        if difference <= bound:
            return None
        if trouble:
            return f"the model takes no packed sequence ({trouble})"
        return (
            f"in a packed sequence this model's log-probabilities differ by {difference:.2g}, and at most {bound:g} "
            "would be rounding"
        )

    def _reason_beforehand(self, options: Mapping[str, Any]) -> str | None:
        """What speaks against it before anything is computed."""
        if options.get("compute_aux_loss") or self.aux_loss_enabled:
            return "the loss that balances a router's experts counts every token of every prompt"
        if self.tools:
            return "tools may put images into completions"
        unknown = [name for name in _NOT_PROVEN if options.get(name) is not None]
        return f"nobody has proven it with a model that needs '{unknown[0]}'" if unknown else None

    @property
    def _in_less(self) -> bool:
        """Whether the model computes in less than float32."""
        weights = self._core(self.model).get_input_embeddings().weight
        return bool(self.accelerator.mixed_precision != "no" or weights.dtype != torch.float32)


def _call_of(part: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor, int, Mapping[str, Any]]:
    """What TRL would ask for of a part of a set of rollouts."""
    ids = torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1)
    mask = torch.cat([part["prompt_mask"], part["completion_mask"]], dim=1)
    return ids, mask, part["completion_ids"].shape[1], part


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """While this is open, nothing is dropped at random."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode


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
