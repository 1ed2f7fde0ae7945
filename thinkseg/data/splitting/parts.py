"""Which samples are learnt from and which are kept to measure on: no image, and no copy of one, is in both.

What belongs together is drawn together: all samples of an image, of images with the same pixels, and of one group where
the caller says groups (a patient, a video, a place).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thinkseg.data.listing import Listing
from thinkseg.errors import DataError, ImageError, InputError
from thinkseg.imaging import content_key, load_image
from thinkseg.machine import usable_cpus

SHARE = 0.2
"""Of the images that are kept to measure on, where nobody says another one."""

Name = tuple[str, Hashable]
"""What is called so, and how."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The two parts of a listing, as places in it, in its order."""

    train: tuple[int, ...]
    test: tuple[int, ...]
    images: tuple[int, int]
    """How many different files of images each has."""
    copies: int
    """Images that have the pixels of another one, under another name."""

    @property
    def places(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Both, to learn from and to measure on."""
        return self.train, self.test


def split_listing(
    listing: Listing,
    share: float = SHARE,
    seed: int = 0,
    groups: Sequence[str] = (),
    places: Sequence[int] | None = None,
) -> Parts:
    """Draw the part that is kept.

    Args:
        listing: the samples; each image is decoded once.
        share: of the images, above 0 and below 1, that is kept; each part gets at least one.
        seed: of the draw, from 0.
        groups: for each sample of the listing the group that it is in, none of which is torn; empty for no groups. A
            sample whose group is empty is in none.
        places: only these samples; all when None.

    Raises:
        InputError: an impossible share or seed.
        DataError: there are no two images that can be told apart.
    """
    if not 0 < share < 1:
        raise InputError(f"a share of images should be above 0 and below 1, such as 0.2, found {share:g}")
    if seed < 0:
        raise InputError(f"expected a seed of at least 0, found {seed}")
    places = range(len(listing)) if places is None else places
    keys = image_keys(listing, places)
    together = _Together()
    files = {place: str(listing.entry(place).image) for place in places}
    for place in places:
        together.join(("file", files[place]), ("pixels", keys[place]))
        if groups and groups[place]:
            together.join(("file", files[place]), ("group", groups[place]))
    units: dict[Name, set[str]] = defaultdict(set)
    for place in places:
        units[together.of(("file", files[place]))].add(files[place])
    if len(units) < 2:
        raise DataError(
            f"{listing.name} cannot be split: expected at least two images that are not the same"
            f"{' and not of one group' if groups else ''}, found {len(set(files.values()))} files of images"
        )
    kept = _drawn(list(units.values()), share, seed)
    test = tuple(place for place in places if files[place] in kept)
    train = tuple(place for place in places if files[place] not in kept)
    names = set(files.values())
    return Parts(train, test, (len(names - kept), len(kept)), len(names) - len(set(keys.values())))


def image_keys(listing: Listing, places: Sequence[int]) -> dict[int, Hashable]:
    """What tells the pixels of images apart, by the places of their samples; one that cannot be read by its name."""
    by_file: dict[str, list[int]] = defaultdict(list)
    for place in places:
        by_file[str(listing.entry(place).image)].append(place)
    firsts = [own[0] for own in by_file.values()]
    with ThreadPoolExecutor(min(8, usable_cpus())) as pool:
        found = pool.map(lambda place: _key(listing, place), firsts)
        return {place: key for own, key in zip(by_file.values(), found, strict=True) for place in own}


def _key(listing: Listing, place: int) -> Hashable:
    source = listing[place].image if listing.embedded else listing.entry(place).image
    try:
        return content_key(load_image(source))
    except ImageError:
        return f"name {source}" if isinstance(source, str | Path) else f"place {place}"


def _drawn(units: Sequence[set[str]], share: float, seed: int) -> set[str]:
    """Files of images, whole units, as near to the share as they come; at least one unit is in and one is out."""
    total = sum(map(len, units))
    kept: set[str] = set()
    order = np.random.default_rng(seed).permutation(len(units)).tolist()
    for position, unit in enumerate(order):
        nearer = abs(len(kept) + len(units[unit]) - share * total) < abs(len(kept) - share * total)
        if (nearer and len(kept) + len(units[unit]) < total) or (not kept and position == len(order) - 1):
            kept |= units[unit]
    return kept


class _Together:
    """Names that were said to belong together, and the one that stands for all of them (union and find)."""

    def __init__(self) -> None:
        self._parents: dict[Name, Name] = {}

    def of(self, name: Name) -> Name:
        """What stands for all that belongs to a name."""
        while (parent := self._parents.setdefault(name, name)) != name:
            self._parents[name] = self._parents[parent]
            name = self._parents[name]
        return name

    def join(self, one: Name, other: Name) -> None:
        """Say that two belong together."""
        self._parents[self.of(one)] = self.of(other)
