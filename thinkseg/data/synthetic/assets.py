"""The pocket images: cut-outs with alpha and backgrounds, split into training and held-out, decoded once."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from thinkseg.errors import DataError
from thinkseg.imaging.opening import opened_upright
from thinkseg.installing import pocket_command

SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class Cutout:
    """One photographed thing without its background."""

    file: str
    name: str
    """What it is, in a word or a few: "clownfish"."""
    kinds: tuple[str, ...]
    """The words that it answers to, the narrowest first: "fish", "animal"."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A question about a use, a habitat or an ability."""

    query: str
    fits: frozenset[str]
    """Kinds that answer it."""
    unfair: frozenset[str]
    """Kinds that might answer it too: the question is not asked while one of them is in the scene."""


@dataclass(frozen=True, slots=True)
class Assets:
    """The images of one split; pixels are read when they are first asked for."""

    folder: Path
    cutouts: tuple[Cutout, ...]
    backgrounds: tuple[str, ...]
    asked_kinds: frozenset[str]
    """Kinds that a query may name: they have members in both splits."""
    reasoning: tuple[Reasoning, ...]

    def cutout_pixels(self, cutout: Cutout) -> UInt8[np.ndarray, "height width 4"]:
        """RGBA."""
        return _pixels(self.folder / cutout.file, "RGBA")

    def background_pixels(self, position: int) -> UInt8[np.ndarray, "height width 3"]:
        """RGB of the background with this position in `backgrounds`."""
        return _pixels(self.folder / self.backgrounds[position], "RGB")


@cache
def _pixels(file: Path, mode: str) -> UInt8[np.ndarray, "height width channels"]:
    with opened_upright(file) as image:
        pixels = np.asarray(image.convert(mode))
    pixels.setflags(write=False)
    return pixels


@cache
def load_assets(split: str, folder: Path | None = None) -> Assets:
    """The images of a split; from the pocket distribution unless a folder is given.

    Raises:
        DataError: the split is unknown, or the pocket distribution is not installed.
    """
    if split not in SPLITS:
        raise DataError(f"expected the split 'train' or 'test', found '{split}'")
    if folder is None:
        folder = _pocket_folder()
    about = json.loads((folder / "images.json").read_text(encoding="utf-8"))
    return Assets(
        folder=folder,
        cutouts=tuple(
            Cutout(entry["file"], entry["name"], tuple(entry["kinds"]))
            for entry in about["cutouts"]
            if entry["split"] == split
        ),
        backgrounds=tuple(entry["file"] for entry in about["backgrounds"] if entry["split"] == split),
        asked_kinds=frozenset(about["asked_kinds"]),
        reasoning=tuple(
            Reasoning(entry["query"], frozenset(entry["fits"]), frozenset(entry["unfair"]))
            for entry in about["reasoning"]
        ),
    )


def _pocket_folder() -> Path:
    try:
        import thinkseg_pocket
    except ImportError:
        raise DataError(f"the pocket images are not installed; install them with: {pocket_command()}") from None
    folder: Path = thinkseg_pocket.path("images")
    return folder
