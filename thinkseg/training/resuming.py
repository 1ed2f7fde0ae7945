"""A run's folder is one run's: one process trains in it at a time, and a run goes on as it began.

What a run began with is in ``recipe.yaml``, ``code.json`` and ``layout.json``. Settings that cannot mix two experiments
may be others at any time (`FREE`, and `steps` and `epochs` upwards); what else differs has to be allowed by its name. A
line of ``resumed.jsonl`` says from which step on which settings were others, and what they had been.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from thinkseg.errors import RecipeError
from thinkseg.training.checkpoints import write_whole
from thinkseg.training.config import Recipe, load_recipe, recipe_text, settings_of
from thinkseg.training.contents import DEEPSPEED

T = TypeVar("T")

RECIPE, LAYOUT, CHANGES, LOCK = "recipe.yaml", "layout.json", "resumed.jsonl", ".train.lock"
CODE = "code.json"
"""The digests of the user's own code, inside the run's folder."""

FREE = frozenset(
    {
        "output",
        "save_every",
        "keep",
        "log_every",
        "profile",
        "segmenter_memory",
        "device",
        "dead_reward",
        "validation.every",
        "validation.shown",
        "validation.best",
        "validation.patience",
        "validation.batch_size",
        "trl.report_to",
        "trl.run_name",
        "trl.project",
        "trl.log_completions",
        "trl.num_completions_to_print",
        "trl.log_unique_prompts",
        "trl.dataloader_num_workers",
        "trl.dataloader_pin_memory",
        "trl.dataloader_persistent_workers",
        "trl.dataloader_prefetch_factor",
        "trl.vllm_gpu_memory_utilization",
        "trl.vllm_enable_sleep_mode",
        "trl.vllm_server_base_url",
        "trl.vllm_server_host",
        "trl.vllm_server_port",
        "trl.vllm_server_timeout",
    }
)
"""Settings that say where and how a run is kept and shown, not what is trained."""

UPWARDS = ("steps", "epochs")
"""Settings that may grow at any time: the run gets longer."""

LAID_OUT = ("samples", "processes")
"""What of the layout has to be allowed by name, too."""

FIXED = ("stage", "model.lora.r", "model.lora.target_modules", "model.lora.bits", "model.new_tokens")
"""Settings without which a checkpoint does not fit the model: they cannot be allowed."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the rows of a run depend on besides its recipe."""

    steps: int
    """Optimiser steps in all."""
    samples: int
    """How many there are to train on."""
    processes: int
    """How many train together."""
    batch: int | None = None
    """Rows (in rl: completions) of an optimiser step, over all processes; None where it is not known."""
    sampled: int | None = None
    """In rl: completions that are sampled together, over all processes."""


def write_record(recipe: Recipe, layout: Layout | None) -> None:
    """Write what a run begins with."""
    write_whole(recipe.output / RECIPE, recipe_text(recipe))
    if layout is not None:
        values = {name: value for name, value in asdict(layout).items() if name != "steps" and value is not None}
        write_whole(recipe.output / LAYOUT, json.dumps(values, indent=2) + "\n")


def go_on(recipe: Recipe, layout: Layout | None, allow: Collection[str], step: int) -> None:
    """Make sure that a run goes on as it began, and write down what is allowed to be another.

    Args:
        recipe: with which it is to go on.
        layout: likewise.
        allow: dotted names of settings that may differ, and ``samples`` or ``processes``.
        step: of the checkpoint.

    Raises:
        RecipeError: something else differs, or the run has come further than it is to go.
    """
    folder = recipe.output
    began, now = _record(folder), _flat(settings_of(recipe))
    rows: dict[str, int] = {}
    if layout is not None and (folder / LAYOUT).is_file():
        rows = json.loads((folder / LAYOUT).read_text(encoding="utf-8"))
        began |= {name: rows.get(name) for name in LAID_OUT}
        now |= {name: getattr(layout, name) for name in LAID_OUT}
    known = began.keys() | now.keys()
    if unknown := sorted(set(allow) - known):
        raise RecipeError(f"there is no setting '{unknown[0]}' to allow in the run in '{folder}'")
    differing = {name: (began.get(name), now.get(name)) for name in sorted(known) if began.get(name) != now.get(name)}
    refused = {name: pair for name, pair in differing.items() if not _is_free(name, *pair) and name not in allow}
    fixed = {name: pair for name, pair in differing.items() if any(_is_within(name, one) for one in FIXED)}
    if fixed:
        raise RecipeError(
            f"the run in '{folder}' began with {_told(fixed)}, and its checkpoints fit nothing else: give the same, or "
            "start anew in another folder with --output"
        )
    if refused:
        raise RecipeError(
            f"the run in '{folder}' began with {_told(refused)}: give the same to go on with it, start anew in another "
            f"folder with --output, or allow what is to differ by name: --allow {','.join(refused)}"
        )
    if layout is not None and "processes" in differing:
        _refuse_other_rows(recipe, layout, rows, step)
    if layout is not None and layout.steps < step:
        raise RecipeError(
            f"the run in '{folder}' has come to step {step} already, beyond the {layout.steps} steps that are asked "
            "for; ask for more, or use its final folder"
        )
    changed = {name: list(pair) for name, pair in differing.items() if name != "output"}
    if changed:
        with (folder / CHANGES).open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps({"step": step, "changed": changed}) + "\n")
    write_record(recipe, layout)


