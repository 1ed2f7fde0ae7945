"""What the files of a checkpoint say, when all of them are what was written: whether it can be trained from at all.

A manifest vouches for bytes. A file that was never there, weights that are not numbers, or that are of a smaller model
than the checkpoint's own ``config.json`` describes, are found here, before a model is made of them.
"""

from __future__ import annotations

import json
from pathlib import Path

from thinkseg.errors import CheckpointError, InputError
from thinkseg.models.folders import check_folder, check_size
from thinkseg.models.loading import explained, is_finite

STATE = "trainer_state.json"
"""Where the trainer says how far it has come."""

_NEEDED = (STATE, "rng_state*.pth")
_NEEDED_OF_ONE = ("optimizer*", "scheduler.pt")
"""What DeepSpeed keeps in files of its own; without it the trainer would begin anew and say nothing."""
DEEPSPEED = "latest"
"""The file by which a checkpoint of DeepSpeed is known."""


def fault_of(folder: Path) -> str | None:
    """Why a checkpoint cannot be trained from, in words that stand behind its name; None where it can.

    Weights are read one by one. Those that are spread over the files of several processes are left to what reads them.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return None
    try:
        with explained(str(folder)):
            _check_state(folder)
            _check_weights(folder, files)
    except InputError as error:
        return f"cannot be trained from: {error}"
    return None


def _check_state(folder: Path) -> None:
    """All of the state is there, and it is of the step that the folder is called by."""
    needed = _NEEDED if (folder / DEEPSPEED).exists() else _NEEDED + _NEEDED_OF_ONE
    for pattern in needed:
        if not any(folder.glob(pattern)):
            raise CheckpointError(f"it has no '{pattern.replace('*', '')}', without which it would begin anew in part")
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    step = state.get("global_step") if isinstance(state, dict) else None
    if str(step) != folder.name.rpartition("-")[2]:
        raise CheckpointError(f"its '{STATE}' says that it is of step {step}")


def _check_weights(folder: Path, files: list[Path]) -> None:
    from safetensors import safe_open
    from transformers import AutoModelForImageTextToText

    if not (folder / "adapter_config.json").is_file():  # an adapter has its model elsewhere
        if not (folder / "config.json").is_file():
            raise CheckpointError("it has weights, and no config.json that says of what model")
        check_folder(str(folder))
        check_size(AutoModelForImageTextToText, str(folder))
    for file in files:
        with safe_open(file, framework="pt") as opened:
            bad = next((name for name in opened.keys() if not is_finite(opened.get_tensor(name))), None)  # noqa: SIM118
        if bad is not None:
            raise CheckpointError(f"'{bad}' in '{file.name}' holds values that are not finite (NaN or infinite)")
