"""What both stages of training share: the run's folder, the model with all that is known about it, and its end.

A run's folder holds ``recipe.yaml`` (every setting said), ``code.json`` (digests of the user's own code that the recipe
names), ``layout.json``, ``log.jsonl``, ``checkpoint-N`` (to go on from: model, optimiser, schedule, random numbers,
position in the data, see `thinkseg.training.checkpoints`) and at the end ``final``: a Hugging Face folder of weights in
safetensors, processor and `thinkseg.json`, which `load_pipeline` and `AutoModelForImageTextToText` load as it is.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from signal import SIGINT
from typing import Any

from thinkseg.errors import InputError, RecipeError
from thinkseg.evaluation.provenance import code_digests
from thinkseg.models.families import Family
from thinkseg.models.loading import explained, load_weights
from thinkseg.training.callbacks import Beginning, CheckpointFiles, DeadReward, OnStep, OrderlyStop, RunLog, StepBar
from thinkseg.training.checkpoints import (
    complete,
    finished_checkpoints,
    newest_checkpoint,
    warn,
    write_whole,
)
from thinkseg.training.completion_tables import show_aside
from thinkseg.training.config import Recipe
from thinkseg.training.contents import fault_of
from thinkseg.training.divergence import FiniteOnly
from thinkseg.training.endings import RewardDead, last_one_told
from thinkseg.training.policy import Policy
from thinkseg.training.profiling import profiled
from thinkseg.training.resuming import CODE, Layout, go_on, write_record
from thinkseg.training.sections import Lora
from thinkseg.training.trl_settings import (
    refuse_missing_bitsandbytes,
    refuse_missing_deepspeed,
    trl_config_name,
)
from thinkseg.training.watching import Validating

LOG = "log.jsonl"
"""The run log, inside the run's folder."""

SMALLEST_HALF_RATE = 1e-4
"""A weight of 0.02 in bfloat16 has neighbours 1e-4 away, and AdamW moves it by the learning rate."""


class TrainingStopped(KeyboardInterrupt):
    """Training was interrupted and has saved itself.

    Attributes:
        checkpoint: the folder to go on from.
        step: the last step that was trained.
        steps: how many there would have been.
        signal: what interrupted it, SIGINT or SIGTERM.
    """

    def __init__(self, checkpoint: Path, step: int, steps: int, signal: int = SIGINT) -> None:
        super().__init__(f"stopped after step {step} of {steps} and saved '{checkpoint}'; --resume goes on from there")
        self.checkpoint = checkpoint
        self.step = step
        self.steps = steps
        self.signal = signal


