"""What ends a run in its middle, in one sentence with the checkpoint that is left.

It is the user's code or data, a disk that is full, memory that is used up, another process of the run that has died, or
a reward that teaches nothing. What is a defect of ThinkSeg stays what it is.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from thinkseg.errors import InputError, ThinkSegError
from thinkseg.training.callbacks import NOTHING_LEARNT
from thinkseg.training.checkpoints import finished_checkpoints, unwritten, way_on

_NO_ROOM = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))

_DISTRIBUTED: tuple[type[Exception], ...] = (torch.distributed.DistError,) if torch.distributed.is_available() else ()
_LOST = ("gloo/transport", "Connection closed by peer", "Connection reset by peer", "NCCL error")
"""How PyTorch tells that another process does not answer any more; gloo has no error of its own for it."""

_OUT_OF_MEMORY = ("DefaultCPUAllocator", "not enough memory", "out of memory")
"""How PyTorch tells on a CPU, and CUDA in its libraries, that memory is used up."""

_KILLED_WORKER = "DataLoader worker (pid"


class RewardDead(ThinkSegError):
    """The reward has had no difference within any group for so long that the run was stopped, with a checkpoint.

    Args:
        checkpoint: the folder that it was saved to.
        steps: for how many steps in succession.
        step: the last one.
    """

    def __init__(self, checkpoint: Path, steps: int, step: int) -> None:
        super().__init__(
            f"the reward has had no difference within any group for {steps} steps (up to step {step}), so that "
            f"{NOTHING_LEARNT}; '{checkpoint}' is saved: --resume goes on from it, with what you change (--allow "
            "NAMES) or as it is for as many steps more; --dead_reward null never stops"
        )
        self.checkpoint = checkpoint
        self.step = step


@contextmanager
def last_one_told(folder: Path) -> Iterator[None]:
    """While this is open, what is wrong with the user's code or data is told with the checkpoint that is left, if any.

    Args:
        folder: of the run.

    Raises:
        InputError: of the kind that was raised, in one line, also where it comes from a worker of the data loader.
    """
    try:
        yield
    except InputError as error:
        before = finished_checkpoints(folder)
        left = (
            f"; '{before[0][1]}' is the last checkpoint: --resume goes on from it, and where code of your own has "
            "changed, a new run with it as --model.path"
            if before
            else ""
        )
        raise type(error)(f"{_without_trace(str(error), type(error))}{left}") from error


@contextmanager
def machine_told(folder: Path) -> Iterator[None]:
    """While this is open, what the machine does to a run is told with the way on.

    Args:
        folder: of the run.

    Raises:
        ThinkSegError: there is no room on the disk, no memory left, or another process of the run is gone.
    """
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        sentence = sentence_of(error, folder)
        if sentence is None:
            raise
        raise ThinkSegError(sentence) from error


def sentence_of(error: Exception, folder: Path) -> str | None:
    """What the machine did to a run, in words; None where it was something else.

    Args:
        error: that ended it.
        folder: of the run.
    """
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return str(unwritten("a file", folder, error))
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if is_lost_process(error):
        return (
            f"another process of this run does not answer any more, so that it cannot go on ({reason}); see what that "
            f"process said, and {way_on(folder)}"
        )
    if is_out_of_memory(error):
        return (
            f"the memory is used up ({reason}); {way_on(folder)} on a device with more, or start anew with a smaller "
            "--trl.per_device_train_batch_size, shorter answers or smaller images (images.max_pixels)"
        )
    if _KILLED_WORKER in str(error):
        return (
            f"a process that reads the data was killed, most likely for want of memory ({reason}); {way_on(folder)}, "
            "with a smaller --trl.dataloader_num_workers"
        )
    return None


def is_lost_process(error: BaseException) -> bool:
    """Whether another process of the run is gone, or does not answer."""
    # A connection of the user's own code that is reset is an OSError, and none of these.
    return isinstance(error, _DISTRIBUTED) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _LOST)
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the device or of the machine is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def _without_trace(sentence: str, kind: type[InputError]) -> str:
    """The sentence alone; a worker of the data loader puts it at the end of its traceback, behind the error's kind."""
    if "in DataLoader worker process" not in sentence:
        return sentence
    return sentence.rpartition(f"thinkseg.errors.{kind.__name__}: ")[2].removesuffix("\\n")
