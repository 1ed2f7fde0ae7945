"""The order in which an image's numbers lie in memory."""

import torch


def channels_last(pixels: torch.Tensor) -> torch.Tensor:
    """The same images, the channels of a pixel side by side: towers of convolutions take less time so.

    A layer keeps the order that it is given, so the whole tower follows. `benchmarks/encoding.py` measures what it is
    worth; results differ by rounding.

    Args:
        pixels: (images, channels, height, width), or of any other shape, which is returned as it is.
    """
    return pixels.contiguous(memory_format=torch.channels_last) if pixels.ndim == 4 else pixels
