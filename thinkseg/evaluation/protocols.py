"""By whose rules a sample is scored, where papers differ: what becomes of the pixels that ReasonSeg says to ignore.

The authors of the benchmark (LISA) leave them out on both sides, and so does ThinkSeg unless told otherwise. Others
count them as part of the object, or as background, and their tables can be compared with nothing else.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import overload

from thinkseg.types import Sample

Rule = Callable[[Sample], Sample]
"""From a sample as it is annotated to the sample that is scored."""


def leave_out(sample: Sample) -> Sample:
    """Ignored pixels count neither way, as `thinkseg.evaluation.evaluate.score` has it."""
    return sample


def as_foreground(sample: Sample) -> Sample:
    """Ignored pixels belong to the object."""
    if sample.target is None or sample.ignore is None:
        return sample
    return dataclasses.replace(sample, target=sample.target | sample.ignore, ignore=None)


def as_background(sample: Sample) -> Sample:
    """Ignored pixels do not belong to the object, and whoever marks them is wrong."""
    if sample.target is None or sample.ignore is None:
        return sample
    return dataclasses.replace(sample, target=sample.target & ~sample.ignore, ignore=None)


PROTOCOLS: Mapping[str, Rule] = {
    "default": leave_out,
    "lisa": leave_out,
    "seg-zero": as_foreground,
    "vision-reasoner": as_foreground,
    "seg-r1": as_background,
}
"""The rule of each protocol by its name."""


class Ruled(Sequence[Sample]):
    """Samples by the rule of a protocol, applied when a sample is asked for.

    Args:
        samples: as they are annotated.
        protocol: a name in `PROTOCOLS`.
    """

    def __init__(self, samples: Sequence[Sample], protocol: str) -> None:
        self._samples = samples
        self._protocol = protocol

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Ruled": ...
    def __getitem__(self, index: int | slice) -> "Sample | Ruled":
        if isinstance(index, slice):
            return Ruled(self._samples[index], self._protocol)
        return PROTOCOLS[self._protocol](self._samples[index])