def trl_arguments(recipe: Recipe, **own: Any) -> Any:
    """The recipe as TRL's configuration of its stage, `max_steps` still open.

    Args:
        recipe: the recipe.
        own: settings of the stage, which win.

    Raises:
        RecipeError: TRL refuses the settings.
    """
    import torch
    import trl

    refuse_missing_deepspeed(recipe.trl)
    in_4_bits = recipe.model.lora is not None and recipe.model.lora.bits is not None
    if in_4_bits:
        refuse_missing_bitsandbytes()
    on_cpu = recipe.device == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available())
    given: dict[str, Any] = {"report_to": "none"}
    if on_cpu:
        # Half precision is slower there than full, and memory is not what is short.
        given |= {"bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False}
    given |= recipe.trl
    given |= {
        "output_dir": str(recipe.output),
        "seed": recipe.seed,
        "use_cpu": on_cpu,
        "save_strategy": "steps",
        "save_total_limit": None,  # see `CheckpointFiles`: an older one goes when the newer one is whole
        "logging_strategy": "steps",
        "logging_steps": recipe.log_every,
        "remove_unused_columns": False,
        "disable_tqdm": True,
        **own,
    }
    name = trl_config_name(recipe.stage)
    with trl_explained(name):
        args = getattr(trl, name)(**given)
    _check_precision(recipe, args)
    if in_4_bits and _spreads_weights(args):
        raise RecipeError(
            "a model in 4 bits ('model.lora.bits') is kept whole on each card, and this launch spreads weights: launch "
            "with recipes/accelerate/ddp.yaml, or leave out 'model.lora.bits'"
        )
    return args


def _spreads_weights(args: Any) -> bool:
    """Whether FSDP or ZeRO 3 would cut the weights into parts."""
    plugin = args.deepspeed_plugin
    by_fsdp = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    return by_fsdp or (plugin is not None and plugin.zero_stage == 3)


@contextmanager
def trl_explained(name: str, begun: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """While this is open, what a class of TRL refuses is a wrong recipe.

    Args:
        name: of the class.
        begun: whether the run has begun by now, so that it is no longer its settings that are refused.

    Raises:
        RecipeError: it refuses the settings.
    """
    try:
        yield
    except (
        TypeError,
        ValueError,
        ImportError,
        AttributeError,
        KeyError,
        OverflowError,
        AssertionError,
        FileNotFoundError,
    ) as error:
        if begun():
            raise
        reason = " ".join(str(error).split())
        raise RecipeError(f"{name} of TRL refuses the recipe's settings: {reason}") from error


def _check_precision(recipe: Recipe, args: Any) -> None:
    """Refuse a run that would seem to train and stand still."""
    halved = recipe.model.dtype in ("bfloat16", "float16")
    # An adapter's weights are float32 whatever the model's are, and DeepSpeed keeps float32 copies of its own.
    if (
        halved
        and recipe.model.lora is None
        and args.deepspeed_plugin is None
        and args.learning_rate < SMALLEST_HALF_RATE
    ):
        raise RecipeError(
            f"weights in {recipe.model.dtype} cannot take steps of a learning rate of {args.learning_rate:g}: they are "
            "rounded away; train with --model.lora.r 16, launch with recipes/accelerate/zero2.yaml, or say "
            "--model.dtype float32"
        )


def open_run(recipe: Recipe, resume: bool, allow: Collection[str] = (), layout: Layout | None = None) -> Path | None:
    """Make the run's folder, or make sure that the run in it goes on as it began.

    Args:
        recipe: is written into it.
        resume: go on from the newest whole checkpoint.
        allow: names of settings that may be others than those the run began with.
        layout: what the rows depend on besides the recipe; None to leave that unsaid.

    Returns:
        The checkpoint to go on from; None for a start from the beginning.

    Raises:
        RecipeError: there is a run in the folder already, or none to resume, or it began with other settings or code.
    """
    if allow and not resume:
        raise RecipeError("'allow' says what may differ when a run goes on; it needs --resume")
    finished = finished_checkpoints(recipe.output)
    if finished and not resume:
        raise RecipeError(
            f"'{recipe.output}' holds a run already ({finished[0][1].name}); add --resume to go on with it, or choose "
            "another folder with --output"
        )
    checkpoint = newest_checkpoint(recipe.output, fault=fault_of) if resume else None
    if resume and checkpoint is None:
        raise RecipeError(
            f"there is no checkpoint in '{recipe.output}' to resume from; leave out --resume to start anew"
        )
    code = digests_of_code(recipe)
    if checkpoint is not None:
        _refuse_other_code(recipe.output, code)
        go_on(recipe, layout, allow, int(checkpoint.name.rpartition("-")[2]))
        return checkpoint
    recipe.output.mkdir(parents=True, exist_ok=True)
    write_record(recipe, layout)
    write_whole(recipe.output / CODE, json.dumps(code, indent=2) + "\n")
    return None


def digests_of_code(recipe: Recipe) -> dict[str, str]:
    """SHA-256 of the files of all code of the user's own that a recipe names, by reference.

    Raises:
        RecipeError: a file or module is not there.
    """
    try:
        return code_digests(recipe.references().values())
    except InputError as error:
        raise RecipeError(f"the recipe names code that is not there: {error}") from error


def _refuse_other_code(folder: Path, code: Mapping[str, str]) -> None:
    """Refuse to go on with code that is not the one that the run began with."""
    file = folder / CODE
    began: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    out = "start anew in another folder with --output"
    for reference in began.keys() ^ code.keys():
        which = "began without" if reference in code else "began with"
        raise RecipeError(f"the run in '{folder}' {which} the code '{reference}', so it cannot go on; {out}")
    for reference, digest in code.items():
        if began[reference] != digest:
            source = reference.rpartition(":")[0]
            raise RecipeError(
                f"'{source}' has changed since the run in '{folder}' began, so it cannot go on; bring the earlier "
                f"content back, or {out}"
            )


def is_main_process() -> bool:
    """Whether this is the process that writes files and prints, of the several that a launcher may have started."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """While this is open, the libraries train in silence.

    transformers draws no bars of its own, TRL's use of its old names does not show as warnings, and TRL does not report
    to a server that it is used.
    """
    from huggingface_hub import constants
    from transformers.utils import logging

    drawn, silent = logging.is_progress_bar_enabled(), constants.HF_HUB_DISABLE_TELEMETRY
    logging.disable_progress_bar()
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`(is_)?gradient_checkpointing", FutureWarning)
            yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = silent
        if drawn:
            logging.enable_progress_bar()


def run_trainer(
    trainer: Any,
    recipe: Recipe,
    policy: Policy,
    checkpoint: Path | None,
    on_step: OnStep | None,
    resumable_every: int = 1,
    on_begin: Callable[[], None] | None = None,
    validating: Validating | None = None,
) -> None:
    """Let a trainer of TRL do its steps, with our log, progress bar, complete checkpoints and orderly stop.

    Args:
        trainer: TRL's, ready to train.
        recipe: for the run's folder.
        policy: what is trained.
        checkpoint: the folder to go on from, or None.
        on_step: as in `train_recipe`.
        resumable_every: the run can be resumed exactly after each so many steps.
        on_begin: called when all is ready, before the first step.
        validating: measures the model on held-out samples, or None.

    Raises:
        RecipeError: TRL finds only now that it cannot work with the settings.
        TrainingStopped: the run was interrupted and has saved itself.
        TrainingDiverged: a loss, a gradient or a weight is not finite.
        RewardDead: the reward has taught nothing for too long, and the run has saved itself.
        ThinkSegError: a checkpoint cannot be written.
    """
    from transformers import PrinterCallback, ProgressCallback

    trainer.create_model_card = lambda *_, **__: None  # it would say things that nobody has checked
    for own in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(own)
    _mend_resuming(trainer)
    complete(trainer, recipe.output)
    show_aside(trainer)
    bar = StepBar(recipe.stage)
    stop = OrderlyStop(resumable_every)
    finite = FiniteOnly(recipe.output, scaled=trainer.accelerator.scaler is not None)
    finite.watch(trainer)
    files = CheckpointFiles(policy.describe, recipe.keep)
    beginning = Beginning(on_begin)
    dead = DeadReward(recipe.dead_reward, resumable_every)
    callbacks = [finite, beginning, bar, stop, RunLog(recipe.output / LOG, on_step), dead, files]
    if validating is not None:
        validating.watch(trainer)
        callbacks.append(validating)  # behind the log, which is cut to where the run goes on
    for callback in callbacks:
        trainer.add_callback(callback)
    profile = profiled(trainer, recipe.output, warn) if recipe.profile else nullcontext()
    try:
        refused = trl_explained(type(trainer).__name__, lambda: beginning.begun)
        with profile, stop.listening(), finite.explaining(lambda: trainer.state), last_one_told(recipe.output), refused:
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    finally:
        bar.close()
    step, steps = trainer.state.global_step, trainer.state.max_steps
    if stop.asked and step < steps:
        raise TrainingStopped(recipe.output / f"checkpoint-{step}", step, steps, stop.signal)
    if dead.stopped and step < steps:
        raise RewardDead(recipe.output / f"checkpoint-{step}", dead.stopped, step)


def _mend_resuming(trainer: Any) -> None:
    """Let a trainer restore the weights of a checkpoint, which transformers' own way does not do for these models.

    A model's weights have other names in its files than in memory, which `from_pretrained` knows. The trainer looks for
    the names in memory, finds next to none of them, warns, and goes on with the weights that the model started from.
    """
    from peft import PeftModel

    model = trainer.model
    if isinstance(model, PeftModel) or trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return  # these have files of their own, whose names are those in memory

    def restore(checkpoint: str, *_: Any) -> None:
        with explained(checkpoint):
            restored = load_weights(type(model), checkpoint, dtype=model.dtype)
        model.load_state_dict(restored.state_dict())

    trainer._load_from_checkpoint = restore


def lora_config(lora: Lora | None, family: Family) -> Any:
    """A recipe's adapters as PEFT wants them, or None.

    Args:
        lora: what the recipe says.
        family: says which modules get an adapter where the recipe does not.
    """
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=family.lora_targets if lora.target_modules is None else lora.target_modules,
    )
