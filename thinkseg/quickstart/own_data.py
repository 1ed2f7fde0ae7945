"""The user's own data: read, looked at file by file, split, and written as two tables beside the run.

What can be gone on without is left out and told; what cannot ends the job with a sentence. The tables are written once:
a run that goes on finds them, and so finds the same parts.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from thinkseg.data.discovery.load import find_listings, load_own
from thinkseg.data.listing import Broken, Fault, FaultKind, Listing
from thinkseg.data.preview import listing_sheet
from thinkseg.data.splitting.parts import image_keys, split_listing
from thinkseg.data.splitting.writing import write_part
from thinkseg.data.text import sayable
from thinkseg.data.validation.inspection import inspect_sample
from thinkseg.errors import DataError, InputError
from thinkseg.extension import is_reference
from thinkseg.machine import usable_cpus
from thinkseg.meter import Meter
from thinkseg.quickstart.own_options import OwnOptions

Say = Callable[[str], None]

PARTS, SHEET = "data", "contact_sheet.jpg"
FEWEST = 4
"""Images with a known truth without which there is nothing to learn from and to measure on."""
KEPT_SHARE, KEPT_AT_LEAST = 0.2, 10
"""Of the images, kept to measure on; of few images so many, but never more than a third of all."""
MEASURED_AT_MOST = 200
"""Held-out samples that are measured, evenly spread."""
SHOWN = 12
NAMED = 3
"""Files that a sentence names of each kind of fault."""
TASKS_AT_MOST = 6
"""Different queries that get a column each in the report."""

GONE_ON_WITH = {
    FaultKind.EMPTY: "their masks show nothing, which is learnt as “nothing there”",
    FaultKind.FULL: "their masks cover the whole image",
    FaultKind.NON_BINARY: "their masks have more than two levels, which are split in the middle",
    FaultKind.JPEG_DAMAGED: "their masks went through JPEG, so that the outlines are not the true ones",
    FaultKind.TOO_NARROW: "they are more than 200 times as long as wide, which most models refuse",
    FaultKind.PASSED_OVER: "they look like images, and are not read, for their kind",
}
"""What is no reason to leave a sample out, in words behind its number."""


@dataclass(frozen=True, slots=True)
class OwnParts:
    """Both parts, as they lie beside the run."""

    train: Path
    """A table, or a folder of rows."""
    test: Path


def listings_of(options: OwnOptions) -> tuple[Listing, Listing | None]:
    """The data to learn from and those to measure on; None for the latter where they are a part of the former.

    Raises:
        DataError: they are not there, or cannot be listed.
    """
    if options.test is not None:
        return load_own(options.of_data(options.data, options.split)), load_own(options.of_data(options.test, ""))
    if options.split or is_reference(str(options.data)):
        return load_own(options.of_data(options.data, options.split)), None
    ((_, splits),) = find_listings(options.of_data(options.data, ""))
    for listing in splits.values():
        if isinstance(listing, Broken):
            raise listing.error
    if len(splits) == 1:
        return next(iter(splits.values())), None
    kept = next((name for name in ("test", "val", "valid", "validation") if name in splits), "")
    if "train" not in splits or not kept:
        raise DataError(f"'{options.data}' has several splits; say which to learn from: --split {', '.join(splits)}")
    return splits["train"], splits[kept]


def prepare_parts(out: Path, options: OwnOptions, listings: tuple[Listing, Listing | None], say: Say) -> OwnParts:
    """Check the data, split them and write both parts and a contact sheet into the folder of the run.

    Args:
        out: the folder.
        options: what the user says.
        listings: as `listings_of` gives them.
        say: is told what was found.

    Raises:
        InputError: the data cannot be used; the sentence says why.
    """
    if (out / PARTS).is_dir():
        return _found(out / PARTS)
    train, test = listings
    places = usable(train, say)
    half = out / f"{PARTS}.part"
    shutil.rmtree(half, ignore_errors=True)
    if test is None:
        images = len({train.entry(place).image for place in places})
        share = max(KEPT_SHARE, min(KEPT_AT_LEAST / max(images, 1), 1 / 3))
        parts = split_listing(train, share, options.seed, places=places)
        places, kept, test = list(parts.train), list(parts.test), train
        copies = f"; {parts.copies} of them are copies of others, kept on one side" if parts.copies else ""
        say(
            f"split by image with seed {options.seed}: {parts.images[0]} to learn from, {parts.images[1]} held out to "
            f"measure on{copies}"
        )
    else:
        kept = usable(test, say, "held-out data")
        seen = set(image_keys(test, kept).values())
        keys = image_keys(train, places)
        twice = [place for place in places if keys[place] in seen]
        places = [place for place in places if keys[place] not in seen]
        if twice:
            say(f"left out of what is learnt from: {len(twice)} samples whose images are among the held-out ones, too")
        if not places:
            raise InputError("all images are among the held-out ones, too, so that nothing is left to learn from")
        say(f"{len(places)} samples to learn from, {len(kept)} held out to measure on")
    if len(kept) > MEASURED_AT_MOST:
        say(f"of the {len(kept)} held-out samples {MEASURED_AT_MOST} are measured, evenly spread")
        kept = [kept[number * len(kept) // MEASURED_AT_MOST] for number in range(MEASURED_AT_MOST)]
    for name, listing, chosen in (("train", train, places), ("test", test, kept)):
        write_part(listing, chosen, half, name, {"task": tasks_of(listing, chosen)})
    shown = [places[number * len(places) // min(SHOWN, len(places))] for number in range(min(SHOWN, len(places)))]
    listing_sheet(train, shown).convert("RGB").save(out / SHEET, quality=88)
    half.rename(out / PARTS)
    say(f"contact sheet, to see whether masks and queries are the right ones: {out / SHEET}")
    return _found(out / PARTS)


def _found(folder: Path) -> OwnParts:
    """The parts in a folder, whatever they are written as."""
    train, test = (
        next(path for path in (folder / f"{name}.csv", folder / f"{name}.jsonl", folder / name) if path.exists())
        for name in ("train", "test")
    )
    return OwnParts(train, test)


def tasks_of(listing: Listing, places: Sequence[int]) -> list[str]:
    """For each sample of a listing what the report puts it under: its query, where there are a few different ones."""
    queries = {listing.entry(place).query for place in places}
    apart = 1 < len(queries) <= TASKS_AT_MOST
    return [listing.entry(place).query if apart else "" for place in range(len(listing))]


def usable(listing: Listing, say: Say, what: str = "data") -> list[int]:
    """The samples that can be learnt from or measured on; each of their files is looked into.

    Raises:
        InputError: fewer than half can, or too few, or none shows an object.
    """
    found = _looked_at(listing)
    faults: dict[FaultKind, dict[str, Fault]] = defaultdict(dict)
    passed_over = (Fault(FaultKind.PASSED_OVER, str(file)) for file in listing.passed_over)
    for fault in (*listing.faults, *passed_over, *(fault for one in found for fault in one.faults)):
        faults[fault.kind].setdefault(fault.where, fault)
    left = [place for place, one in enumerate(found) if not one.stopped and one.known]
    for kind, those in faults.items():
        _tell(kind, list(those.values()), say)
    unknown = sum(not one.known and not one.stopped for one in found)
    if unknown:
        say(f"left out: {unknown} of {len(found)} samples, of which no mask is known")
    images = len({str(listing.entry(place).image) for place in left})
    shows = sum(found[place].shows for place in left)
    named = {str(file) for place in range(len(found)) for file in listing.entry(place).masks}
    total = len(found) + len(set(faults[FaultKind.MISSING_MASK]) - named)  # images without a mask are no samples
    if images < FEWEST or not shows:
        raise InputError(
            f"expected at least {FEWEST} images with masks in the {what}, some of which show what is asked for; found "
            f"{images} that can be used, {shows} of them with an object{_first(faults)}"
        )
    if len(left) * 2 < total:
        raise InputError(
            f"more than half of the {what} cannot be used ({total - len(left)} of {total} samples): mend them first"
            f"{_first(faults)}; 'thinkseg data check' names them all"
        )
    nothing = f", {len(left) - shows} say that nothing is there" if len(left) > shows else ""
    queries = Counter(listing.entry(place).query for place in left)
    asked = ", ".join(f"“{query}”" for query, _ in queries.most_common(NAMED))
    more = f" and {len(queries) - NAMED} other queries" if len(queries) > NAMED else ""
    say(
        f"{what}: {len(left)} samples of {images} images, {shows} show what is asked for{nothing}; asked: {asked}{more}"
    )
    return left


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look into the files of a sample has shown."""

    faults: Sequence[Fault]
    stopped: bool
    """Whether it cannot be used."""
    known: bool = False
    """Whether its truth is known."""
    shows: bool = False
    """Whether that is an object."""


