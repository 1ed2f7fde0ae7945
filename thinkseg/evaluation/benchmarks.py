"""The benchmarks, one record each. To add one: write a loader, add a line to the table.

A loader gives a sequence of samples whose targets are known, the same ones in the same order for the same options.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkseg.data.catalog import known
from thinkseg.data.finding import load_dataset
from thinkseg.data.folders import list_folders
from thinkseg.data.scenes import load_scenes
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.measures import MEASURES
from thinkseg.evaluation.protocols import PROTOCOLS, Ruled
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
    """Names in `PROTOCOLS`, of those by which its samples may be scored."""


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


def _on_disk(name: str, data_set: str, split: str) -> Benchmark:
    """A split of a known data set, with the data set's own words, or else the one request that it is known for."""

    def load(options: LoadOptions) -> Sequence[Sample]:
        if options.root is None:
            raise InputError(f"'{name}' needs --data ROOT, the folder that the data set lies in or below.")
        if not options.root.is_dir():
            raise DataError(f"'{name}' is looked for below '{options.root}', which is no folder; check --data.")
        listing = load_dataset(data_set, split, options.root)
        return listing if options.limit is None else listing[: options.limit]

    record = known(data_set)
    return Benchmark(
        name=name,
        summary=f"{record.title}, split '{split}'",
        task=record.task,
        load=load,
        expected_count=record.splits[split].count,
        protocols=tuple(PROTOCOLS) if data_set == "reasonseg" else ("default",),
    )


_ON_DISK = (
    ("cod10k", "cod10k", "test"),
    ("camo", "camo", "test"),
    ("chameleon", "chameleon", "test"),
    ("nc4k", "nc4k", "test"),
    ("dis-vd", "dis5k", "vd"),
    ("dis-te1", "dis5k", "te1"),
    ("dis-te2", "dis5k", "te2"),
    ("dis-te3", "dis5k", "te3"),
    ("dis-te4", "dis5k", "te4"),
    ("duts", "duts", "test"),
    ("dut-omron", "dut-omron", "test"),
    ("hku-is", "hku-is", "test"),
    ("ecssd", "ecssd", "test"),
    ("refcoco-val", "refcoco", "val"),
    ("refcoco-testa", "refcoco", "testA"),
    ("refcoco-testb", "refcoco", "testB"),
    ("refcoco+-val", "refcoco+", "val"),
    ("refcoco+-testa", "refcoco+", "testA"),
    ("refcoco+-testb", "refcoco+", "testB"),
    ("refcocog-val", "refcocog", "val"),
    ("refcocog-test", "refcocog", "test"),
    ("reasonseg-val", "reasonseg", "val"),
    ("reasonseg-test", "reasonseg", "test"),
)
"""Benchmark, data set, split."""

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
        *(_on_disk(*row) for row in _ON_DISK),
    )
}


def load_benchmark(name: str, options: LoadOptions, protocol: str = "default") -> tuple[Benchmark, Sequence[Sample]]:
    """A benchmark's record and its samples by the rule of a protocol, their number checked.

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
    return benchmark, samples if protocol == "default" else Ruled(samples, protocol)
