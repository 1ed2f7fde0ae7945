"""What became of the images of the zoo: who was read, who was refused, and what is broken; `image_zoo.py` uses it."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from animals import Animal, place, saved, true_mask
from PIL import Image

from thinkseg.errors import ImageError, one_line
from thinkseg.imaging import IMAGE_SUFFIXES, load_image, load_map, load_mask, read_header

MOST_SECONDS = 20.0
"""One reading, on a busy machine. The largest image that is read takes the longest."""
PILLOWS = (UserWarning, Image.DecompressionBombWarning)
"""What Pillow warns of before ThinkSeg has its say."""


@dataclass
class Verdicts:
    """What became of the animals in one run."""

    read: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    """The sentence for each."""
    passed: set[str] = field(default_factory=set)
    """Told to be of a kind that is not taken in folders."""
    broken: dict[str, str] = field(default_factory=dict)
    """What is broken; the run itself under its own name."""
    seconds: float = 0.0
    bytes: int = 0

    def account_for(self, animals: Iterable[Animal]) -> None:
        """Count as broken of what nothing is known, and what came to another end than it has to."""
        for animal in animals:
            name, refused = animal.name, self.refused.get(animal.name)
            if name in self.read and refused is not None:
                self.broken.setdefault(name, f"read and refused: {refused}")
            elif name not in self.read and refused is None and name not in self.passed:
                self.broken.setdefault(name, "nothing is said of it")
            elif refused is not None and animal.expected == "read":
                self.broken.setdefault(name, f"it is sound, and refused: {refused}")
            elif name in self.read and animal.expected == "refused":
                self.broken.setdefault(name, "it was read, though it is damaged or no image")
            elif refused is not None and (trouble := trouble_with(refused, shown(_file_of(animal)))):
                self.broken.setdefault(name, f"{trouble}: {refused!r}")


@dataclass(frozen=True)
class Zoo:
    """The folders, and what is in them."""

    folder: Path
    animals: Sequence[Animal]

    @property
    def images(self) -> Path:
        """Of all animals."""
        return self.folder / "images"

    @property
    def masks(self) -> Path:
        """Their true masks."""
        return self.folder / "masks"

    @property
    def taken(self) -> list[Animal]:
        """What a folder of images is taken to hold."""
        return [animal for animal in self.animals if animal.mask is not None]

    @property
    def passed_over(self) -> list[Animal]:
        """Images of a kind that is not taken from folders."""
        return [one for one in self.animals if os.path.splitext(one.name)[1].lower() not in IMAGE_SUFFIXES]


def write_zoo(folder: Path, animals: Sequence[Animal]) -> Zoo:
    """Put all animals into a new folder, with a sound prediction for each mask."""
    zoo = Zoo(folder, animals)
    for name in ("images", "masks", "predictions"):
        (folder / name).mkdir(parents=True)
    sound = saved(true_mask(), "PNG")
    for animal in animals:
        place(animal.image, zoo.images / animal.name)
        if animal.mask is not None:
            place(animal.mask, zoo.masks / animal.mask_name)
            (folder / "predictions" / animal.mask_name).write_bytes(sound)
    return zoo


def shown(name: str) -> str:
    """How a sentence writes a file's name: in letters that any file and any line takes."""
    return one_line(name)


def trouble_with(sentence: str, name: str) -> str:
    """What is wrong with the sentence of an error about a file; empty where nothing is."""
    if name not in sentence:
        return "the sentence does not name the file"
    if len(sentence.splitlines()) != 1 or len(sentence) > 2000:
        return "it is no sentence"
    try:
        sentence.encode()
    except UnicodeEncodeError:
        return "the sentence cannot be written"
    return ""


def _file_of(animal: Animal) -> str:
    return animal.mask_name if animal.about_mask else animal.name


def read_each(zoo: Zoo) -> Verdicts:
    """Read every file in this process: its pixels, its header, and what a damaged one shows if it can be read."""
    found, pixels, whole = Verdicts(), {}, set()
    began = time.monotonic()
    for animal in zoo.animals:
        if isinstance(animal.image, bytes) or animal.expected == "refused" or animal.same_as:
            path = zoo.masks / animal.mask_name if animal.about_mask else zoo.images / animal.name
            readers = (read_header, load_mask, load_map) if animal.about_mask else (read_header, load_image)
            pixels[animal.name] = read_with(animal.name, path, readers, found)
            whole.add(animal)
        else:
            found.passed.add(animal.name)
    for animal in zoo.animals:
        if animal.name in found.read and animal.same_as and pixels[animal.name] != pixels.get(animal.same_as):
            found.broken.setdefault(animal.name, f"it is read, and shows other pixels than '{animal.same_as}'")
    found.seconds = time.monotonic() - began
    found.account_for(animal for animal in whole if not is_of_other_size(animal))
    return found


def is_of_other_size(animal: Animal) -> bool:
    """Whether a mask is sound and only does not fit its image."""
    return animal.name in ("mask-other-size.png", "mask-turned.png")


def read_with(name: str, path: Path, readers: Sequence[Callable[[Path], object]], found: Verdicts) -> str:
    """Let readers read a file; the digest of the pixels, empty where it is refused."""
    values: list[object] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for reader in readers:
            began, outcome = time.monotonic(), _timed(reader, path)
            if time.monotonic() - began > MOST_SECONDS:
                found.broken.setdefault(name, f"{reader.__name__} takes more than {MOST_SECONDS:g} seconds")
            elif isinstance(outcome, ImageError):
                found.refused[name] = str(outcome)
            elif isinstance(outcome, BaseException):
                found.broken.setdefault(name, f"{reader.__name__}: {outcome!r}")
            else:
                values.append(outcome)
    own = [str(one.message) for one in warned if not issubclass(one.category, PILLOWS)]
    if own:
        found.broken.setdefault(name, f"warned: {own[0]}")
    if name in found.refused or len(values) < len(readers):
        return ""
    found.read.add(name)
    last = values[-1]
    return hashlib.sha256(getattr(last, "tobytes", lambda: b"")()).hexdigest() + str(getattr(last, "size", ""))


def _timed(reader: Callable[[Path], object], path: Path) -> object:
    """What a reader returns or raises; it is left alone where it takes too long."""
    outcome: list[object] = [TimeoutError()]

    def read() -> None:
        try:
            outcome[0] = reader(path)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            outcome[0] = error

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(MOST_SECONDS)
    return outcome[0]