def _looked_at(listing: Listing) -> list[_Look]:
    looks = []
    with ThreadPoolExecutor(min(8, usable_cpus())) as pool, Meter("check the data", "sample", len(listing)) as meter:
        for number, one in enumerate(pool.map(lambda place: _look(listing, place), range(len(listing))), start=1):
            looks.append(one)
            meter.move(number)
    return looks


def _look(listing: Listing, place: int) -> _Look:
    faults = inspect_sample(listing, place).faults
    if any(fault.kind not in GONE_ON_WITH for fault in faults):
        return _Look(faults, stopped=True)
    try:
        sample = listing[place]
        if not listing.embedded:
            entry = listing.entry(place)
            for file in (entry.image, *entry.masks):
                sayable(file.name)  # since both parts are tables
    except InputError as error:
        return _Look([Fault(FaultKind.BAD_RECORD, listing.entry(place).truth, str(error))], stopped=True)
    return _Look(faults, False, sample.target is not None, sample.target is not None and bool(sample.target.any()))


def _tell(kind: FaultKind, faults: Sequence[Fault], say: Say) -> None:
    """A sentence for all faults of a kind."""
    if not faults:
        return
    names = ", ".join(
        Path(fault.where).name + (f" ({fault.detail})" if fault.detail else "") for fault in faults[:NAMED]
    )
    more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    if kind in GONE_ON_WITH:
        say(f"warning: {len(faults)} × {kind}: {GONE_ON_WITH[kind]}: {names}{more}")
    else:
        say(f"left out: {len(faults)} × {kind} ({kind.meaning}): {names}{more}")


def _first(faults: Mapping[FaultKind, Mapping[str, Fault]]) -> str:
    """The first fault that leaves a sample out, to be said behind a sentence."""
    for kind, those in faults.items():
        if those and kind not in GONE_ON_WITH:
            first = next(iter(those.values()))
            told = f", {first.detail}" if first.detail else ""
            return f" (the first that is left out: {first.where}, {kind.meaning}{told})"
    return ""
