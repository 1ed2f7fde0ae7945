"""What the machine has and what was needed of it, for those who share work out or write down where it was done."""

import os
import sys
from pathlib import Path


def usable_cpus() -> int:
    """The number of CPUs that this process may use, which may be fewer than the machine has.

    >>> usable_cpus() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int | None:
    """The most memory that this process, or one that it has started and waited for, has had so far, in bytes.

    None where the system does not say. Memory of cards is not counted.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return max(children, _own_peak() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _own_peak() -> int | None:
    """As Linux has it by process: what `getrusage` says includes what a process had that has become this one."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def peak_card_memory() -> int | None:
    """The most memory of a CUDA card that PyTorch has handed out in this process so far, in bytes; None without one."""
    torch = sys.modules.get("torch")  # where it was not imported, it has handed out none
    if torch is None or not torch.cuda.is_initialized():
        return None
    return max(int(torch.cuda.max_memory_allocated(card)) for card in range(torch.cuda.device_count()))
