"""How benchmarks count what the models have to do at least, whatever the machine."""

from collections.abc import Callable


def flops_of(work: Callable[[], object]) -> int:
    """Multiplications and additions of matrix products, convolutions and attention in some work."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())
