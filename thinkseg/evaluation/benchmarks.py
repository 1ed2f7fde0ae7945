"""The benchmarks, one record each. A split of a known data set is one when its record in the catalog gives it a name;
to add another, write a loader and add a record to the table. All else follows from it.

One of your own needs no change here: a `Benchmark`, or a function without arguments that makes one or gives samples, in
a file of yours, named ``FILE.py:NAME`` wherever a benchmark is named. A whole one, for ``thinkseg evaluate
my_benchmarks.py:corners``::

    from PIL import Image
    import numpy as np

    from thinkseg.evaluation.benchmarks import Benchmark, LoadOptions
    from thinkseg.types import Sample


    def load_corners(options: LoadOptions) -> list[Sample]:
        # the same samples in the same order for the same options, each with a target of its image's size
        samples = []
        for index in range(3 if options.limit is None else options.limit):
            target = np.zeros((48, 64), dtype=bool)
            target[: 10 + index, : 20 + index] = True
            pixels = np.where(target[..., None], 255, 40).astype(np.uint8).repeat(3, axis=2)
            samples.append(Sample(f"corner-{index}", Image.fromarray(pixels), "the bright corner", target))
        return samples


    corners = Benchmark(
        name="corners",
        summary="bright corners of dark images",
        task="salient",
        load=load_corners,
        expected_count=3,
        measures=("giou", "biou", "parse_failures"),
    )

The file's digest is kept with the predictions, so that those of a changed file are never mixed with earlier ones.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from thinkseg.data.discovery.catalog import MAIN, DataSet, MeasuredAs, benchmark_splits
from thinkseg.errors import DataError, InputError, ThinkSegError, reason_of
from thinkseg.evaluation.load_options import LoadOptions as LoadOptions  # noqa: PLC0414 - users take it from here
from thinkseg.evaluation.measures.groups import (
    BOX_MEASURES,
    COUNT_MEASURES,
    DICHOTOMOUS_MEASURES,
    FOREGROUND_MEASURES,
    GENERAL_MEASURES,
    MASK_MEASURES,
    REFERRING_MEASURES,
)
from thinkseg.evaluation.protocols import PROTOCOLS, ProtocolSamples, get_protocol, select
from thinkseg.extension import described, is_reference, resolve

if TYPE_CHECKING:
    from thinkseg.types import Sample


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Which samples there are, and which numbers are reported."""

    name: str
    """Of letters, digits, ``-``, ``_``, ``+`` and ``.``; where there are several, its results lie in a folder of this
    name."""
    summary: str
    """One line for ``--help`` and reports."""
    task: str
    """The kind of request; ``mixed`` where each sample has its own."""
    load: Callable[[LoadOptions], Sequence[Sample]]
    """Gives samples whose targets are known, the same ones in the same order for the same options."""
    expected_count: int | None
    """How many samples the whole benchmark has; None where that is the user's."""
    measures: tuple[str, ...] = MASK_MEASURES
    """Names in `MEASURES`, or references to the user's own, in the order of the table's columns."""
    protocols: tuple[str, ...] = ("default",)
    """Names in `PROTOCOLS`, of those by which its samples may be scored."""
    listed_as: str = ""
    """The kind that ``--help`` names it under; empty for a line of its own, with the summary."""


BenchmarkChoice: TypeAlias = "str | Benchmark | Sequence[Sample]"
"""A name or a reference, a record, or samples that are at hand."""


SCENES = 512
FOLDER_QUERY = MAIN
OWN_DATA = "folder"
"""The benchmark of the user's own data, which is meant where data are named and no benchmark is."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the benchmarks of one kind have in common."""

    measures: tuple[str, ...] = MASK_MEASURES
    protocols: tuple[str, ...] = ("default",)


MEASURED_AS: Mapping[MeasuredAs, Measured] = {
    "masks": Measured(),
    "foreground": Measured(FOREGROUND_MEASURES, protocols=("default", "seg-r1")),
    "dichotomous": Measured(DICHOTOMOUS_MEASURES, protocols=("default", "seg-r1")),
    "referring": Measured(REFERRING_MEASURES, protocols=tuple(PROTOCOLS)),
    "several": Measured(GENERAL_MEASURES),
    "reasoning": Measured(protocols=tuple(PROTOCOLS)),
}
"""By the kind that a record of the catalog names."""


