"""The files of a result: its record, and images that are drawn from it.

::

    record ─▶ NAME.mask.png, NAME.overlay.png, NAME.index.png, NAME.object-1.png, … and, last, NAME.json

The record is written last and whole, so that where it is the result is complete; images that are asked for later are
drawn from it, without a model.
"""

import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.drawing import index_image, overlay
from thinkseg.errors import ImageError, InputError, ThinkSegError
from thinkseg.imaging import mask_image
from thinkseg.results.record import ResultRecord, answer_from_record, masks_from_record
from thinkseg.writing import json_text, replacing

RECORD, MASK, OVERLAY, INDEX = ".json", ".mask.png", ".overlay.png", ".index.png"
"""What the names of a result's files end in."""

_ENDING = re.compile(r"\.(mask|overlay|index|object-\d+)\.png$")


_LONGEST_NAME = 255
"""Bytes of a file's name that common file systems take."""
_LONGEST_ENDING = 33
"""Bytes that are kept for what comes behind the name of a result: a number, an ending, and what it is called while it
is written, such as "-1234567.object-1234.png.part". Another number would cut long names elsewhere than before."""


def safe_stem(name: str) -> Path:
    """A name for a result's files that every file system takes and that stays below the folder of the results.

    Args:
        name: what is wanted: a relative path without suffix. Parts that name no file, such as "." and "..", get
            underscores for their dots, and long ones are cut and told apart by a digest.
    """
    parts = [_safe_part(part) for part in name.replace(os.sep, "/").split("/") if part]
    return Path(*parts) if parts else Path("_")


def _safe_part(part: str) -> str:
    if not part.strip("."):
        return "_" * len(part)
    encoded = os.fsencode(part)
    if len(encoded) <= _LONGEST_NAME - _LONGEST_ENDING:
        return part
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    kept = encoded[: _LONGEST_NAME - _LONGEST_ENDING - len(digest) - 1]
    while (kept[-1] & 0xC0) == 0x80:  # not amid a letter
        kept = kept[:-1]
    kept = kept[:-1] if kept[-1] >= 0xC0 else kept
    return f"{os.fsdecode(kept)}-{digest}"


def prepare_folder(folder: Path) -> None:
    """Make a folder for results and try whether files can be written into it, before work is done for them.

    Raises:
        InputError: it cannot be made, or not be written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"'{folder}' cannot be made a folder for the results: {error.strerror}") from error
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"nothing can be written into the folder '{folder}': {error.strerror}") from error


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Say in a sentence why a result cannot be written: a full disk ends the work, and what is there stays.

    Raises:
        ThinkSegError: in place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise ThinkSegError(
            f"a result cannot be written into '{folder}': {error.strerror or error}; the same command goes on from here"
        ) from error


def instance_ending(number: int) -> str:
    """What the name of an object's own mask ends in; the first object is number 1."""
    return f".object-{number}.png"


def with_ending(stem: Path, ending: str) -> Path:
    """The path of a result without suffix, with an ending; dots in it are left alone."""
    return stem.with_name(stem.name + ending)


def endings(record: Mapping[str, Any], *, index: bool = False, instances: bool = False) -> list[str]:
    """What the files of a result end in, the record's last."""
    numbers = range(1, len(record["objects"]) + 1) if instances else ()
    return [MASK, OVERLAY, *([INDEX] if index else []), *map(instance_ending, numbers), RECORD]


def write_images(stem: Path, record: Mapping[str, Any], load: Callable[[], Image.Image], wanted: Iterable[str]) -> None:
    """Draw images of a record.

    Args:
        stem: where, without suffix; folders that are missing are made.
        record: what is drawn.
        load: the image that the record is about; called only if an overlay is wanted.
        wanted: endings of images.
    """
    masks = masks_from_record(record)
    for ending in wanted:
        if ending == MASK:
            image = mask_image(np.logical_or.reduce(masks, axis=0))
        elif ending == OVERLAY:
            image = overlay(load(), masks, answer_from_record(record))
        elif ending == INDEX:
            image = index_image(masks)
        else:
            number = next(n for n in range(1, len(masks) + 1) if instance_ending(n) == ending)
            image = mask_image(masks[number - 1])
        with _replacing(with_ending(stem, ending)) as half:
            image.save(half, format="PNG")


def write_result(
    stem: Path,
    record: Mapping[str, Any],
    load: Callable[[], Image.Image],
    *,
    index: bool = False,
    instances: bool = False,
) -> None:
    """Write all files of a result, the record last, in place of those of an earlier one."""
    old = read_record(stem)
    for ending in reversed(endings(old, index=True, instances=True) if old else []):
        with_ending(stem, ending).unlink(missing_ok=True)
    write_images(stem, record, load, endings(record, index=index, instances=instances)[:-1])
    write_record(stem, record)


def write_record(stem: Path, record: Mapping[str, Any]) -> None:
    """Write a record so that a reader finds all of it or none."""
    with _replacing(with_ending(stem, RECORD)) as half:
        half.write_text(json_text(record, indent=2) + "\n", encoding="utf-8")


def _replacing(path: Path) -> AbstractContextManager[Path]:
    """A file of a result, half-written under a name that is no image's and that writing it again takes over."""
    return replacing(path, with_ending(path, ".part"))


def read_record(stem: Path) -> ResultRecord | None:
    """The record of this name; None when there is no such file, or it is something else than a record."""
    try:
        found = json.loads(with_ending(stem, RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"query", "size", "objects", "completion"} <= found.keys() else None


def stem_of_image(path: Path) -> Path | None:
    """The stem of the result that a file is named as an image of; None when it is not named so."""
    found = _ENDING.search(path.name)
    return path.with_name(path.name[: found.start()]) if found else None


def is_image_of_result(path: Path) -> bool:
    """Whether a file was drawn from a record that lies beside it."""
    stem = stem_of_image(path)
    return stem is not None and read_record(stem) is not None


def is_drawing_of_result(path: Path) -> bool:
    """Whether a file was drawn from a record beside it and is not the mask of all its objects."""
    return not path.name.endswith(MASK) and is_image_of_result(path)


def result_masks(folder: Path) -> dict[str, Path]:
    """The masks of the results right in a folder, by the results' names."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {
        file.name.removesuffix(MASK): file for file in files if file.name.endswith(MASK) and is_image_of_result(file)
    }


def fingerprint(path: Path) -> str:
    """A short digest of a file's bytes, by which an image is known whatever it is called.

    Raises:
        ImageError: the file is missing or cannot be read, or is a pipe or a device, which may never end.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError(f"expected an image's file at '{path}', found a folder, a pipe or a device")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except FileNotFoundError as error:
        raise ImageError(f"expected an image at '{path}', found no such file") from error
    except OSError as error:
        raise ImageError(f"'{path}' cannot be read ({error.strerror})") from error
    except ValueError as error:  # a name that no file system takes
        raise ImageError(f"there is no file of the name {str(path)!r}: {error}") from error
