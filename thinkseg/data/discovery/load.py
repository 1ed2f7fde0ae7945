"""Known data sets on disk: what lies below a root, and its samples.

::

    samples = load_dataset("cod10k", "test", "/data")     # lists; opens no image

The root may be a folder of many data sets, the folder of this one, or the very split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from thinkseg.data.discovery.catalog import DATA_SETS, OWN, DataSet, known
from thinkseg.data.discovery.custom import OwnData, find_own
from thinkseg.data.discovery.formats import FORMATS
from thinkseg.data.discovery.layouts import LAYOUTS, Wanted
from thinkseg.data.discovery.tree import Tree
from thinkseg.data.listing import Broken, BrokenFile, Listing
from thinkseg.data.names import images_below
from thinkseg.data.source import load_source
from thinkseg.data.text import printable
from thinkseg.errors import DataError
from thinkseg.extension import is_reference
from thinkseg.results.record import counted


def load_dataset(
    name: str,
    split: str,
    root: Path | str,
    *,
    query: str = "",
    images: Path | str | None = None,
    every_text: bool | None = None,
    allow_faults: bool = False,
    encoding: str = "",
) -> Listing:
    """The samples of a known data set, in a fixed order; files are opened when a sample is asked for.

    Args:
        name: in `DATA_SETS`, or "own" for data of one's own (see `custom`): rows, a table, two folders, or what a tool
            for annotation writes, whose name in `FORMATS` may be given, too.
        split: one of its splits; of own data that are no rows it is but a name.
        root: the folder of the data set, or a folder above it.
        query: what to ask in place of the data set's own words, where it has none.
        images: for RefCOCO and COCO: the folder of images, when it does not lie below the root.
        every_text: for ReasonSeg: whether each wording of a question is a sample; in training only, when None.
        allow_faults: whether to go on with what is whole when names reveal missing files.
        encoding: of tables and annotations, where it is not UTF-8.

    Raises:
        DataError: an unknown name or split, data that are not there, or not whole.
    """
    if name == OWN or name in FORMATS:
        place = "" if images is None else str(Path(images).absolute())
        listing = load_own(OwnData(root, query, split, images=place, encoding=encoding, dataset=name))
    else:
        folder = None if images is None else Path(images)
        listing = _one(known(name), split, root, _Asked(query, folder, every_text, encoding))
    if isinstance(listing, Broken):
        raise listing.error
    return listing if allow_faults else listing.require_complete()


def load_own(data: OwnData) -> Listing:
    """Data of one's own, faults or not: `Listing.require_complete` refuses them.

    Raises:
        DataError: nothing is found, nothing that can be listed, or several splits of which one has to be named.
    """
    if is_reference(str(data.root)):
        return load_source(str(data.root), {}, data.split)
    ((_, own),) = find_listings(replace(data, dataset=data.dataset or OWN))
    if len(own) > 1:
        raise DataError(f"'{data.root}' has several splits; say which one: --split {' or --split '.join(own)}")
    (listing,) = own.values()
    if isinstance(listing, Broken):
        raise listing.error
    return listing


def find_listings(data: OwnData) -> list[tuple[DataSet | None, dict[str, Listing]]]:
    """Whatever lies below a root, faults or not: known data sets, or else data of one's own (with None as its record).

    Args:
        data: in place of the name of a format, `dataset` may be that of a known data set. Where it is empty and nothing
            else is named, known ones are looked for under their own names, then own data; `OWN` looks for the latter
            alone.

    Raises:
        DataError: nothing is found, or not what is asked for.
    """
    root, name, split = Path(data.root), data.dataset, data.split
    if not root.exists():
        raise DataError(f"expected data at '{root}', found no such file or folder")
    if data.query and not data.query.strip():
        raise DataError("the query is blank: say what to look for, such as 'the crack', or leave it out")
    if name and name != OWN and name not in FORMATS:
        folder = root / data.images if data.images else None
        asked = _Asked(data.query, folder, encoding=data.encoding)
        return [(known(name), _present(root, known(name), split, asked))]
    if root.is_dir() and not (name or data.are_named):
        found = [
            (data_set, {key: listing for key, listing in listings.items() if split in ("", key)})
            for data_set, listings in find_datasets(root, data.encoding)
        ]
        if any(listings for _, listings in found):
            return [(data_set, listings) for data_set, listings in found if listings]
    own = find_own(data)
    if own is None:
        raise DataError(
            f"found nothing below '{root}' that looks like a known data set, a table, rows, a folder of images and one "
            f"of masks, or what a tool for annotation writes ({', '.join(FORMATS)}); say what it is: '--image-folder' "
            f"and '--mask-folder', or '--dataset' ('thinkseg data list' has the names){_what_is_there(root)}"
        )
    return [(None, own)]


def _what_is_there(root: Path) -> str:
    """What may be the reason that nothing was found, to be said behind a sentence: images that no mask lies beside."""
    below = images_below(root) if root.is_dir() else None
    if below is not None and below.passed_over:
        return (
            f". It has {counted(len(below.passed_over), 'image')} of a kind that is not read, such as "
            f"'{printable(below.passed_over[0])}': save what is meant as PNG"
        )
    if below is not None and below.images:
        return (
            f". It has {counted(len(below.images), 'image')}: put photographs into a folder 'images', and masks "
            "of the same names into a folder 'masks' beside it, or each mask beside its image, as 'NAME_mask.png'"
        )
    return ""


def find_datasets(root: Path | str, encoding: str = "") -> list[tuple[DataSet, dict[str, Listing]]]:
    """The known data sets that lie below a root under names of their own, with the splits that were found."""
    tree = Tree(root)
    found = []
    for data_set in (data_set for data_set in DATA_SETS.values() if not data_set.on_request):
        present = _splits(data_set, tree, _Asked(encoding=encoding))
        if present:
            found.append((data_set, present))
    return found


def find_split(wanted: Wanted) -> Listing | None:
    """List one split, or None when it is not there; `Broken` when it is there, in a file that cannot be used.

    Raises:
        DataError: it is there and cannot be listed.
    """
    try:
        return LAYOUTS[wanted.data_set.layout](wanted)
    except BrokenFile as error:
        return Broken(wanted.name, error)


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a known data set is to be read; see `Wanted` for each."""

    query: str = ""
    images: Path | None = None
    every_text: bool | None = None
    encoding: str = ""