def _on_disk(name: str, data_set: DataSet, split: str) -> Benchmark:
    """A split of a known data set, with the data set's own words, or else the one request that it is known for."""
    measured = MEASURED_AS[data_set.measured_as]
    return Benchmark(
        name=name,
        summary=f"{data_set.title}, split '{split}'",
        task=data_set.task,
        load=lambda options: _loaders().load_split(name, data_set.name, split, options),
        expected_count=data_set.splits[split].count,
        measures=measured.measures,
        protocols=measured.protocols,
        listed_as="several, none" if data_set.measured_as == "several" else data_set.task,
    )


def _loaders() -> Any:
    """What reads the samples, imported when the first is asked for, since it brings all that images need."""
    from thinkseg.evaluation import benchmark_loaders

    return benchmark_loaders


def _counts(name: str, title: str, folder: str, split: str, source: str) -> Benchmark:
    return Benchmark(
        name=name,
        summary=f"{title}, file '{split}*'",
        task="counting",
        load=lambda options: _loaders().load_counts(name, folder, split, source, options),
        expected_count=None,  # images of the web vanish: the report says how many there were
        measures=COUNT_MEASURES,
        protocols=("default", "vision-reasoner"),
        listed_as="counts",
    )


PIXMO = "https://huggingface.co/datasets/allenai/pixmo-count (images by their addresses, or a copy that has them)"
COUNTBENCH = "https://teaching-clip-to-count.github.io, with CountBenchQA's questions"

BENCHMARKS: Mapping[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            name="scenes",
            summary="pocket scenes of cut-outs and backgrounds that no training scene shows; offline",
            task="mixed",
            load=lambda options: _loaders().load_held_out_scenes(SCENES, options),
            expected_count=SCENES,
        ),
        Benchmark(
            name=OWN_DATA,
            summary=f"your own data at ROOT: a table, folders (asked for --query, else {FOLDER_QUERY}) or rows",
            task="salient",
            load=lambda options: _loaders().load_folder(options),
            expected_count=None,
            measures=FOREGROUND_MEASURES,
        ),
        *(_on_disk(*row) for row in benchmark_splits()),
        Benchmark(
            name="coco-detection",
            summary="COCO 2017, split 'val2017': boxes of all objects of a category, in images that show one",
            task="instances",
            load=lambda options: _loaders().load_coco(options),
            expected_count=None,
            measures=BOX_MEASURES,
            protocols=("default", "vision-reasoner"),
            listed_as="boxes",
        ),
        Benchmark(
            name="folder-detection",
            summary="your own boxes in COCO's format: ROOT/annotations.json, images in ROOT/images",
            task="instances",
            load=lambda options: _loaders().load_own_boxes(options),
            expected_count=None,
            measures=BOX_MEASURES,
            protocols=("default", "vision-reasoner"),
        ),
        _counts("pixmo-count", "PixMo-Count", "pixmo-count", "test", PIXMO),
        _counts("pixmo-count-val", "PixMo-Count", "pixmo-count", "validation", PIXMO),
        _counts("countbench", "CountBench with the questions of CountBenchQA", "countbench", "", COUNTBENCH),
    )
}


def benchmark_names(words: Sequence[str]) -> list[str]:
    """The benchmarks that are meant, each once: a data set with several splits stands for all of them."""
    splits: dict[str, list[str]] = {}
    for name, data_set, _ in benchmark_splits():
        splits.setdefault(data_set.name, []).append(name)
    return list(
        dict.fromkeys(name for word in words for name in ([word] if word in BENCHMARKS else splits.get(word, [word])))
    )


def measures_of(benchmark: Benchmark, protocol: str) -> tuple[str, ...]:
    """The names of a benchmark's measures by a protocol, which may have others in the place of some."""
    instead = PROTOCOLS[protocol].measures
    return tuple(name for measure in benchmark.measures for name in instead.get(measure, (measure,)))


def find_benchmark(choice: BenchmarkChoice) -> Benchmark:
    """The record of a name, of a reference, or of samples that are at hand.

    Raises:
        InputError: there is no such benchmark, or what a reference names is none.
    """
    if isinstance(choice, str):
        return resolve(choice, BENCHMARKS, "benchmark", _check_own)
    if isinstance(choice, Benchmark):
        return choice
    return _of_samples(choice)


_CONTRACT = (
    "expected a Benchmark of thinkseg.evaluation.benchmarks, or a function without arguments that makes one or gives "
    "samples"
)


