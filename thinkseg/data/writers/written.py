"""What all writers share: what is asked of them, and the account of what was written, left out and changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from thinkseg.errors import InputError
from thinkseg.results.files import prepare_folder
from thinkseg.types import Mask, Masks, Sample

UNKNOWN = "the truth is not known"
NOTHING = "nothing is there, which the format cannot say of a query"
IGNORED = "a region that counts neither way, which the format does not have"


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How samples are written."""

    polygons: bool = False
    """Whether formats that have both write polygons, which people can edit, in place of every pixel."""
    tolerance: float = 1.0
    """Of polygons: how far, in pixels, the outline may be from that of the pixels; 0 keeps every pixel."""
    copy_images: bool = True
    """Whether the images are copied beside what is written."""
    crop: bool = True
    """Of cut-outs: whether they are cut to the box around the mask."""
    split: str = "train"
    """Of YOLO: what the split is called."""

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance <= 1000:
            raise InputError(f"a polygon's tolerance should be from 0 to 1000 pixels, found {self.tolerance}")


@dataclass(slots=True)
class Written:
    """What was written."""

    folder: Path
    format: str
    main: Path
    """The file to open: the annotations, the table; or the folder itself."""
    samples: int = 0
    images: int = 0
    objects: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """How many samples, or what of them, were left out, by reason."""
    pixels: int = 0
    """Of the objects that were written as polygons."""
    changed: int = 0
    """Of these, and of those around them, that are on the other side when the polygons are drawn again."""
    worst: float = 0.0
    """The most that an object lost or gained, as a share of its pixels."""

    def count_change(self, mask: Mask, drawn: Mask) -> None:
        """Count what became of an object that was written as a polygon and drawn again."""
        changed, pixels = int((mask ^ drawn).sum()), int(mask.sum())
        self.pixels += pixels
        self.changed += changed
        self.worst = max(self.worst, changed / max(1, pixels))

    def to_json(self) -> dict[str, object]:
        """The account as plain values."""
        return {
            "folder": str(self.folder),
            "format": self.format,
            "file": str(self.main),
            "samples": self.samples,
            "images": self.images,
            "objects": self.objects,
            "left_out": dict(self.left_out),
            "polygons": {"pixels": self.pixels, "changed": self.changed, "worst": round(self.worst, 4)},
        }


def begin(out: Path, format: str, main: str = "") -> Written:
    """Make the folder that is written into; nothing that is there is mixed with what is written.

    Args:
        out: the folder.
        format: what is written.
        main: the name of the file to open; when empty, the folder itself is it.

    Raises:
        InputError: there is something in it, or it cannot be written into.
    """
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"expected a new or an empty folder to write into, and '{out}' has files in it: name another")
    prepare_folder(out)
    return Written(out, format, out / main)


def objects_of(sample: Sample) -> Masks:
    """The objects of a sample that show a pixel; where only their union is known, it is one object."""
    assert sample.target is not None
    masks = sample.target[None] if sample.instances is None else sample.instances
    return np.stack(shown) if (shown := [mask for mask in masks if mask.any()]) else masks[:0]


def told(
    samples: Sequence[Sample], written: Written, *, says_nothing: bool = False, ignores: bool = False
) -> Iterator[tuple[Sample, Masks]]:
    """The samples that a format can say something of, each with its objects; all are counted, and what it cannot say.

    Args:
        samples: each is asked for once, in order.
        written: where they are counted.
        says_nothing: whether the format can say that what is asked for is not there.
        ignores: whether it has regions that count neither way.
    """
    for sample in samples:
        if _is_told(sample, written, says_nothing, ignores):
            objects = objects_of(sample)
            written.samples += 1
            written.objects += len(objects)
            yield sample, objects


def _is_told(sample: Sample, written: Written, says_nothing: bool, ignores: bool) -> bool:
    if sample.target is None:
        written.left_out[UNKNOWN] += 1
        return False
    if not sample.target.any() and not says_nothing:
        written.left_out[NOTHING] += 1
        return False
    if sample.ignore is not None and sample.ignore.any() and not ignores:
        written.left_out[IGNORED] += 1
    return True
