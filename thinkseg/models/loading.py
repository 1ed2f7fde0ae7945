"""Where checkpoints come from: the pocket distribution, a folder or the hub, with every failure as a sentence."""

from __future__ import annotations

import importlib
import os
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thinkseg.errors import CheckpointError, InputError
from thinkseg.installing import pocket_command

POCKET = "pocket"
"""The name that stands for the checkpoints of the `thinkseg-pocket` distribution."""

POCKET_SMALL = "pocket-small"
"""Its other reasoner, a third as large, which knows less: recipes of published methods in small begin with it."""

_REASONERS = {POCKET: "reasoner", POCKET_SMALL: "reasoner_small"}
"""The folders of the distribution's reasoners."""

POCKET_IS = "a small model for trying things out, best at the one main thing of a simple photo"
"""What whoever uses it should know, on the page of the demo and on stderr."""

FOR_REAL_USE = (
    "for real use name a checkpoint, such as --model geshang/Seg-R1-3B (from the hub, for a CUDA card), "
    "or train on images of your own: thinkseg quickstart --data FOLDER"
)
"""What whoever has seen enough of it does next."""

_LONG_READ = 500_000_000
"""Bytes of weights from which reading them takes so long that a bar is welcome."""

_SHARDS = ("pytorch_model_fsdp_0", "latest", ".metadata")
"""What lies in a checkpoint whose weights are spread over several processes' files."""

_OTHERWISE = {
    "reasoner": "'pocket', 'pocket-small' or a hub id (owner/name)",
    "segmenter": "'pocket', 'grabcut', a hub id (owner/name), one of your own (FILE.py:NAME or PACKAGE.MODULE:NAME) or "
    "the address of a ThinkSeg service (http://…)",
}
"""What the name of a part may be, besides a folder."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_pocket(model: Any) -> bool:
    """Whether a reasoner is one of the pocket distribution, by its name."""
    return str(model) in _REASONERS


def pocket_folder(part: str) -> Path | None:
    """The folder of a pocket checkpoint, `reasoner`, `reasoner_small` or `segmenter`; None when it is not there.

    Raises:
        InputError: `thinkseg-pocket` is not installed.
    """
    try:
        pocket: Any = importlib.import_module("thinkseg_pocket")
    except ModuleNotFoundError as error:
        if error.name != "thinkseg_pocket":
            raise
        raise InputError(
            f"the pocket {part} comes with a small package that is not installed. Install it with: {pocket_command()}"
        ) from error
    try:
        folder = Path(pocket.path(part))
    except FileNotFoundError:
        return None
    return folder if (folder / "config.json").is_file() else None


def locate(name: str | Path, part: str) -> str:
    """What `from_pretrained` is to be called with: a folder that exists, or a hub id.

    Args:
        name: ``"pocket"``, a folder, or a hub id; of a reasoner also ``"pocket-small"``.
        part: ``"reasoner"`` or ``"segmenter"``, for the pocket and for messages.

    Raises:
        CheckpointError: the name is neither.
    """
    pocket = _REASONERS.get(str(name)) if part == "reasoner" else part if str(name) == POCKET else None
    if pocket is not None:
        folder = pocket_folder(pocket)
        if folder is None:
            raise CheckpointError(f"the installed thinkseg-pocket has no {part}; update it, or name a folder or hub id")
        return str(folder)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            adapter = (folder / "adapter_config.json").is_file()
            merge = f"thinkseg merge {folder} --out DIR"
            hint = (
                f"it holds an adapter that has to be merged into its base first: {merge}"
                if adapter
                else "it is no model"
            )
            raise CheckpointError(f"the {part} folder '{folder}' has no config.json: {hint}")
        if any((folder / name).exists() for name in _SHARDS) and not any(folder.glob("*.safetensors")):
            raise CheckpointError(
                f"the {part} folder '{folder}' holds shards that have to be merged first: "
                f"thinkseg merge {folder} --out DIR"
            )
        return str(folder)
    if isinstance(name, Path) or not _HUB_ID.fullmatch(name):
        raise CheckpointError(f"there is no {part} folder '{name}', and it is not {_OTHERWISE[part]}")
    return name


def model_type(source: str) -> str:
    """The `model_type` of a checkpoint's config.json: what decides about its class, whatever the folder is called."""
    from transformers import PreTrainedConfig

    kind = PreTrainedConfig.get_config_dict(source)[0].get("model_type")
    if not isinstance(kind, str):
        raise CheckpointError(f"the config.json of '{source}' names no model_type, so its kind is not known")
    return kind