def _of_samples(samples: Sequence[Sample]) -> Benchmark:
    return Benchmark(
        name="samples",
        summary="samples that were handed over",
        task="mixed",
        load=lambda _options: samples,
        expected_count=None,
        protocols=tuple(PROTOCOLS),
    )


def _holds_samples(found: object) -> TypeGuard[Sequence[Sample]]:
    """Whether it is a sequence of samples, by the first of them."""
    from thinkseg.types import Sample

    return isinstance(found, Sequence) and len(found) > 0 and isinstance(found[0], Sample)


def _check_own(found: object, reference: str) -> Benchmark:
    """What a reference names, held against the contract of `Benchmark`."""
    try:
        benchmark = found if isinstance(found, Benchmark) or not callable(found) else found()
    except TypeError as cause:  # it wants arguments
        raise InputError(f"'{reference}' cannot be called: {cause}; {_CONTRACT}") from cause
    except ThinkSegError:
        raise
    except Exception as cause:
        raise InputError(_failure(f"'{reference}'", cause)) from cause
    if _holds_samples(benchmark):
        return dataclasses.replace(_of_samples(benchmark), name=reference.rpartition(":")[2])
    if not isinstance(benchmark, Benchmark):
        raise InputError(f"{_CONTRACT}; found {described(benchmark)} in '{reference}'")
    if benchmark.name in BENCHMARKS or not re.fullmatch(r"[\w.+-]+", benchmark.name):
        raise InputError(
            f"the benchmark in '{reference}' needs a name of letters, digits, '-', '_', '+' and '.' that no other "
            f"benchmark has, found '{benchmark.name}'"
        )
    from thinkseg.evaluation.measures.registry import get_measure

    for name in benchmark.protocols:
        get_protocol(name)
    for name in benchmark.measures:
        get_measure(name)
    return benchmark


def _load(choice: BenchmarkChoice, benchmark: Benchmark, options: LoadOptions) -> Sequence[Sample]:
    """The samples; what goes wrong in a loader of the user's own is said with its reference."""
    try:
        return benchmark.load(options)
    except ThinkSegError:
        raise
    except Exception as cause:
        if is_reference(choice):
            raise InputError(_failure(f"the loader of '{choice}'", cause)) from cause
        raise


def _failure(what: str, cause: Exception) -> str:
    return f"{what} fails where it is called: {reason_of(cause)}"


def check_protocol(benchmark: Benchmark, protocol: str) -> None:
    """Refuse a protocol by which a benchmark's samples cannot be scored.

    Raises:
        InputError: the sentence says which ones there are.
    """
    if protocol not in benchmark.protocols:
        raise InputError(f"'{benchmark.name}' has no protocol '{protocol}'; it has: {', '.join(benchmark.protocols)}")


def load_benchmark(
    choice: BenchmarkChoice, options: LoadOptions, protocol: str = "default"
) -> tuple[Benchmark, Sequence[Sample]]:
    """A benchmark's record and its samples by the rule of a protocol, their number checked.

    Raises:
        InputError: an unknown name or protocol, a limit below 1, or a seed below 0.
        DataError: the data are missing or damaged, or fewer or more than the benchmark has.
    """
    benchmark = find_benchmark(choice)
    check_protocol(benchmark, protocol)
    name = benchmark.name
    if options.limit is not None and options.limit < 1:
        raise InputError(f"expected a limit of at least 1 sample, found {options.limit}")
    if options.seed < 0:
        raise InputError(f"expected a seed of at least 0, found {options.seed}")
    if options.of_own() and name != OWN_DATA:
        told = " and ".join(f"'--{one}'" for one in options.of_own())
        raise InputError(f"{told} are for data of your own, and '{name}' has words and parts of its own: leave it out")
    samples = _load(choice, benchmark, options)
    if not samples:
        raise DataError(f"'{name}' has no samples; expected at least one")
    expected = benchmark.expected_count
    if options.limit is None and expected is not None and len(samples) != expected:
        raise DataError(f"'{name}' has {expected} samples, found {len(samples)}; the copy on disk is not whole")
    if protocol != "default":
        samples = ProtocolSamples(samples, protocol, select(samples, protocol, benchmark.task, options.seed))
        benchmark = dataclasses.replace(benchmark, measures=measures_of(benchmark, protocol))
    if options.limit is not None and len(samples) > options.limit:
        samples = samples[: options.limit]
    return benchmark, samples
