"""Masks in the run lengths of Label Studio's brush: those of the package ``@thi.ng/rle-pack``, of an image in RGBA.

A header says how many values there are (32 bits), how long one is (5 bits, less 1) and the four sizes that a length may
have (4 bits each, less 1). A run is one bit 1, two bits for the size of its length, the length less 1, and the value.
"""

from __future__ import annotations

import numpy as np

from thinkseg.types import Mask

_VALUE_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)
_LONGEST = 2 ** _LENGTH_BITS[-1]
_CHANNELS = 4


def brush_from_mask(mask: Mask) -> list[int]:
    """The bytes of a mask: 255 in all four channels on the object, 0 beside it.

    >>> brush_from_mask(np.array([[True, True]]))
    [0, 0, 0, 8, 57, 27, 252, 255, 224]

    Args:
        mask: (height, width), not empty.
    """
    values = mask.ravel()
    ends = np.append(np.flatnonzero(values[1:] != values[:-1]) + 1, values.size)
    lengths = np.diff(ends, prepend=0) * _CHANNELS
    parts = [f"{values.size * _CHANNELS:032b}", f"{_VALUE_BITS - 1:05b}", *(f"{bits - 1:04b}" for bits in _LENGTH_BITS)]
    for end, length in zip(ends.tolist(), lengths.tolist(), strict=True):
        value = "1" * _VALUE_BITS if values[end - 1] else "0" * _VALUE_BITS
        whole, rest = divmod(length, _LONGEST)
        parts += [_run(_LONGEST, value)] * whole
        if rest:
            parts.append(_run(rest, value))
    bits = np.frombuffer("".join(parts).encode(), dtype=np.uint8) == ord("1")
    return list(np.packbits(bits).tolist())


def _run(length: int, value: str) -> str:
    size = next(number for number, bits in enumerate(_LENGTH_BITS) if length <= 2**bits)
    return f"1{size:02b}{length - 1:0{_LENGTH_BITS[size]}b}{value}"