@contextmanager
def claimed(folder: Path, patience: float = 3.0) -> Iterator[None]:
    """While this is open, no other process trains into the folder.

    Args:
        folder: of the run; it is made, and goes again if nothing comes into it.
        patience: seconds to wait for one that is just ending.

    Raises:
        RecipeError: another process trains into it, or it cannot be written.
    """
    lock = FileLock(folder / LOCK, timeout=patience)
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RecipeError(
            f"another process is training into '{folder}'; wait until it ends, or choose another folder with --output"
        ) from error
    except OSError as error:
        raise RecipeError(
            f"the output folder '{folder}' cannot be written ({error.strerror or error}); choose another with --output"
        ) from error
    except ValueError as error:  # no file has such a name
        raise RecipeError(f"'output' should be the name of a folder, found {str(folder)!r} ({error})") from error
    try:
        yield
    finally:
        lock.release()
        if is_new and {path.name for path in folder.iterdir()} <= {LOCK}:
            with suppress(OSError):  # Windows does not remove a file that another process has open
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()


@contextmanager
def record_kept(folder: Path) -> Iterator[Callable[[], None]]:
    """While this is open, a run that is refused leaves the record in its folder as it was: no file, or the one before.

    Args:
        folder: of the run.

    Yields:
        What is called once the run has begun: from then on the record stays.
    """
    begun = False

    def begin() -> None:
        nonlocal begun
        begun = True

    files = [folder / name for name in (RECIPE, LAYOUT, CODE, CHANGES)]
    before = {file: file.read_bytes() if file.is_file() else None for file in files}
    try:
        yield begin
    except BaseException:
        for file, content in ({} if begun else before).items():
            if content is None:
                file.unlink(missing_ok=True)
            elif file.read_bytes() != content:
                file.write_bytes(content)
        raise


def from_main_process(compute: Callable[[], T], is_main: bool) -> T:
    """What the main process computes, in every process that trains together: what it refuses, all refuse.

    Args:
        compute: looks at files and may write some.
        is_main: whether this is the main process.
    """
    import torch

    if not (torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1):
        return compute()
    found: list[Any] = [None, None]
    refusal: RecipeError | None = None
    if is_main:
        try:
            found = [compute(), None]
        except RecipeError as error:
            found, refusal = [None, str(error)], error
    torch.distributed.broadcast_object_list(found)
    if found[1] is not None:
        raise refusal or RecipeError(found[1])
    value: T = found[0]
    return value


def _record(folder: Path) -> dict[str, Any]:
    """What the run has in force, by dotted names."""
    file = folder / RECIPE
    if not file.is_file():
        raise RecipeError(
            f"the run in '{folder}' has no {RECIPE}, so that nobody can tell whether it would go on as it began; bring "
            "the file back, or start anew in another folder with --output"
        )
    return _flat(settings_of(load_recipe(file)))


def _refuse_other_rows(recipe: Recipe, layout: Layout, began: Mapping[str, int], step: int) -> None:
    """Let a run go on with other processes only where each step has as many rows: else some were lost, or came twice.

    Raises:
        RecipeError: it has not, or its checkpoint fits no other number of processes.
    """
    folder = recipe.output
    which = f"the run in '{folder}' began with {began['processes']} processes (now {layout.processes})"
    if (folder / f"checkpoint-{step}" / DEEPSPEED).exists():
        raise RecipeError(
            f"{which}, and DeepSpeed's checkpoints fit no other number of them: start as many, or begin a new run with "
            f"what 'thinkseg merge {folder / f'checkpoint-{step}'} --out FOLDER' makes of it as --model.path"
        )
    for name, now in (("batch", layout.batch), ("sampled", layout.sampled)):
        before = began.get(name)
        if before is None or now is None or before == now:
            continue
        size = recipe.trl.get("per_device_train_batch_size", 8) * before
        fits = f" --trl.per_device_train_batch_size {size // now}, or" if size % now == 0 and size >= now else ""
        raise RecipeError(
            f"{which}, and with {now} rows in place of {before} at a time some would be left out or come twice: "
            f"give{fits} other settings of 'trl' with which they are {before}"
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted names; what is null is not there, as it is within a section that is null."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _is_free(name: str, before: Any, after: Any) -> bool:
    """Whether a setting may be another at any time."""
    grows = name in UPWARDS and before is not None and after is not None and after >= before
    return grows or name in FREE


def _is_within(name: str, section: str) -> bool:
    return name == section or name.startswith(f"{section}.")


def _told(differing: Mapping[str, tuple[Any, Any]]) -> str:
    return " and ".join(f"{name} {_value(before)} (now {_value(after)})" for name, (before, after) in differing.items())


def _value(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
