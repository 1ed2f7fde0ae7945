"""Whether the numbers of a mask's file say what is the object, and what they say.

A mask has two values. The object is what is above the middle of the range: the range is the smallest of 1, 255 and
65535 that holds the largest value, so that masks of 0/1, 0/255 and 16 bits all read right. Where there are 0 and one
other value, the other one is the object, however small. Soft rims, and what JPEG leaves, go to the nearer side.

Everything else could only be guessed, and is refused: values none of which reaches the middle, areas of a third value
(class numbers, a trimap), a file that is grey for the most part (a photograph).
"""

import numpy as np
from jaxtyping import Int64
from PIL import Image, ImageFilter

from thinkseg.imaging.levels import FEW, Levels, NotAMaskError, bands, flat_counts
from thinkseg.types import Mask

_RIM = 0.01
"""Areas of a third value are noise up to this share of what is not background."""
_WINDOW = 16
"""Values that JPEG has made of one lie so near to it, of 255."""
_NAMED = 6
"""So many values are named."""

Counts = Int64[np.ndarray, "values"]


def two_valued(levels: Levels, name: str, *, lossy: bool = False) -> tuple[Mask, int]:
    """The mask that numbers say, and how many different values there are.

    Args:
        levels: one number for each pixel.
        name: what an error calls the file.
        lossy: whether it went through JPEG, which scatters a value about itself.

    Raises:
        NotAMaskError: it cannot be told which value is the object.
    """
    values, limit = levels.values, levels.limit
    counts: Counts = np.zeros(limit + 1, np.int64)
    for band in bands(values):
        counts += np.bincount(band.ravel(), minlength=limit + 1)
    found = np.flatnonzero(counts)
    low, high = int(found[0]), int(found[-1])
    if low == 0 and len(found) <= 2:
        return values > 0, len(found)
    if 2 * high <= limit:
        raise _refused(counts, name, f"none of them above the middle of 0…{limit}")
    apart = 2 * low <= limit and 2 * (high - low) >= limit
    if len(found) <= 2:
        if not apart and 4 * low < 3 * limit and len(found) == 2:
            raise _refused(counts, name, "no two values of which one is light and the other dark")
        return values > limit // 2, len(found)
    if len(found) <= FEW and not lossy:
        _refuse_areas(levels, counts, name)
    else:
        _refuse_grey(levels, counts, name)
    return values > limit // 2, len(found)


def _refuse_areas(levels: Levels, counts: Counts, name: str) -> None:
    """Refuse values besides background and object that cover areas; rims are too thin for that."""
    flat = flat_counts(levels.values, len(counts))
    dark, light = levels.limit // 4 + 1, 3 * levels.limit // 4
    background, thing = int(counts[:dark].argmax()), light + int(counts[light:].argmax())
    flat[[background, thing]] = 0
    if flat.sum() > _RIM * (counts.sum() - counts[background]):
        raise _refused(counts, name, "more than two of which cover areas")


def _refuse_grey(levels: Levels, counts: Counts, name: str) -> None:
    """Refuse what is grey for the most part, or has an even area of grey."""
    scale = 255 / levels.limit
    of_bytes = np.bincount((np.arange(len(counts)) * scale).astype(np.int64), weights=counts, minlength=256)
    between = slice(64, 192)
    grey = of_bytes[between].sum()
    if grey > 0.5 * counts.sum():
        raise _refused(counts, name, f"{grey / counts.sum():.0%} of the pixels between a quarter and three quarters")
    even = np.zeros(256, np.int64)
    for band in bands(levels.values, overlap=1):
        part = Image.fromarray((band * scale).astype(np.uint8))
        spread = np.asarray(part.filter(ImageFilter.MaxFilter(3))) - np.asarray(part.filter(ImageFilter.MinFilter(3)))
        even += np.bincount(np.asarray(part)[spread <= 3 * _WINDOW], minlength=256)
    even[:64], even[192:] = 0, 0
    centre = int(even.argmax())
    near = even[max(0, centre - _WINDOW) : centre + _WINDOW + 1].sum()
    if near > 0.6 * even.sum() and near > 10 * _RIM * (counts.sum() - of_bytes[:64].sum()):
        raise _refused(counts, name, f"an area of them near {round(centre / scale)}")


def _refused(counts: Counts, name: str, why: str) -> NotAMaskError:
    most = np.argsort(-counts, kind="stable")[: min(_NAMED, np.count_nonzero(counts))]
    named = ", ".join(f"{value} ({counts[value]:,} pixels)" for value in sorted(most))
    left = np.count_nonzero(counts) - len(most)
    more = f" and {left} more values" if left else ""
    return NotAMaskError(
        f"{name} is no mask of two values: found {named}{more}, {why}, so that it cannot be told which is the object: "
        "write a file for each object or class, with 255 on it and 0 elsewhere"
    )
