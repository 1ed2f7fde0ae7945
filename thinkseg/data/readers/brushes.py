"""The run lengths of Label Studio's brush: a stream of bits, packed by the JavaScript library ``rle-pack``.

Its head is the number of values (32 bits), the bits of a value less one (5) and four lengths of counters, each less one
(4 bits each). Then come blocks: a bit that says whether one value is repeated, two that choose the counter, the count
less one, and the value, or as many values as the count says. The values are the image's pixels row by row, four of
eight bits each (red, green, blue, alpha); what is opaque was painted.
"""

from __future__ import annotations

import numpy as np

from thinkseg.data.fields import shown
from thinkseg.errors import DataError
from thinkseg.imaging import MAX_PIXELS
from thinkseg.types import Mask, Size

CHANNELS = 4
OPAQUE = 127
"""An alpha above it was painted."""


class _Bits:
    """Numbers of so many bits, one after the other."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._place = 0

    def take(self, count: int) -> int:
        end = self._place + count
        first, last = self._place // 8, -(-end // 8)
        if last > len(self._packed):
            raise DataError(f"the run lengths of a brush end in the middle, after {len(self._packed)} bytes")
        number = int.from_bytes(self._packed[first:last], "big") >> (last * 8 - end)
        self._place = end
        return number & ((1 << count) - 1)


def mask_from_brush(packed: bytes, size: Size) -> Mask:
    """The mask of a brush.

    Args:
        packed: as Label Studio exports it under "rle".
        size: of the image.

    Raises:
        DataError: they end in the middle, or do not fill the size.
    """
    bits = _Bits(packed)
    total, width = bits.take(32), bits.take(5) + 1
    expected = size.width * size.height * CHANNELS
    if total != expected or size.width * size.height > MAX_PIXELS or width != 8:
        raise DataError(
            f"the run lengths of a brush on {size.width}×{size.height} pixels should have {expected} values of 8 bits, "
            f"found {total} of {width} ({shown(list(packed[:4]))})"
        )
    counters = [bits.take(4) + 1 for _ in range(4)]
    values = np.zeros(total, dtype=np.uint8)
    place = 0
    while place < total:
        repeated = bits.take(1)
        end = min(place + 1 + bits.take(counters[bits.take(2)]), total)
        if repeated:
            values[place:end] = bits.take(width)
        else:
            values[place:end] = [bits.take(width) for _ in range(end - place)]
        place = end
    return values.reshape(*size.hw, CHANNELS)[..., CHANNELS - 1] > OPAQUE
