"""What is wrong with a copy of a data set: every fault by its kind and its file. Nothing is ever written.

Names and annotations are compared first, then every image is decoded and every mask looked at. Masks of images
that several splits share are looked at once.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from thinkseg.data.discovery.catalog import DataSet
from thinkseg.data.listing import Broken, Fault, FaultKind, Listing
from thinkseg.data.readers.folders import FolderListing
from thinkseg.data.validation.inspection import Finding, inspect_sample
from thinkseg.machine import usable_cpus

Progress = Callable[[int, int], None]
"""Told how many of how many samples are done."""

_AT_A_TIME = 512
"""Samples that are handed to the workers before their findings are taken in."""


@dataclass(frozen=True, slots=True)
class SplitReport:
    """How much of a split there is."""

    split: str
    folder: Path
    samples: int
    image_count: int
    expected: int | None
    """The published number, in `unit`; None where none is known."""
    unit: str

    @property
    def found(self) -> int:
        """What `expected` is to be held against."""
        return self.image_count if self.unit == "images" else self.samples


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What is wrong with a copy of one data set."""

    name: str
    root: Path
    splits: Sequence[SplitReport]
    faults: Sequence[Fault]
    """By kind, then by file, which is named from the root on."""

    @property
    def counts(self) -> Mapping[FaultKind, int]:
        """How many faults there are of each kind that there is."""
        found = Counter(fault.kind for fault in self.faults)
        return {kind: found[kind] for kind in FaultKind if found[kind]}

    def to_json(self) -> dict[str, Any]:
        """The report for a program."""
        return {
            "name": self.name,
            "root": str(self.root),
            "splits": [
                {
                    "split": split.split,
                    "folder": str(split.folder),
                    "samples": split.samples,
                    "images": split.image_count,
                    "expected": split.expected,
                    "unit": split.unit,
                }
                for split in self.splits
            ],
            "counts": {str(kind): count for kind, count in self.counts.items()},
            "faults": [
                {"kind": str(fault.kind), "where": fault.where, "detail": fault.detail} for fault in self.faults
            ],
        }


