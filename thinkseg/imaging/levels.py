"""From the pixels of a mask's file, of any kind, to one number for each: large on the object.

Of several channels the largest counts. Where transparency varies it is the mask, as in a cut-out, unless the opaque
part is itself black and one other colour. In a file with a palette of colours index 0 is the background and every
other index the object; several indices without 0 are refused. In a file of colours without a palette black is the
background and one other colour the object; where several colours cover areas it cannot be told which is meant, and the
file is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped, UInt8, UInt16
from PIL import Image, ImageChops, ImageFilter

from thinkseg.errors import ImageError

BAND = 1 << 22
"""So many pixels are looked at together, that a large mask takes no multiple of its memory."""
FEW = 64
"""A file of so many values or colours was painted; one of more was computed or went through JPEG."""
_BLACK = 8
"""A colour is black up to this, of 255."""
_EVEN = 48
"""So far a channel spreads between neighbours, at most, where JPEG has gone over one colour, of 255."""

Numbers = UInt8[np.ndarray, "height width"] | UInt16[np.ndarray, "height width"]


class NotAMaskError(ImageError):
    """A file of which it cannot be told which of its values is the object."""


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """One number for each pixel."""

    values: Numbers
    limit: int
    """The largest that there can be: the smallest of 1, 255 and 65535 that holds all values."""


def levels_of(image: Image.Image, name: str) -> Levels:
    """One number for each pixel (see the module's text).

    Raises:
        NotAMaskError: colours of which it cannot be told which is the object, or pixels that are not numbers.
    """
    found = _by_transparency(image.convert("RGBA"), name) if image.has_transparency_data else None
    if found is not None:
        return _bytes_of(found)
    if image.mode in ("P", "PA"):
        return _by_palette(image.getchannel(0) if image.mode == "PA" else image, image, name)
    if image.mode.startswith("I") or image.mode == "F":
        return _deep(np.asarray(image), name)
    if image.mode in ("1", "L"):
        return _bytes_of(image)
    return _by_colour(image if image.mode == "RGB" else image.convert("RGB"), name)


def range_of(largest: float) -> float:
    """The smallest of 1, 255 and 65535 that holds the largest value."""
    return next((limit for limit in (1.0, 255.0, 65535.0) if largest <= limit), largest)


def bands(values: Shaped[np.ndarray, "height width"], overlap: int = 0) -> Iterator[Shaped[np.ndarray, "rows width"]]:
    """Some rows after the others, with so many rows of what is above and below."""
    height, width = values.shape
    rows = max(1, BAND // max(1, width))
    for start in range(0, height, rows):
        yield values[max(0, start - overlap) : start + rows + overlap]


def _bytes_of(image: Image.Image) -> Levels:
    values = np.asarray(image).astype(np.uint8, copy=False)
    return Levels(values, 1 if values.max(initial=0) <= 1 else 255)


def _deep(values: Shaped[np.ndarray, "height width"], name: str) -> Levels:
    """16 or 32 bits, or fractions; more than 16 bits are scaled to 16."""
    least, most = float(values.min(initial=0)), float(values.max(initial=0))
    if not np.isfinite([least, most]).all():
        raise NotAMaskError(f"{name} has pixels that are no finite numbers: write 1 on the object and 0 elsewhere")
    if least < 0:
        raise NotAMaskError(f"{name} has pixels down to {least:g}, while none of a mask is below 0, {_ADVICE}")
    limit = range_of(most)
    if values.dtype.kind in "iu" and limit <= 65535:
        return Levels(values.clip(0, None).astype(np.uint16), int(limit))
    scaled = np.empty(values.shape, np.uint16)
    rows = max(1, BAND // max(1, values.shape[1]))
    for start in range(0, len(values), rows):
        scaled[start : start + rows] = np.floor(values[start : start + rows].clip(0, None) * (65535.0 / limit))
    return Levels(scaled, 65535)


def _by_palette(indices: Image.Image, image: Image.Image, name: str) -> Levels:
    """By the greys of a grey palette, else by the index."""
    flat = image.getpalette("RGB") or []
    used = sorted(int(str(index)) for _, index in indices.getcolors(256) or [])
    colours = {index: tuple((flat + [0] * 768)[3 * index : 3 * index + 3]) for index in used}
    if len(set(colours.values())) == len(used) and all(len(set(colour)) == 1 for colour in colours.values()):
        return _bytes_of(image.convert("L"))
    if 0 not in used and len(used) > 1:
        raise NotAMaskError(
            f"{name} has a palette of which it uses the indices {', '.join(map(str, used[:6]))}, and not 0, the "
            f"background, {_ADVICE}"
        )
    black = [index for index, colour in colours.items() if max(colour) <= _BLACK]
    if 0 in used and black and 0 not in black:
        raise NotAMaskError(
            f"{name} has a palette in which not index 0, the background, is black but index {black[0]}, so that it "
            "cannot be told which is the object: save it as grey, 255 on the object and 0 elsewhere"
        )
    return Levels((np.asarray(indices) > 0).astype(np.uint8), 1)


def _by_colour(image: Image.Image, name: str) -> Levels:
    """The largest channel, where there is black and one other colour, or greys alone."""
    red, green, blue = image.split()
    if not any(_extrema(ImageChops.difference(red, other))[1] for other in (green, blue)):
        return _bytes_of(red)
    largest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    found = image.getcolors(FEW)
    if found is None:
        _refuse_white_and_colours(image, largest, name)
        _refuse_several_hues(image, largest, name)
        return _bytes_of(largest)
    colours = {tuple(colour): count for count, colour in found if isinstance(colour, tuple)}
    areas = _areas(image, colours) if len(colours) > 2 else colours
    painted = [colour for colour in areas if max(colour) > _BLACK]
    if len(painted) > 1 or (len(painted) == 1 and len(areas) == 1 and max(painted[0]) <= 127):
        raise NotAMaskError(f"{name} has areas of {_listed(colours, areas)}, {_ADVICE}")
    if not painted:
        return _bytes_of(largest)
    top = max(painted[0])  # what is darker than the object is its rim
    return Levels(np.asarray(largest.point([min(255, round(value * 255 / top)) for value in range(256)])), 255)


_ADVICE = (
    "of which it cannot be told which is the object: write a file for each object or class, with 255 on it and 0 "
    "elsewhere"
)


def _areas(image: Image.Image, colours: dict[tuple[int, ...], int]) -> dict[tuple[int, ...], int]:
    """How many pixels of each colour have that colour all around."""
    order = {colour: number for number, colour in enumerate(colours)}
    pixels = np.asarray(image)
    numbers = np.empty(pixels.shape[:2], np.uint8)
    keys = np.array([(red << 16) | (green << 8) | blue for red, green, blue in order])
    ranks = np.argsort(keys)
    rows = max(1, BAND // max(1, pixels.shape[1]))
    for start in range(0, len(pixels), rows):
        part = pixels[start : start + rows].astype(np.int32)
        packed = (part[..., 0] << 16) | (part[..., 1] << 8) | part[..., 2]
        numbers[start : start + rows] = ranks[np.searchsorted(keys[ranks], packed)]
    counts = flat_counts(numbers, len(order))
    return {colour: int(counts[number]) for colour, number in order.items() if counts[number]}


def flat_counts(values: Numbers, length: int) -> Shaped[np.ndarray, "length"]:
    """How many pixels of each value have that value all around, in the eight pixels beside them."""
    counts = np.zeros(length, np.int64)
    for band in bands(values, overlap=1):
        if min(band.shape) < 3:
            continue
        across = (band[:, 1:-1] == band[:, :-2]) & (band[:, 1:-1] == band[:, 2:])
        centre = band[1:-1, 1:-1]
        flat = across[1:-1] & across[:-2] & across[2:]
        flat &= (centre == band[:-2, 1:-1]) & (centre == band[2:, 1:-1])
        counts += np.bincount(centre[flat], minlength=length)
    return counts


def _refuse_white_and_colours(image: Image.Image, largest: Image.Image, name: str) -> None:
    """Colours that went through JPEG: a red object on white is bright everywhere in its largest channel."""
    least = ImageChops.darker(ImageChops.darker(*image.split()[:2]), image.getchannel(2))
    pixels = image.width * image.height
    white = sum(least.histogram()[191:])
    coloured = sum(ImageChops.difference(largest, least).histogram()[127:])
    if min(white, coloured) > 0.01 * pixels:
        raise NotAMaskError(f"{name} has {white:,} pixels of white and {coloured:,} of other colours, {_ADVICE}")


def _refuse_several_hues(image: Image.Image, largest: Image.Image, name: str) -> None:
    """Labels in colours that went through JPEG: even areas of more than one hue, each of channels near 0 or the top."""
    spread = Image.new("L", image.size)
    for band in image.split():
        edges = ImageChops.difference(band.filter(ImageFilter.MaxFilter(3)), band.filter(ImageFilter.MinFilter(3)))
        spread = ImageChops.lighter(spread, edges)
    pixels, tops, spreads = np.asarray(image), np.asarray(largest), np.asarray(spread)
    counts = np.zeros(8, np.int64)
    rows = max(1, BAND // max(1, image.width))
    for start in range(0, image.height, rows):
        part = slice(start, start + rows)
        even = (tops[part] > 127) & (spreads[part] <= _EVEN)
        shares = pixels[part][even] / tops[part][even][:, None]
        plain = ((shares < 0.35) | (shares > 0.65)).all(axis=1)
        counts += np.bincount((shares[plain] > 0.5) @ np.array([4, 2, 1]), minlength=8)
    several = [int(count) for count in sorted(counts, reverse=True) if count > 0.01 * image.width * image.height]
    if len(several) > 1:
        told = " and ".join(f"{count:,}" for count in several)
        raise NotAMaskError(f"{name} has even areas of {told} pixels of different colours, {_ADVICE}")


def _by_transparency(layers: Image.Image, name: str) -> Image.Image | None:
    """The mask that varying transparency is; None where it is the same everywhere, so that the colours have to tell."""
    alpha = layers.getchannel("A")
    least, most = _extrema(alpha)
    if least != most:
        return _cut_out(layers, alpha)
    if most > 0:
        return None
    if any(low != high for low, high in (_extrema(band) for band in layers.convert("RGB").split())):
        raise NotAMaskError(f"{name} is transparent everywhere, and has colours below that: save it as opaque")
    return alpha


def _cut_out(layers: Image.Image, alpha: Image.Image) -> Image.Image:
    """The mask of an image whose transparency varies: transparency, weighed by the colours if these are a mask, too."""
    red, green, blue, _ = layers.split()
    largest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    seen = _seen_colours(layers, largest, alpha)
    if seen and len(seen) == 2 and min(map(max, seen)) <= _BLACK:
        return ImageChops.multiply(largest, alpha)
    return alpha


def _seen_colours(layers: Image.Image, largest: Image.Image, alpha: Image.Image) -> set[tuple[int, ...]] | None:
    """The colours of the opaque part, None for many; greys near black and near white are black and white."""
    found = layers.getcolors(FEW)
    if found is not None:
        return {tuple(colour[:3]) for _, colour in found if isinstance(colour, tuple) and colour[3] > 127}
    opaque: Bool[np.ndarray, "height width"] = np.asarray(alpha) > 127
    least = ImageChops.darker(ImageChops.darker(*layers.split()[:2]), layers.getchannel(2))
    dark, light = np.asarray(largest)[opaque] <= 26, np.asarray(least)[opaque] >= 229
    if not dark.any() or not light.any() or (~(dark | light)).mean() > 0.01:
        return None
    return {(0, 0, 0), (255, 255, 255)}


def _listed(colours: dict[tuple[int, ...], int], areas: dict[tuple[int, ...], int]) -> str:
    most = sorted(areas, key=lambda colour: -colours[colour])
    named = ", ".join(f"{colour} ({colours[colour]:,} pixels)" for colour in most[:6])
    return named + (f" and {len(most) - 6} more colours" if len(most) > 6 else "")


def _extrema(band: Image.Image) -> tuple[int, int]:
    low, high = band.getextrema()
    return int(low), int(high)  # type: ignore[arg-type]
