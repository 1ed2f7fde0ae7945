"""The benchmarks, one record each. A split of a known data set is one when its record in the catalog gives it a name;
to add another, write a loader and add a record to the table. All else follows from it.

One of your own needs no change here: a `Benchmark`, or a function without arguments that makes one, in a file of yours,
named ``FILE.py:NAME`` wherever a benchmark is named. A whole one, for ``thinkseg evaluate my_benchmarks.py:corners``::

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

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkseg.data.discovery.catalog import DataSet, MeasuredAs, benchmark_splits, known
from thinkseg.data.discovery.load import load_dataset
from thinkseg.data.readers.coco import list_coco
from thinkseg.data.readers.counting import SUFFIXES, find_counts, list_counts
from thinkseg.data.readers.folders import list_folders
from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.measures.registry import MASK_MEASURES, SALIENCY_MEASURES, get_measure
from thinkseg.evaluation.protocols import PROTOCOLS, ProtocolSamples, get_protocol, select
from thinkseg.extension import resolve
from thinkseg.types import Sample


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a loader may be told."""

    limit: int | None = None
    """The first so many samples; all of them when None. A loader may return more."""
    seed: int = 0
    """For benchmarks that are made rather than read, and for protocols that draw samples at random."""
    root: Path | None = None
    """Where the data sets are on disk, for benchmarks that are read."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is asked, of which samples, and which numbers count."""

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


BenchmarkChoice = str | Benchmark | Sequence[Sample]
"""A name or a reference, a record, or samples that are at hand."""


SCENES = 512
FOLDER_QUERY = "the main object"

FOREGROUND_MEASURES = (*SALIENCY_MEASURES, "giou", "ciou", "parse_failures", "false_abstentions")
DICHOTOMOUS_MEASURES = (*SALIENCY_MEASURES, "hce", "giou", "ciou", "parse_failures", "false_abstentions")
PRECISION_MEASURES = ("p50", "p60", "p70", "p80", "p90")
REFERRING_MEASURES = ("ciou", "giou", *PRECISION_MEASURES, "box_accuracy", "parse_failures", "false_abstentions")
GENERAL_MEASURES = ("giou", "ciou", "n_acc", "t_acc", "parse_failures", "correct_abstentions", "false_abstentions")
BOX_MEASURES = ("ap", "ap50", "ap75", "box_precision", "box_recall", "giou", "parse_failures")
COUNT_MEASURES = ("exact_count", "count_error", "parse_failures", "false_abstentions")


def _load_scenes(options: LoadOptions) -> Sequence[Sample]:
    return load_scenes("test", SCENES if options.limit is None else options.limit, options.seed)


def _load_folder(options: LoadOptions) -> Sequence[Sample]:
    if options.root is None:
        raise InputError("'folder' needs --data ROOT, a folder with 'images' and 'masks' in it")
    # An image that has no mask would shrink the denominator, so that only a whole listing is taken.
    return list_folders(options.root / "images", options.root / "masks", FOLDER_QUERY, "salient").require_complete()


def _load_own_boxes(options: LoadOptions) -> Sequence[Sample]:
    if options.root is None:
        raise InputError("'folder-detection' needs --data ROOT, with 'annotations.json' and a folder 'images' in it")
    return list_coco(options.root / "annotations.json", options.root / "images").require_complete()


def _root(name: str, options: LoadOptions) -> Path:
    if options.root is None:
        raise InputError(f"'{name}' needs --data ROOT, the folder that the data set lies in or below")
    if not options.root.is_dir():
        raise DataError(f"'{name}' is looked for below '{options.root}', which is no folder; check --data")
    return options.root


@dataclass(frozen=True, slots=True)
class Measured:
    """What the benchmarks of one kind have in common."""

    measures: tuple[str, ...] = MASK_MEASURES
    protocols: tuple[str, ...] = ("default",)


MEASURED_AS: Mapping[MeasuredAs, Measured] = {
    "masks": Measured(),
    "foreground": Measured(FOREGROUND_MEASURES),
    "dichotomous": Measured(DICHOTOMOUS_MEASURES),
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
        load=lambda options: load_dataset(data_set.name, split, _root(name, options)),
        expected_count=data_set.splits[split].count,
        measures=measured.measures,
        protocols=measured.protocols,
    )


