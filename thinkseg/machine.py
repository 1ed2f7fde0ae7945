"""What the machine has, for those who share work out and those who write down where it was done."""

import os


def usable_cpus() -> int:
    """The number of CPUs that this process may use, which may be fewer than the machine has.

    >>> usable_cpus() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
