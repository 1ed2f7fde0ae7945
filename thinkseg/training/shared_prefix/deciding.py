"""Whether the rows of a run share what they begin with: measured once, on few rows of its first batch, both ways.

Where log-probabilities differ, or the model cannot take a packed sequence, all goes TRL's way, and so it does in a
release of TRL whose `seam` has moved. A run that goes on goes the way that its checkpoint says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from thinkseg.errors import RecipeError
from thinkseg.models.sharing.attention import takes_masks
from thinkseg.training.checkpoints import warn, write_whole
from thinkseg.training.endings import is_lost_process, is_out_of_memory
from thinkseg.training.shared_prefix.seam import Seam, moved_seam
from thinkseg.training.stage import CreateTrainer

if TYPE_CHECKING:
    from transformers import Trainer as _Trainer
else:
    _Trainer = object

SharedPrefix = Literal["auto", "on", "off"]
"""Whether what rows begin with is computed once for all of them: where it can be, always, never."""

DECISION = "shared_prefix.json"
"""What was found out, in each checkpoint: measured anew, it might come out otherwise in bfloat16."""

IN_FLOAT32 = 1e-3
"""The largest difference of a log-probability, in nats, between both ways that is taken for rounding."""

IN_LESS = 0.05
"""The same for the mean difference in bfloat16 and float16, where a log-probability has two or three digits."""

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


def derived(create: CreateTrainer, mixin: type, seam: Seam, settings: Mapping[str, Any]) -> CreateTrainer:
    """What makes a trainer that shares what rows begin with, from what makes TRL's.

    Args:
        create: TRL's trainer or a class derived from it; anything else is left as it is.
        mixin: what is put before it.
        seam: what of TRL's trainer that goes by.
        settings: attributes of the class; `setting` as the recipe says, and `apart` where it is not the mixin's.

    Raises:
        RecipeError: it is to share them, and this release of TRL is not known.
    """
    if settings["setting"] == "off" or not isinstance(create, type):
        return create
    moved = moved_seam(create, seam)
    if moved is None:
        return type("SharedPrefixTrainer", (mixin, create), dict(settings))
    import trl

    found = f"TRL {trl.__version__} computes log-probabilities in another way than ThinkSeg knows ({moved})"
    if settings["setting"] == "on":
        raise RecipeError(f"'shared_prefix: on' needs TRL 1.16, and {found}; say 'shared_prefix: auto'")
    warn(f"{found}: {settings.get('apart', mixin.apart)}")  # type: ignore[attr-defined]
    return create


class Deciding(_Trainer):
    """The part of a trainer that knows whether rows share what they begin with."""

    setting: SharedPrefix = "auto"
    apart: str = "each completion is computed with a prompt of its own"
    """How it goes where they do not, in words."""
    _refused: str | None = None
    """Why they do not share it after all."""
    _measured: bool = False

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
            folder = Path(str(self.args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            write_whole(folder / DECISION, json.dumps(decided, indent=2) + "\n")

    def _recall(self, file: Path) -> None:
        """Take the decision of a run that goes on, unless another setting is asked for now."""
        decided = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if decided.get("setting") == self.setting:
            self._measured, self._refused = True, decided["reason"]

    def _core(self, model: Any) -> Any:
        """The model itself, without what spreads it over processes and without its adapters."""
        model = self.accelerator.unwrap_model(model)
        return model.get_base_model() if hasattr(model, "get_base_model") else model

    def _reason_of_model(self) -> str | None:
        """What speaks against it that few log-probabilities would not show."""
        if self.args.use_liger_kernel:
            return "nobody has proven it with the kernels of 'trl.use_liger_kernel'"
        config = self._core(self.model).config.get_text_config()
        if not takes_masks(config):
            return f"nobody has proven it with the attention '{config._attn_implementation}'"
        if looks_through_windows(config):
            return "the model looks back over a window of tokens, which few short prompts would not show"
        return None

    def _refuse(self, reason: str | None) -> None:
        """Take TRL's way from now on, and say why.

        Raises:
            RecipeError: the recipe wants it otherwise.
        """
        self._refused = reason
        if reason is None:
            return
        if self.setting == "on":
            raise RecipeError(f"'shared_prefix: on' cannot be kept: {reason}; say 'shared_prefix: auto'")
        if self.accelerator.is_main_process:
            warn(f"{self.apart}: {reason}")

    def _compared(
        self,
        model: Any,
        plain: Callable[[], torch.Tensor],
        packed: Callable[[], torch.Tensor],
        counted: torch.Tensor,
    ) -> str | None:
        """Compute a few log-probabilities both ways.

        Args:
            model: that computes them.
            plain: gives them TRL's way, (B, C).
            packed: gives them by a packed sequence, (B, C).
            counted: which of them count, (B, C).

        Returns:
            Why prefixes cannot be shared, or None.
        """
        trouble, difference = "", torch.inf
        with torch.no_grad(), _evaluating(model):
            expected = plain()
            try:
                found = packed()
            except _CANNOT as error:
                if is_lost_process(error) or is_out_of_memory(error):
                    raise  # which is the machine's, not the model's
                trouble = " ".join(str(error).split()) or type(error).__name__
            else:
                differences = (found - expected).abs()[counted].float()
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

    @property
    def _in_less(self) -> bool:
        """Whether the model computes in less than float32."""
        weights = self._core(self.model).get_input_embeddings().weight
        return bool(self.accelerator.mixed_precision != "no" or weights.dtype != torch.float32)


def looks_through_windows(config: Any) -> bool:
    """Whether a layer of a language model sees a part only of what stands before a token.

    Args:
        config: transformers' of the language model; some name the kind of each layer, older ones a window for all.
    """
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return any(word in kind for kind in kinds for word in ("sliding", "chunked", "window"))
    return bool(getattr(config, "sliding_window", None) or getattr(config, "attention_chunk_size", None))


def averages_over_images(model: torch.nn.Module) -> bool:
    """Whether what a model makes of an image depends on the images beside it, as a batch norm does that is trained."""
    return any(isinstance(module, _BatchNorm) and module.training for module in model.modules())


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