def check_copy(
    root: Path | str,
    listings: Mapping[str, Listing],
    data_set: DataSet | None = None,
    *,
    whole: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> CopyReport:
    """Look for everything that may be wrong with a copy.

    Args:
        root: the folder from which files are named.
        listings: its splits.
        data_set: its record, for the published counts; None for data of one's own.
        whole: whether these are all its splits, so that a mask that no split uses is left over.
        workers: threads; as many as there are CPUs, at most 8, when None.
        progress: told after each sample.

    Returns:
        The report; it has no fault when all is well.
    """
    root = Path(root)
    splits = [_split_report(split, listing, data_set) for split, listing in listings.items()]
    faults = [fault for listing in listings.values() for fault in listing.faults]
    faults += [
        Fault(
            FaultKind.NO_SAMPLES, f"{data_set.name if data_set else 'own data'} {split}", f"looked in {listing.folder}"
        )
        for split, listing in listings.items()
        if not len(listing) and not isinstance(listing, Broken)
    ]
    faults += [Fault(FaultKind.PASSED_OVER, str(file)) for listing in listings.values() for file in listing.passed_over]
    faults += _left_over_masks(listings.values()) if whole and data_set and data_set.shared_masks else []
    broken = any(isinstance(listing, Broken) for listing in listings.values())
    faults += _counts(data_set, splits) if data_set and not broken else []
    tasks = _tasks(listings.values())
    workers = workers or min(8, usable_cpus())
    duplicates = _Duplicates()
    for done, (task, finding) in enumerate(_findings(tasks, workers), start=1):
        faults += finding.faults
        duplicates.add(task, finding)
        if progress:
            progress(done, len(tasks))
    faults += duplicates.faults
    return CopyReport(data_set.name if data_set else "own data", root, splits, _tidy(faults, root))


@dataclass(frozen=True, slots=True)
class _Task:
    """A sample to look at, and what of it was not looked at before."""

    listing: Listing
    index: int
    image: bool
    truth: bool


class _Duplicates:
    """Remembers the bytes of files by their digests."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._images: dict[bytes, Path] = {}
        self._originals: dict[Path, Path] = {}
        self._masks: dict[bytes, tuple[Path, Path]] = {}

    def add(self, task: _Task, finding: Finding) -> None:
        """Hold a sample against those before it. The mask of an image that is a duplicate is one by right."""
        image = task.listing.entry(task.index).image
        if finding.image_digest:
            first = self._images.setdefault(finding.image_digest, image)
            if first != image:
                self._originals[image] = first
                self._report(image, first)
        original = self._originals.get(image, image)
        for file, digest in finding.mask_digests.items():
            first, first_image = self._masks.setdefault(digest, (file, original))
            if first != file and first_image != original:
                self._report(file, first)

    def _report(self, file: Path, first: Path) -> None:
        self.faults.append(Fault(FaultKind.DUPLICATED, str(file), f"is the same as {first}"))


def _tasks(listings: Iterable[Listing]) -> list[_Task]:
    """Every image once and every mask of an image once, however many samples they belong to."""
    tasks = []
    images: set[str] = set()
    truths: set[tuple[str, str]] = set()
    for listing in listings:
        for index in range(len(listing)):
            entry = listing.entry(index)
            image, truth = str(entry.image), (str(entry.image), entry.truth)
            if truth not in truths:
                tasks.append(_Task(listing, index, image not in images, truth=True))
                images.add(image)
                truths.add(truth)
    return tasks


def _findings(tasks: Iterable[_Task], workers: int) -> Iterator[tuple[_Task, Finding]]:
    """Each task with what was found, in their order."""
    rest = iter(tasks)
    with ThreadPoolExecutor(workers) as pool:
        while batch := list(islice(rest, _AT_A_TIME)):
            yield from zip(batch, pool.map(_inspect, batch), strict=True)


def _inspect(task: _Task) -> Finding:
    return inspect_sample(task.listing, task.index, image=task.image, truth=task.truth)


def _split_report(split: str, listing: Listing, data_set: DataSet | None) -> SplitReport:
    return SplitReport(
        split,
        listing.folder,
        len(listing),
        listing.image_count,
        data_set.splits[split].count if data_set else None,
        data_set.unit if data_set else "samples",
    )


def _counts(data_set: DataSet, splits: Iterable[SplitReport]) -> list[Fault]:
    return [
        Fault(
            FaultKind.WRONG_COUNT,
            f"{data_set.name} {split.split}",
            f"{split.found:,} {split.unit}, published are {split.expected:,}",
        )
        for split in splits
        if split.expected is not None and split.found != split.expected
    ]


def _left_over_masks(listings: Iterable[Listing]) -> list[Fault]:
    """Masks that no split uses, in folders that splits share."""
    unused: dict[Path, set[str]] = {}
    for listing in listings:
        if isinstance(listing, FolderListing):
            left = set(listing.unused_masks)
            unused[listing.masks] = unused.get(listing.masks, left) & left
    return [Fault(FaultKind.MISSING_IMAGE, str(folder / mask)) for folder, masks in unused.items() for mask in masks]


def _tidy(faults: Iterable[Fault], root: Path) -> list[Fault]:
    """Each fault once, by kind and file, files named from the root on."""
    once: dict[tuple[FaultKind, str], Fault] = {}
    prefix = f"{root}{os.sep}"
    for fault in faults:
        short = replace(fault, where=fault.where.replace(prefix, ""), detail=fault.detail.replace(prefix, ""))
        once.setdefault((short.kind, short.where), short)
    order = list(FaultKind)
    return sorted(once.values(), key=lambda fault: (order.index(fault.kind), fault.where))