def load_weights(model_class: Any, source: str, **options: Any) -> Any:
    """A model from its checkpoint, with every weight accounted for.

    Raises:
        CheckpointError: the files lack weights that the model has, which would leave them random, or hold one that is
            not a number.
    """
    with _no_bar_for_a_moment(source):
        model, found = model_class.from_pretrained(source, output_loading_info=True, **options)
    parameters = {name for name, _ in model.named_parameters()}
    missing = sorted(parameters.intersection(found["missing_keys"]))
    if missing:
        raise CheckpointError(
            f"the checkpoint '{source}' is incomplete: {len(missing)} of {len(parameters)} weights are missing, "
            f"the first is {missing[0]}"
        )
    check_finite(dict(model.named_parameters()), f"the checkpoint '{source}'")
    return model


def check_finite(tensors: Mapping[str, Any], what: str) -> None:
    """Refuse weights that are not numbers: a training that diverged leaves them, and all they compute is worthless.

    Args:
        tensors: by name.
        what: what holds them, for the sentence.

    Raises:
        CheckpointError: a value is infinite or NaN.
    """
    bad = [name for name, tensor in tensors.items() if not is_finite(tensor)]
    if bad:
        raise CheckpointError(
            f"{what} holds values that are not finite (NaN or infinite) in {len(bad)} of {len(tensors)} weights, the "
            f"first is {bad[0]}: its training diverged or the file is damaged; take an earlier checkpoint"
        )


def is_finite(tensor: Any) -> bool:
    """Whether no value of a tensor is infinite or NaN; of one without values in memory nothing is known."""
    import torch

    if not tensor.is_floating_point() or tensor.device.type == "meta":
        return True
    values = tensor.detach()
    # A sum is finite only where every addend is; one that overflows is looked at value by value.
    return bool(torch.isfinite(values.sum(dtype=torch.float32))) or bool(torch.isfinite(values).all())


@contextmanager
def _no_bar_for_a_moment(source: str) -> Iterator[None]:
    """Leave out the progress bar of transformers while a small checkpoint on disk is read: it would only flash by."""
    from transformers.utils import logging

    files = Path(source).glob("*.safetensors") if Path(source).is_dir() else ()
    size = sum(file.stat().st_size for file in files)
    if not 0 < size < _LONG_READ or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Turn what can go wrong while a checkpoint is read into a CheckpointError of one sentence."""
    import torch

    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # The files are somebody else's: whatever is wrong with them, and wherever transformers stumbles over it.
        reason = _reason(error)
        if Path(source).is_dir():
            raise CheckpointError(f"the checkpoint folder '{source}' cannot be read: {reason}") from error
        raise CheckpointError(
            f"there is no folder '{source}', and as a hub id it could not be loaded; check the name and the network, "
            f"or download it elsewhere and give the folder ({reason})"
        ) from error


def _reason(error: Exception) -> str:
    """What went wrong while a checkpoint was read, in a few words."""
    said = " ".join(str(error).split())
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in said:
        # PyTorch advises to run the code that is in such a file.
        return (
            "its weights are a pickle that is damaged or names code, and nothing of it was run; take the checkpoint in "
            "safetensors"
        )
    said = said if len(said) <= 200 else f"{said[:200]}…"
    return said if isinstance(error, OSError | ValueError) and said else f"{type(error).__name__}: {said}"


def spare_edgetam_the_hub() -> None:
    """Keep EdgeTAM's configs from asking the hub, which older releases of transformers do when one is shown or saved.

    They compare it with a default one, whose tower is a model on the hub. With this they write every value out.
    """
    from transformers import EdgeTamConfig, EdgeTamVisionConfig

    for config_class in (EdgeTamConfig, EdgeTamVisionConfig):
        config_class.has_no_defaults_at_init = True


def torch_device(name: str) -> Any:
    """The torch device of this name; ``"auto"`` is a GPU where there is one, in one of several processes the next one.

    Raises:
        InputError: the name is not a device, or there is no such device here.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            rank = os.environ.get("LOCAL_RANK")  # what torchrun, accelerate and `evaluate --processes` count by
            return torch.device("cuda", int(rank) % torch.cuda.device_count()) if rank else torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"there is no device {name!r} here; use 'auto', 'cpu', or 'cuda' on a machine with one") from (
            error
        )
    return device


def torch_dtype(name: str, device: Any) -> Any:
    """The dtype to load weights in; ``"auto"`` is the checkpoint's own, or float32 on a CPU, where that is faster.

    Raises:
        InputError: the name is not a floating-point dtype of torch.
    """
    import torch

    if name == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"a dtype is 'auto', 'float32', 'bfloat16' or 'float16', found {name!r}")
    return dtype


def card_count() -> int:
    """How many CUDA devices there are, over which ``"auto"`` spreads the processes of one piece of work."""
    import torch

    return int(torch.cuda.device_count())


def cuda_card() -> tuple[str, float]:
    """The name of the CUDA device that ``"auto"`` takes, and its free memory in GB; ``("", 0)`` where there is none."""
    import torch

    if not torch.cuda.is_available():
        return "", 0.0
    free, _ = torch.cuda.mem_get_info()
    return torch.cuda.get_device_name(), free / 1e9
