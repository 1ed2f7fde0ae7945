"""The images of what is written: each once, under a name of its own, copied byte by byte where they are files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from thinkseg.data.text import printable, sayable
from thinkseg.data.writers.names import Names
from thinkseg.imaging import IMAGE_SUFFIXES, content_key, load_image, read_header
from thinkseg.results.files import safe_stem
from thinkseg.types import Sample, Size


@dataclass(frozen=True, slots=True)
class Placed:
    """An image where it was put."""

    name: str
    """Its file's, from the folder of images on; no two alike, whatever their suffixes and capitals."""
    path: Path
    """The copy; where images are not copied, the image itself."""
    size: Size

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return str(PurePosixPath(self.name).with_suffix(""))

    def named_from(self, folder: Path) -> str:
        """The image as a file of a folder names it, by "/" everywhere.

        Raises:
            DataError: it was not copied, and its name is not UTF-8.
        """
        try:
            named = Path(os.path.relpath(self.path.resolve(), folder.resolve())).as_posix()
        except ValueError:  # on another drive
            named = self.path.resolve().as_posix()
        return sayable(named)


class ImageFolder:
    """A folder of images.

    Args:
        folder: where they go; made with the first one.
        copy: whether they are copied; those that lie in no file of their own are written all the same.
    """

    def __init__(self, folder: Path, *, copy: bool = True) -> None:
        self.folder = folder
        self._copy = copy
        self._placed: dict[Hashable, Placed] = {}
        self._names = Names()

    def __len__(self) -> int:
        return len(self._placed)

    def place(self, sample: Sample) -> Placed:
        """Where the image of a sample is; put there when it is met for the first time.

        Raises:
            ImageError: it cannot be read.
        """
        source = sample.image
        key: Hashable
        key = content_key(source.convert("RGB")) if isinstance(source, Image.Image) else os.path.abspath(source)
        if key not in self._placed:
            self._placed[key] = self._put(source, sample.id)
        return self._placed[key]

    def _put(self, source: Path | str | Image.Image, identifier: str) -> Placed:
        if isinstance(source, Image.Image):
            name = self._free(f"{safe_stem(identifier.replace('/', '_')).name}.png")
            self.folder.mkdir(parents=True, exist_ok=True)
            source.save(self.folder / name)
            return Placed(name, self.folder / name, Size(*source.size))
        path = Path(source)
        size = read_header(path).size
        plain = path.suffix.lower() in IMAGE_SUFFIXES
        told = path.name if plain else f"{path.stem}.png"
        # What is written names it, in UTF-8, and readers take a backslash for a folder.
        name = self._free(told if printable(told) == told else printable(told).replace("\\", "_"))
        if not self._copy:
            return Placed(name, path, size)
        self.folder.mkdir(parents=True, exist_ok=True)
        if plain:
            shutil.copyfile(path, self.folder / name)
        else:
            load_image(path).save(self.folder / name)
        return Placed(name, self.folder / name, size)

    def _free(self, name: str) -> str:
        stem, suffix = os.path.splitext(name)
        return f"{self._names.free(stem)}{suffix}"
