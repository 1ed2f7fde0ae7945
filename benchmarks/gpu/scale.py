"""In which sizes it is measured: the published ones, or tiny ones that show whether it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import memory
import torch
from reasoners import SEVEN_BILLION, THREE_BILLION, TINY, Case, Proportions

from thinkseg.testing import tiny_sam2


@dataclass(frozen=True)
class Scale:
    """Sizes of models and of what they work on."""

    small: bool
    device: str
    case: Case
    """The group of a step; its prompt is the image and a few words."""
    three_billion: Proportions
    seven_billion: Proportions
    segmenter: Callable[[], tuple[Any, Any]]
    """Model and processor."""
    images: int
    prompts: int
    """About each image."""
    repeats: int
    """Runs of which the fastest counts."""

    @property
    def pixels(self) -> int:
        """A side of the image."""
        return 28 * self.case.side

    @property
    def dtype(self) -> str:
        """Of the reasoner's weights."""
        return "float32" if self.small and self.device == "cpu" else "bfloat16"

    def settle(self) -> None:
        """Wait for the device."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def peak(self) -> float | None:
        """GB that were taken at most since the last call; None on a CPU."""
        if self.device == "cpu":
            return None
        most = torch.cuda.max_memory_allocated() / 1e9
        torch.cuda.reset_peak_memory_stats()
        return most


def scale(*, small: bool) -> Scale:
    """The sizes for this machine.

    Raises:
        SystemExit: the published sizes are asked for where there is no GPU.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if small:
        return Scale(True, device, Case(4, 4, 60, 6), TINY, TINY, tiny_sam2, 2, 3, 1)
    if device == "cpu":
        raise SystemExit("expected a GPU that PyTorch can use, found none; --small runs on a CPU, too")
    group = Case(8, 30, 1100, 200)
    return Scale(False, device, group, THREE_BILLION, SEVEN_BILLION, sam2_large, 16, 32, 3)


def sam2_large() -> tuple[Any, Any]:
    """SAM 2.1 large with random weights, on the GPU, and its processor."""
    from transformers import Sam2ImageProcessor, Sam2Processor

    torch.manual_seed(0)
    return memory.build_segmenter("cuda").eval(), Sam2Processor(Sam2ImageProcessor())
