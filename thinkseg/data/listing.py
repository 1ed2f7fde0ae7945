"""What all readers of data on disk have in common: they list first and open a file only when its sample is asked for.

A `Listing` is a sequence of samples that knows the names of its files and nothing of their pixels, so that 100,000
images are ready in a second or two and take a few megabytes. What is wrong already in the names (an image without
a mask, two files of one name) it keeps as faults; `data.validation.check` finds what is wrong inside the files.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath
from typing import overload

from thinkseg.data.samples import LazySamples
from thinkseg.errors import DataError
from thinkseg.types import Sample, Size


class FaultKind(StrEnum):
    """What may be wrong with a copy of a data set, and in words."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> FaultKind:
        """Keep the words beside the name."""
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.meaning = meaning
        return kind

    MISSING_MASK = "missing-mask", "an image that no mask goes with"
    MISSING_IMAGE = "missing-image", "a mask, an annotation or a row that no image goes with"
    AMBIGUOUS = "ambiguous", "several files share a name, and it is not clear which one is meant"
    BAD_RECORD = "bad-record", "an annotation that does not say what it has to say"
    REFUSED = "refused", "a pickle that would run code when it is read; it was not read"
    UNREADABLE = "unreadable", "not an image, or not a file, of a kind that can be read"
    TRUNCATED = "truncated", "begins well, but is damaged or cut short"
    TOO_LARGE = "too-large", "has more pixels than are read"
    TOO_NARROW = "too-narrow", "an image more than 200 times as long as wide, which most models refuse"
    WRONG_SIZE = "wrong-size", "a mask of another size than its image"
    EMPTY = "empty", "a mask without a single pixel of an object"
    FULL = "full", "a mask that covers the whole image"
    NOT_A_MASK = "not-a-mask", "a file of several values or colours, of which it cannot be told which is the object"
    NON_BINARY = "non-binary", "a mask of more than two levels, which are split in the middle when it is read"
    JPEG_DAMAGED = "jpeg-damaged", "a mask that went through JPEG, so that its outline is not the true one"
    DUPLICATED = "duplicated", "the same image, or the same mask for different images, byte by byte"
    PASSED_OVER = "passed-over", "looks like an image, and is not taken, since its kind is not read in folders"
    NO_SAMPLES = "no-samples", "there is no sample, so that nothing can be trained on or measured"
    WRONG_COUNT = "wrong-count", "more or fewer than were published"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    kind: FaultKind
    where: str
    """The file; for an annotation, the file and its number in there."""
    detail: str = ""
    """What was found, in a few words; may be empty."""


MOST_FAULTS = 1000
"""So many faulty rows of a file are kept, further ones counted."""


class BadRows:
    """The faults of a file's rows, as they are found.

    Args:
        file: it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._faults: list[Fault] = []
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, where: str, error: DataError) -> None:
        """Keep what is wrong with a row."""
        self._count += 1
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(Fault(FaultKind.BAD_RECORD, where, str(error)))

    def error(self, told: str = "") -> BrokenFile:
        """The error that refuses the file, with the first fault in its message, and what is to be said behind it."""
        more = self._count - len(self._faults)
        further = [Fault(FaultKind.BAD_RECORD, str(self._file), f"{more:,} more rows are wrong")] if more else []
        others = f" (and {self._count - 1:,} more rows: 'thinkseg data check' names them)" if self._count > 1 else ""
        message = f"{self._faults[0].detail}{others}{told}"
        return BrokenFile(FaultKind.BAD_RECORD, self._file, message, (*self._faults, *further))


class BrokenFile(DataError):
    """A file that a whole data set hangs on cannot be used."""

    def __init__(self, kind: FaultKind, file: Path, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.file = file
        self.faults = faults or (Fault(kind, str(file), message),)
        """Its faults, row by row where it can be read so far."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample before its pixels are read."""

    id: str
    query: str
    image: Path
    truth: str
    """What a fault calls the true mask: its file, or the annotation that it is drawn from."""
    masks: tuple[Path, ...] = ()
    """The mask's files; none when it is drawn from an annotation."""
    ignore: Path | None = None
    """The file of the region that counts neither way, if there is one."""
    may_be_empty: bool = False
    """Whether nothing to be found is the right answer."""


class Listing(LazySamples):
    """Samples on disk. A reader derives from it, and says how many there are, where each lies, and how to read it."""

    embedded: bool = False
    """Whether the images lie inside other files, so that `Entry.image` is a name and no file."""
    passed_over: Sequence[Path] = ()
    """Files in its folders that look like images and are not taken. They are no reason not to use the others."""

    def __init__(self, name: str, folder: Path, faults: Sequence[Fault] = ()) -> None:
        self.name = name
        """What is listed, for messages."""
        self.folder = folder
        """Where it lies; what is below may be named without it."""
        self.faults = faults
        """What the names alone reveal."""

    @property
    def image_count(self) -> int:
        """How many different images there are."""
        return len(self)

    @abstractmethod
    def entry(self, index: int) -> Entry:
        """Where a sample lies, for 0 ≤ index < len(self). Opens no file."""

    @abstractmethod
    def read(self, index: int) -> Sample:
        """Read a sample's masks, for 0 ≤ index < len(self); its image stays a path.

        Raises:
            InputError: a mask or an annotation that cannot be read.
        """

    def name_of(self, index: int) -> str:
        """What an error calls a sample: its id, and what it is a sample of."""
        return f"sample '{self.entry(index).id}' of {self.name}"

    def original_size(self, index: int) -> Size | None:
        """The size of an image before it was resized; None where it never was, or nobody knows."""
        del index
        return None

    def revision(self) -> str:
        """A digest of ids, requests and files' names, in hexadecimal: by it other data are known. Opens no file."""
        return self._revision()

    def _revision(self, start: str = "") -> str:
        digest = hashlib.sha256(start.encode())
        for index in range(len(self)):
            entry = self.entry(index)
            name = PurePath(entry.truth).name  # by either slash on Windows, so that the digest is one everywhere
            text = f"{entry.id}\0{entry.query}\0{entry.image.name}\0{name}\0"
            digest.update(text.encode("utf-8", "surrogateescape"))  # the bytes of a name that is not UTF-8
        return digest.hexdigest()

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Part: ...
    def __getitem__(self, index: int | slice) -> Sample | Part:
        if isinstance(index, slice):
            return Part(self, range(len(self))[index])
        return self.read(range(len(self))[index])

    def require_complete(self) -> Listing:
        """Itself, if its names reveal no fault.

        Raises:
            DataError: they do; the first fault is named.
        """
        if not self.faults:
            return self
        counts = Counter(fault.kind for fault in self.faults)
        first = self.faults[0]
        raise DataError(
            f"the copy of {self.name} in '{self.folder}' is not whole: "
            + ", ".join(f"{count} × {kind}" for kind, count in counts.items())
            + f" (first: {first.where}{f', {first.detail}' if first.detail else ''}); "
            + f"'thinkseg data check' names them all; the {len(self)} whole samples can be used if faults are allowed"
        )


class Broken(Listing):
    """Stands for a split that cannot be listed, so that a check can go on and name the file; it has no samples."""

    def __init__(self, name: str, error: BrokenFile) -> None:
        super().__init__(name, error.file.parent, error.faults)
        self.error = error

    def __len__(self) -> int:
        return 0

    def entry(self, index: int) -> Entry:
        """There is none."""
        raise IndexError(index)

    def read(self, index: int) -> Sample:
        """There is none."""
        raise IndexError(index)

    def require_complete(self) -> Listing:
        """Raises what was found wrong with the file."""
        raise self.error


class Part(Listing):
    """Some samples of a listing, in another order if need be."""

    def __init__(self, listing: Listing, indices: Sequence[int]) -> None:
        super().__init__(listing.name, listing.folder, listing.faults)
        self._listing = listing
        self._indices = indices
        self.embedded = listing.embedded

    @property
    def image_count(self) -> int:
        """How many different images there are."""
        return len({self._listing.entry(index).image for index in self._indices})

    def __len__(self) -> int:
        return len(self._indices)

    def entry(self, index: int) -> Entry:
        """Where a sample lies."""
        return self._listing.entry(self._indices[index])

    def read(self, index: int) -> Sample:
        """Read a sample."""
        return self._listing.read(self._indices[index])

    def original_size(self, index: int) -> Size | None:
        """See `Listing.original_size`."""
        return self._listing.original_size(self._indices[index])
