"""Sequences of samples that are read one by one when they are asked for, any part of which is such a sequence, too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from thinkseg.types import Sample

if TYPE_CHECKING:
    _Samples = Sequence[Sample]
else:
    _Samples = Sequence  # a checker of types at run time that looks into a sequence of samples would open images


class LazySamples(_Samples):
    """Samples by their places. A sequence derives from it, and says how many there are and how to read one."""

    @abstractmethod
    def read(self, index: int) -> Sample:
        """Read a sample, for 0 ≤ index < len(self)."""

    def name_of(self, index: int) -> str:
        """What an error calls a sample, for 0 ≤ index < len(self). Opens no file."""
        return f"sample {index}"

    def within(self, index: int) -> tuple[Sequence[Sample], int] | None:
        """Other samples of which a sample is one, and its place there; None where it is of these alone."""
        return None

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> LazySamples: ...
    def __getitem__(self, index: int | slice) -> Sample | LazySamples:
        places = range(len(self))[index]
        return SomeSamples(self, places) if isinstance(places, range) else self.read(places)


class SomeSamples(LazySamples):
    """A range of other samples."""

    def __init__(self, samples: LazySamples, places: range) -> None:
        self._samples = samples
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def name_of(self, index: int) -> str:
        """What an error calls a sample."""
        return self._samples.name_of(self._places[index])

    def within(self, index: int) -> tuple[Sequence[Sample], int]:
        """The samples of which these are a part."""
        return self._samples, self._places[index]

    def read(self, index: int) -> Sample:
        """Read a sample."""
        return self._samples.read(self._places[index])
