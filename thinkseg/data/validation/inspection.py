"""What is wrong inside the files of one sample: its image is decoded, its masks are looked at pixel by pixel."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import UnidentifiedImageError
from scipy.ndimage import distance_transform_edt

from thinkseg.data.listing import Fault, FaultKind, Listing
from thinkseg.errors import ImageError, InputError
from thinkseg.imaging import (
    ImageFile,
    NotAMaskError,
    OversizeError,
    load_image,
    load_map,
    read_header,
    read_mask,
    size_difference,
)
from thinkseg.types import Mask, Size

_BLOCK = 8
"""Side of the squares that JPEG works on."""

_LONGEST = 200
"""Longest side over shortest, above which the processors of the Qwen line refuse an image."""


@dataclass(slots=True)
class Finding:
    """What the files of one sample revealed."""

    faults: list[Fault] = field(default_factory=list)
    image_digest: bytes = b""
    """Of the image's bytes; empty when it was not looked at."""
    mask_digests: dict[Path, bytes] = field(default_factory=dict)
    """Of the bytes of each mask that shows an object; full and empty ones may well be the same."""


def inspect_sample(listing: Listing, index: int, *, image: bool = True, truth: bool = True) -> Finding:
    """Look into the files of one sample.

    Args:
        listing: where it lies.
        index: which one it is.
        image: whether to decode the image; when several samples show it, once is enough.
        truth: whether to look at its masks.
    """
    entry = listing.entry(index)
    finding = Finding()
    if listing.embedded:
        finding.faults += _row(listing, index)
        return finding
    header, fault = _header(entry.image, FaultKind.MISSING_IMAGE)
    if image:
        fault = fault or _decoding_fault(entry.image)
        if fault is None:
            finding.image_digest = _digest(entry.image)
        else:
            finding.faults.append(fault)
        if header and max(header.size.wh) > _LONGEST * min(header.size.wh):
            detail = f"{header.size.width}×{header.size.height}"
            finding.faults.append(Fault(FaultKind.TOO_NARROW, str(entry.image), detail))
    if not truth:
        return finding
    for file in entry.masks:
        finding.faults += _mask_file(file, header, entry.may_be_empty, finding)
    ignore_fault = _ignore_fault(entry.ignore, header) if entry.ignore else None
    if ignore_fault:
        finding.faults.append(ignore_fault)
    elif header and not entry.masks:
        finding.faults += _drawn_mask(listing, index, header)
    return finding


def went_through_jpeg(values: Float64[np.ndarray, "height width"]) -> bool:
    """Whether a mask bears the marks of JPEG: it changes the 8×8 squares that hold an outline, and all over them.

    Soft edges change only what is next to the outline, and feathers and mattes do not stop at the squares' borders.

    Args:
        values: of the mask, 0…1, more than two levels.
    """
    height, width = values.shape
    padding = ((0, -height % _BLOCK), (0, -width % _BLOCK))
    padded = np.pad(values, padding, mode="edge")
    squares = padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, padded.shape[1] // _BLOCK, _BLOCK)
    low, high = squares.min(axis=(1, 3)), squares.max(axis=(1, 3))
    outlined = (low <= 0.5) & (high > 0.5)
    disturbed = high - low > 1e-9
    if not outlined.any() or (disturbed & ~outlined).sum() > 0.02 * disturbed.sum():
        return False
    inside = values > 0.5
    depth = np.where(inside, distance_transform_edt(inside), distance_transform_edt(~inside))
    pixels_of_outlined = np.kron(outlined, np.ones((_BLOCK, _BLOCK), dtype=bool))[:height, :width]
    far = pixels_of_outlined & (depth > 2.5)
    between = (values > 0) & (values < values.max())
    return bool((far & between).sum() > 0.2 * far.sum())


def _header(file: Path, missing: FaultKind) -> tuple[ImageFile | None, Fault | None]:
    if not os.path.exists(file):  # which a name longer than any file's does not
        return None, Fault(missing, str(file))
    try:
        return read_header(file), None
    except OversizeError:
        return None, Fault(FaultKind.TOO_LARGE, str(file))
    except ImageError as error:
        known = not isinstance(error.__cause__, UnidentifiedImageError)
        detail = "" if file.stat().st_size else "is a file of 0 bytes"
        return None, Fault(FaultKind.TRUNCATED if known else FaultKind.UNREADABLE, str(file), detail)


