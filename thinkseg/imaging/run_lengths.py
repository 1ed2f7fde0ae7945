"""Masks as COCO writes them in text: run lengths."""

from typing import TypedDict

import numpy as np
from jaxtyping import Int64

from thinkseg.errors import ImageError
from thinkseg.imaging.opening import MAX_PIXELS
from thinkseg.types import Mask

_LONGEST_RUN = 7
"""Characters of one run in COCO's text: 35 bits, more than `MAX_PIXELS` needs."""


class RunLengths(TypedDict):
    """A mask as COCO writes it: `size` is [height, width], `counts` the compressed runs, column by column."""

    size: list[int]
    counts: str


def rle_from_mask(mask: Mask) -> RunLengths:
    """A mask as COCO's compressed run lengths, for JSON."""
    from pycocotools import mask as coco

    height, width = mask.shape
    return {"size": [height, width], "counts": coco.encode(np.asfortranarray(mask.view(np.uint8)))["counts"].decode()}


def mask_from_rle(rle: RunLengths) -> Mask:
    """The mask that `rle_from_mask`, or any tool that writes COCO's compressed run lengths, has written.

    COCO's tools would read on where a text is cut short, and leave pixels that no run reaches as memory has them. So
    the text is read here, and nothing is left for them to do.

    Raises:
        ImageError: the counts are damaged or do not fill the size.
    """
    height, width = rle["size"]
    if height < 0 or width < 0 or height * width > MAX_PIXELS:
        raise ImageError(f"a mask of {height}×{width} (height×width) is not possible, or too large")
    runs = _runs_in(rle["counts"])
    if runs.sum() != height * width or runs.min(initial=0) < 0:
        raise ImageError(f"run lengths of {height}×{width} pixels must add up to {height * width}, found {runs.sum()}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape((height, width), order="F")


def _runs_in(counts: str) -> Int64[np.ndarray, "runs"]:
    """The lengths of the runs in a text: five bits a character, lowest first; from the fourth run on less the one two
    before.
    """
    codes = np.frombuffer(counts.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64) - 48
    strange = (codes < 0) | (codes > 63)
    if strange.any():
        letter = counts[int(strange.argmax())]
        raise ImageError(f"run lengths are written in the characters '0' to 'o', found {letter!r}")
    if not len(codes):
        return np.zeros(0, dtype=np.int64)
    ends = np.flatnonzero(codes < 32)
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise ImageError("run lengths end in the middle of a number: the text is cut short")
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > _LONGEST_RUN:
        raise ImageError(f"run lengths have a number of more than {_LONGEST_RUN} characters, which no image has")
    places = 5 * (np.arange(len(codes)) - np.repeat(ends + 1 - lengths, lengths))
    runs = np.add.reduceat((codes & 0x1F) << places, ends + 1 - lengths)
    runs -= np.where(codes[ends] & 0x10, np.int64(1) << 5 * lengths, 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs
