"""Where a recipe's samples come from, one builder each. To add a source: write a builder, add a line to the table.

A source of the user's own is named by its reference, as `thinkseg.data.source` says.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from thinkseg.data.discovery.catalog import MAIN, OWN
from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.formats import FORMATS
from thinkseg.data.discovery.load import load_dataset, load_own
from thinkseg.data.listing import Listing
from thinkseg.data.readers.demonstrations import load_worked
from thinkseg.data.readers.folders import list_folders
from thinkseg.data.samples import LazySamples
from thinkseg.data.source import load_source
from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.errors import DataError, RecipeError
from thinkseg.extension import is_reference, resolve
from thinkseg.training.sections import Data
from thinkseg.types import Sample, Size

Source = Callable[[Data], Sequence[Sample]]

SCENES_PER_EPOCH = 10_000
"""Scenes are endless; so many make an epoch where the recipe does not say."""


def load_samples(data: Data) -> Sequence[Sample]:
    """The samples of a recipe, read or composed one by one when they are asked for.

    Raises:
        RecipeError: there is no such source, the settings do not suit it, or one of the user's own breaks its contract.
        DataError: the data are missing.
    """
    if data.options and not is_reference(data.source):
        raise RecipeError(f"'data.options' are for a source of your own, FILE.py:NAME; '{data.source}' has none")
    samples = resolve(data.source, SOURCES, "data source", _own, RecipeError)(data)
    if not len(samples):
        raise DataError(f"the source '{data.source}' has no samples to train on")
    return samples


def source_in_words(data: Data) -> str:
    """A recipe's source in words: the path of the user's own data, else all that tells it from another one."""
    if data.name == OWN and data.root is not None and data.images is None:
        return data.root
    named = [name for name in (data.name, data.root, data.images, data.rows) if name]
    return " ".join([data.source, *named, f"({data.split})"])


def _scenes(data: Data) -> Sequence[Sample]:
    options = {"tasks": data.tasks, "size": data.size}
    count = SCENES_PER_EPOCH if data.count is None else data.count
    return load_scenes(data.split, count, data.seed, **{k: v for k, v in options.items() if v is not None})  # type: ignore[arg-type]


def _folders(data: Data) -> Sequence[Sample]:
    if data.images is None or data.masks is None:
        raise RecipeError("the source 'folders' needs 'data.images' and 'data.masks', a folder each")
    return list_folders(data.images, data.masks, data.query, data.task, shared_masks=True).require_complete()[
        : data.count
    ]


def _dataset(data: Data) -> Sequence[Sample]:
    names = list(dict.fromkeys(name.strip() for name in (data.name or "").split(",")))
    if "" in names or data.root is None:
        raise RecipeError("the source 'dataset' needs 'data.name', such as 'cod10k, camo', and 'data.root', a folder")
    if len(names) == 1 and names[0] in (OWN, *FORMATS):
        return _own_data(data, data.root, names[0]).require_complete()[: data.count]
    if not Path(data.root).is_dir():
        raise DataError(f"there is no folder '{data.root}', the 'data.root' of the recipe")
    joined = JoinedSamples([load_dataset(name, data.split, data.root, encoding=data.encoding) for name in names])
    return joined[: data.count]


def _own_data(data: Data, root: str, name: str) -> Listing:
    query = "" if data.query == MAIN else data.query  # what is asked where nobody says; tables and COCO have words
    folders = data.images or "", data.masks or "", data.annotations or ""
    return load_own(OwnData(root, query, data.split, *folders, data.encoding, name))


def _worked(data: Data) -> Sequence[Sample]:
    if data.rows is None:
        raise RecipeError("the source 'worked' needs 'data.rows', a file of worked answers or a folder of such files")
    samples = load_worked(data.rows, None if data.frame is None else Size(data.frame, data.frame), data.encoding)
    return samples[: data.count]


def _own(_: object, name: str) -> Source:
    return lambda data: load_source(name, data.options, data.split, RecipeError)[: data.count]


SOURCES: Mapping[str, Source] = {
    "scenes": _scenes,
    "folders": _folders,
    "dataset": _dataset,
    "worked": _worked,
}


class JoinedSamples(LazySamples):
    """Samples of several data sets, one after the other; each is read when it is asked for."""

    def __init__(self, data_sets: Sequence[Sequence[Sample]]) -> None:
        self._data_sets = data_sets
        self._ends = list(accumulate(map(len, data_sets)))

    def __len__(self) -> int:
        return self._ends[-1]

    def name_of(self, index: int) -> str:
        """What an error calls a sample."""
        samples, place = self.within(index)
        return samples.name_of(place) if isinstance(samples, LazySamples) else f"sample {index}"

    def read(self, index: int) -> Sample:
        """Read a sample of the data set that it is in."""
        samples, place = self.within(index)
        sample: Sample = samples[place]
        return sample

    def within(self, index: int) -> tuple[Sequence[Any], int]:
        """The data set that a sample is in, and its place in there."""
        number = bisect_right(self._ends, index)
        return self._data_sets[number], index - (self._ends[number - 1] if number else 0)