def _decoding_fault(file: Path) -> Fault | None:
    try:
        load_image(file)
    except ImageError:
        return Fault(FaultKind.TRUNCATED, str(file))
    return None


def _mask_file(file: Path, image: ImageFile | None, may_be_empty: bool, finding: Finding) -> list[Fault]:
    """The faults of a mask in a file of its own."""
    header, fault = _header(file, FaultKind.MISSING_MASK)
    if fault or header is None:
        return [fault] if fault else []
    try:
        read = read_mask(file)
        levels = _level_fault(file, header, load_map(file)) if read.values > 2 else None
    except NotAMaskError as error:
        return [_not_a_mask(file, error)]
    except ImageError:
        return [Fault(FaultKind.TRUNCATED, str(file))]
    mask = read.mask
    faults = [_size_fault(str(file), header, image), levels, _extent_fault(str(file), mask, may_be_empty)]
    if mask.any() and not mask.all():
        finding.mask_digests[file] = _digest(file)
    return [fault for fault in faults if fault]


def _ignore_fault(file: Path, image: ImageFile | None) -> Fault | None:
    """What is wrong with a region to be ignored, which may well be empty or full."""
    header, fault = _header(file, FaultKind.MISSING_MASK)
    if fault:
        return fault
    try:
        read_mask(file)
    except NotAMaskError as error:
        return _not_a_mask(file, error)
    except ImageError:
        return Fault(FaultKind.TRUNCATED, str(file))
    return _size_fault(str(file), header, image)


def _not_a_mask(file: Path, error: NotAMaskError) -> Fault:
    return Fault(FaultKind.NOT_A_MASK, str(file), str(error).removeprefix(f"'{file}' "))


def _row(listing: Listing, index: int) -> list[Fault]:
    """The faults of a row that holds its image and its masks."""
    entry = listing.entry(index)
    try:
        sample = listing.read(index)
        image = load_image(sample.image)
    except InputError as error:
        return [Fault(FaultKind.BAD_RECORD, entry.truth, str(error))]
    masks = [sample.target, sample.ignore, *(sample.instances if sample.instances is not None else ())]
    wrong = [mask for mask in masks if mask is not None and mask.shape != (image.height, image.width)]
    return [Fault(FaultKind.WRONG_SIZE, entry.truth)] if wrong else []


def _drawn_mask(listing: Listing, index: int, image: ImageFile) -> list[Fault]:
    """The faults of a mask that is drawn from an annotation."""
    entry = listing.entry(index)
    try:
        sample = listing.read(index)
    except InputError as error:
        return [Fault(FaultKind.BAD_RECORD, entry.truth, str(error))]
    if sample.target is None:
        return []
    height, width = sample.target.shape
    faults = [
        _size_fault(entry.truth, ImageFile(Size(width, height), "", "", turned=False), image),
        _extent_fault(entry.truth, sample.target, entry.may_be_empty),
    ]
    return [fault for fault in faults if fault]


def _size_fault(where: str, mask: ImageFile | None, image: ImageFile | None) -> Fault | None:
    if mask is None or image is None or mask.size == image.size:
        return None
    width, height = mask.size.wh
    detail = size_difference(mask.size, image.size)
    if image.turned and (height, width) == image.size.wh:
        detail += ", which it fits before the turn that the image's EXIF data ask for"
    return Fault(FaultKind.WRONG_SIZE, where, detail)


def _level_fault(file: Path, header: ImageFile, values: Float64[np.ndarray, "height width"]) -> Fault | None:
    between = (values > values.min()) & (values < values.max())
    if not between.any():
        return None
    if header.format == "JPEG":
        detail = "is a JPEG" if file.suffix.lower() in (".jpg", ".jpeg") else f"is a JPEG named '{file.suffix}'"
        return Fault(FaultKind.JPEG_DAMAGED, str(file), detail)
    detail = f"{between.mean():.1%} of its pixels are between its darkest and its brightest level"
    return Fault(FaultKind.JPEG_DAMAGED if went_through_jpeg(values) else FaultKind.NON_BINARY, str(file), detail)


def _extent_fault(where: str, mask: Mask, may_be_empty: bool) -> Fault | None:
    if not mask.any():
        return None if may_be_empty else Fault(FaultKind.EMPTY, where)
    return Fault(FaultKind.FULL, where) if mask.all() else None


def _digest(file: Path) -> bytes:
    return hashlib.blake2b(file.read_bytes(), digest_size=16).digest()
