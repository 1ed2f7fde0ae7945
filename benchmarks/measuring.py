"""How benchmarks measure: flags, seconds of one way beside another's, and what is kept for the backward pass."""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch


def parser_of(description: str, small: str, repeats: int) -> argparse.ArgumentParser:
    """A parser with the flags that benchmarks have in common.

    Args:
        description: what is measured.
        small: what `--small` makes of it.
        repeats: how often each way runs unless `--repeats` says it.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--small", action="store_true", help=small)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--repeats", type=at_least_one, default=repeats, help="runs of each way, of which the fastest counts"
    )
    return parser


def at_least_one(word: str) -> int:
    """A flag's count; argparse refuses any other word in a sentence."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, found '{word}'")
    return int(word)


def seconds_of(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of the fastest of some runs of each way.

    They take turns, so that what else the machine does meets all of them; each runs once before. On a GPU the device is
    waited for.
    """
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(repeats + 1):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def in_words(seconds: Mapping[str, float]) -> str:
    """The seconds of each way, as a table's first line has them."""
    return ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())


def kept_for_backward(model: Any, forward: Callable[[], object]) -> int:
    """Bytes that a forward pass keeps for its backward pass, the model's weights aside."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def weigh(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # as it is, it would hold the node that holds it, and none of them would ever be freed

    with torch.autograd.graph.saved_tensors_hooks(weigh, lambda tensor: tensor):
        output = forward()  # held, so that no storage comes back under its address
    assert output is not None
    return sum(kept.values())