def _present(root: Path, data_set: DataSet, split: str, asked: _Asked) -> dict[str, Listing]:
    """The splits of a data set that are there; the one that is asked for has to be."""
    if split:
        return {split: _one(data_set, split, root, asked)}
    present = _splits(data_set, Tree(root), asked, root_is_data_set=True)
    if not present:
        raise DataError(_not_there(data_set, "split", root))
    return present


def _one(data_set: DataSet, split: str, root: Path | str, asked: _Asked) -> Listing:
    if split not in data_set.splits:
        raise DataError(f"'{data_set.name}' has no split '{split}'; it has: {', '.join(data_set.splits)}")
    listing = find_split(_wanted(data_set, split, Tree(root), asked, root_is_data_set=True))
    if listing is None:
        raise DataError(_not_there(data_set, f"'{split}'", root))
    return listing


def _splits(data_set: DataSet, tree: Tree, asked: _Asked, *, root_is_data_set: bool = False) -> dict[str, Listing]:
    """The splits that are there; only the first one where a file that all of them hang on cannot be used."""
    present: dict[str, Listing] = {}
    for split in data_set.splits:
        listing = find_split(_wanted(data_set, split, tree, asked, root_is_data_set=root_is_data_set))
        if isinstance(listing, Broken):
            return {split: listing}
        if listing is not None:
            present[split] = listing
    return present


def _wanted(data_set: DataSet, split: str, tree: Tree, asked: _Asked, *, root_is_data_set: bool) -> Wanted:
    return Wanted(data_set, split, tree, root_is_data_set, asked.query, asked.images, asked.every_text, asked.encoding)


def _not_there(data_set: DataSet, what: str, root: Path | str) -> str:
    return (
        f"found no {what} of {data_set.title} below '{root}'; 'thinkseg data list {data_set.name}' shows the tree that "
        f"is looked for, and where to get it: {data_set.source}"
    )
