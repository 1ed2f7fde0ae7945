"""The benchmarks, one record each. To add one: write a loader, add a line to the table.

A loader gives a sequence of samples whose targets are known, the same ones in the same order for the same options.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkseg.data.folders import list_folders
from thinkseg.data.scenes import load_scenes
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.measures import MEASURES
from thinkseg.types import Sample


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a loader may be told."""

    limit: int | None = None
    """The first so many samples; all of them when None."""
    seed: int = 0
    """For benchmarks that are made rather than read."""
    root: Path | None = None
    """Where the data sets are on disk, for benchmarks that are read."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is asked, of which samples, and which numbers count."""

    name: str
    summary: str
    """One line for ``--help`` and reports."""
    task: str
    """The kind of request; ``mixed`` where each sample has its own."""
    load: Callable[[LoadOptions], Sequence[Sample]]
    expected_count: int | None
    """How many samples the whole benchmark has; None where that is the user's."""
    measures: tuple[str, ...] = tuple(MEASURES)
    """Names in `MEASURES`, in the order of the table's columns."""
    protocols: tuple[str, ...] = ("default",)


SCENES = 512
FOLDER_QUERY = "the main object"


def _load_scenes(options: LoadOptions) -> Sequence[Sample]:
    return load_scenes("test", SCENES if options.limit is None else options.limit, options.seed)


def _load_folder(options: LoadOptions) -> Sequence[Sample]:
    if options.root is None:
        raise InputError("'folder' needs --data ROOT, a folder with 'images' and 'masks' in it.")
    # A picture that has no mask would shrink the denominator, so that only a whole listing is taken.
    listing = list_folders(options.root / "images", options.root / "masks", FOLDER_QUERY, "salient").whole()
    return listing if options.limit is None else listing[: options.limit]


BENCHMARKS: Mapping[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            name="scenes",
            summary="pocket scenes of cut-outs and backgrounds that no training scene shows; offline",
            task="mixed",
            load=_load_scenes,
            expected_count=SCENES,
        ),
        Benchmark(
            name="folder",
            summary=f"your own pictures in ROOT/images and masks in ROOT/masks; asks for {FOLDER_QUERY}",
            task="salient",
            load=_load_folder,
            expected_count=None,
        ),
    )
}


def load_benchmark(name: str, options: LoadOptions, protocol: str = "default") -> tuple[Benchmark, Sequence[Sample]]:
    """A benchmark's record and its samples, their number checked.

    Raises:
        InputError: an unknown name or protocol, or a limit below 1.
        DataError: the data are missing or damaged, or fewer or more than the benchmark has.
    """
    if name not in BENCHMARKS:
        raise InputError(f"There is no benchmark '{name}'; there are: {', '.join(BENCHMARKS)}.")
    benchmark = BENCHMARKS[name]
    if protocol not in benchmark.protocols:
        raise InputError(f"'{name}' has no protocol '{protocol}'; it has: {', '.join(benchmark.protocols)}.")
    if options.limit is not None and options.limit < 1:
        raise InputError(f"Expected a limit of at least 1 sample, found {options.limit}.")
    samples = benchmark.load(options)
    if not samples:
        raise DataError(f"'{name}' has no samples; expected at least one.")
    expected = benchmark.expected_count
    if options.limit is None and expected is not None and len(samples) != expected:
        raise DataError(f"'{name}' has {expected} samples, found {len(samples)}; the copy on disk is not whole.")
    return benchmark, samples
