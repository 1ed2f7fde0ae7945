"""What ``thinkseg segment`` writes, as data: the masks of a model, checked by a person, to train on or to export.

A sample for each record (``NAME.json``): its image, its query and its objects. A record that says that nothing is there
is a request whose right answer that is. One whose text could not be read says nothing, and is left out.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.data.names import files_below, images_below, path_in
from thinkseg.data.readers.objects import by_last_part, find_by_name
from thinkseg.data.text import printable
from thinkseg.errors import DataError, InputError
from thinkseg.results.files import MASK, RECORD, is_image_of_result, read_record, with_ending
from thinkseg.results.record import ResultRecord, masks_from_record
from thinkseg.types import Mask, Sample

TASK = "results"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Result:
    """A record, without its masks."""

    stem: str
    """Its path without suffix, from the folder on."""
    query: str
    image: Path
    empty: bool


class ResultListing(Listing):
    """The results of a folder, in the order of their names; use `list_results` to make one."""

    def __init__(self, folder: Path, results: Sequence[_Result], faults: Sequence[Fault]) -> None:
        super().__init__(folder.absolute().name, folder, faults)
        self._results = results

    @property
    def image_count(self) -> int:
        """How many different images there are."""
        return len({result.image for result in self._results})

    def __len__(self) -> int:
        return len(self._results)

    def entry(self, index: int) -> Entry:
        """Where a record and its image lie."""
        result = self._results[index]
        truth = str(with_ending(self.folder / result.stem, RECORD))
        return Entry(printable(result.stem), result.query, result.image, truth, may_be_empty=result.empty)

    def read(self, index: int) -> Sample:
        """Read the masks of a record."""
        entry = self.entry(index)
        record = read_record(self.folder / self._results[index].stem)
        if record is None:
            raise DataError(f"expected a result at '{entry.truth}', found none")
        try:
            instances = masks_from_record(record)
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"the masks in '{entry.truth}' cannot be read ({error})") from error
        target: Mask = np.logical_or.reduce(instances, axis=0)
        return Sample(id=entry.id, image=entry.image, query=entry.query, target=target, instances=instances, task=TASK)


def find_results(root: Path, encoding: str = "") -> Path | None:
    """A folder of results: it has a mask, or a record, of one right in it; or None."""
    del encoding
    if not root.is_dir():
        return None
    for file in sorted(root.iterdir()):
        if file.name.endswith(MASK) and is_image_of_result(file):
            return root
    return None


def list_results(folder: Path, *, images: Path | None = None, confined: bool = False) -> ResultListing:
    """List the results of a folder and what is below it.

    Args:
        folder: that ``thinkseg segment`` has written.
        images: where its images lie; when None, where they were when it was written, or else below the folder.
        confined: whether images have to lie below the folder or `images`, since the folder may have come with data of
            others.

    Raises:
        DataError: there is no result.
    """
    place = images or folder
    known = by_last_part(images_below(place).images)
    results: list[_Result] = []
    faults: list[Fault] = []
    unread = 0
    for name in files_below(folder):
        stem = name.removesuffix(RECORD)
        record = read_record(folder / stem) if name.endswith(RECORD) else None
        if record is None:
            continue
        if record.get("failure") is not None:
            unread += 1
            continue
        image = _image(record, place, known, confined=confined)
        if image is None:
            told = f"named in {folder / name}: say where the images are, with '--images'"
            told += "; '--dataset results' takes them where the record says" if confined else ""
            faults.append(Fault(FaultKind.MISSING_IMAGE, str(record.get("image", "")), told))
        else:
            results.append(_Result(stem, str(record["query"]), image, not record["objects"]))
    if not results and not faults and not unread:
        raise DataError(f"expected what 'thinkseg segment' writes in '{folder}', found no result")
    if unread:
        _log.warning("left out of '%s': %d results whose text could not be read", printable(str(folder)), unread)
    return ResultListing(folder, results, faults)


def _image(record: ResultRecord, place: Path, known: dict[str, list[str]], *, confined: bool) -> Path | None:
    """The image of a record: where it was, or else the only one below a folder that its path may mean."""
    told = str(record.get("image", ""))
    if not confined and told and os.path.isfile(path_in(Path(), told)):
        return path_in(Path(), told)
    found = find_by_name(known, told.replace("\\", "/").lstrip("/"))
    return place / found[0] if len(found) == 1 else None