def _load_coco(options: LoadOptions) -> Sequence[Sample]:
    listing = load_dataset("coco", "val2017", _root("coco-detection", options))
    expected = known("coco").splits["val2017"].count
    if options.limit is None and listing.image_count != expected:
        raise DataError(
            f"'coco-detection' has {expected} images, found {listing.image_count}; the copy on disk is not whole; "
            "boxes of your own in COCO's format are the benchmark 'folder-detection'"
        )
    return listing


def _counts(name: str, title: str, folder: str, split: str, source: str) -> Benchmark:
    def load(options: LoadOptions) -> Sequence[Sample]:
        root = _root(name, options)
        file = find_counts(root, folder, split)
        if file is None:
            raise DataError(
                f"found no '{split}*' ({', '.join(SUFFIXES)}) in a folder '{folder}' of '{root}'; get it: {source}"
            )
        return list_counts(file, name=name).require_complete()

    return Benchmark(
        name=name,
        summary=f"{title}, file '{split}*'",
        task="counting",
        load=load,
        expected_count=None,  # images of the web vanish: the report says how many there were
        measures=COUNT_MEASURES,
        protocols=("default", "vision-reasoner"),
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
            load=_load_scenes,
            expected_count=SCENES,
        ),
        Benchmark(
            name="folder",
            summary=f"your own images in ROOT/images and masks in ROOT/masks; asks for {FOLDER_QUERY}",
            task="salient",
            load=_load_folder,
            expected_count=None,
            measures=FOREGROUND_MEASURES,
        ),
        *(_on_disk(*row) for row in benchmark_splits()),
        Benchmark(
            name="coco-detection",
            summary="COCO 2017, split 'val2017': boxes of all objects of a category, in images that show one",
            task="instances",
            load=_load_coco,
            expected_count=None,
            measures=BOX_MEASURES,
            protocols=("default", "vision-reasoner"),
        ),
        Benchmark(
            name="folder-detection",
            summary="your own boxes in COCO's format: ROOT/annotations.json, images in ROOT/images",
            task="instances",
            load=_load_own_boxes,
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
    renamed = PROTOCOLS[protocol].measures
    return tuple(renamed.get(measure, measure) for measure in benchmark.measures)


def find_benchmark(choice: BenchmarkChoice) -> Benchmark:
    """The record of a name, of a reference, or of samples that are at hand.

    Raises:
        InputError: there is no such benchmark, or what a reference names is none.
    """
    if isinstance(choice, str):
        return resolve(choice, BENCHMARKS, "benchmark", _check_own)
    if isinstance(choice, Benchmark):
        return choice
    return Benchmark(
        name="samples",
        summary="samples that were handed over",
        task="mixed",
        load=lambda _options: choice,
        expected_count=None,
        protocols=tuple(PROTOCOLS),
    )


def _check_own(found: object, reference: str) -> Benchmark:
    """What a reference names, held against the contract of `Benchmark`."""
    benchmark = found if isinstance(found, Benchmark) or not callable(found) else found()
    if not isinstance(benchmark, Benchmark):
        raise InputError(
            f"expected a Benchmark of thinkseg.evaluation.benchmarks, or a function without arguments that makes one, "
            f"in '{reference}', found {benchmark!r}"
        )
    if benchmark.name in BENCHMARKS or not re.fullmatch(r"[\w.+-]+", benchmark.name):
        raise InputError(
            f"the benchmark in '{reference}' needs a name of letters, digits, '-', '_', '+' and '.' that no other "
            f"benchmark has, found '{benchmark.name}'"
        )
    for name in benchmark.protocols:
        get_protocol(name)
    for name in benchmark.measures:
        get_measure(name)
    return benchmark


def load_benchmark(
    choice: BenchmarkChoice, options: LoadOptions, protocol: str = "default"
) -> tuple[Benchmark, Sequence[Sample]]:
    """A benchmark's record and its samples by the rule of a protocol, their number checked.

    Raises:
        InputError: an unknown name or protocol, or a limit below 1.
        DataError: the data are missing or damaged, or fewer or more than the benchmark has.
    """
    benchmark = find_benchmark(choice)
    name = benchmark.name
    if protocol not in benchmark.protocols:
        raise InputError(f"'{name}' has no protocol '{protocol}'; it has: {', '.join(benchmark.protocols)}")
    if options.limit is not None and options.limit < 1:
        raise InputError(f"expected a limit of at least 1 sample, found {options.limit}")
    samples = benchmark.load(options)
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
