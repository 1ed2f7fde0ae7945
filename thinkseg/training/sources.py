"""Where a recipe's samples come from, one builder each. To add a source: write a builder, add a line to the table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

from thinkseg.data.finding import load_dataset
from thinkseg.data.scenes import load_scenes
from thinkseg.errors import DataError, RecipeError
from thinkseg.imaging import PICTURE_SUFFIXES, load_mask
from thinkseg.training.config import Data
from thinkseg.types import Sample

SCENES_PER_EPOCH = 10_000
"""Scenes are endless; so many make an epoch where the recipe does not say."""


def load_samples(data: Data) -> Sequence[Sample]:
    """The samples of a recipe, read or composed one by one when they are asked for.

    Raises:
        RecipeError: there is no such source, or the settings do not suit it.
        DataError: the data are missing.
    """
    if data.source not in SOURCES:
        raise RecipeError(f"'data.source' should be one of {', '.join(SOURCES)}, found '{data.source}'")
    samples = SOURCES[data.source](data)
    if not len(samples):
        raise DataError(f"the source '{data.source}' has no samples to train on")
    return samples


def _scenes(data: Data) -> Sequence[Sample]:
    options = {"tasks": data.tasks, "size": data.size}
    count = SCENES_PER_EPOCH if data.count is None else data.count
    return load_scenes(data.split, count, data.seed, **{k: v for k, v in options.items() if v is not None})  # type: ignore[arg-type]


def _folders(data: Data) -> Sequence[Sample]:
    if data.images is None or data.masks is None:
        raise RecipeError("the source 'folders' needs 'data.images' and 'data.masks', a folder each")
    pairs = _paired(Path(data.images), Path(data.masks))
    return FolderSamples(pairs[: data.count], data.query, data.task)


def _dataset(data: Data) -> Sequence[Sample]:
    names = list(dict.fromkeys(name.strip() for name in (data.name or "").split(",")))
    if "" in names or data.root is None:
        raise RecipeError("the source 'dataset' needs 'data.name', such as 'cod10k, camo', and 'data.root', a folder")
    if not Path(data.root).is_dir():
        raise DataError(f"there is no folder '{data.root}', the 'data.root' of the recipe")
    listings = [load_dataset(name, data.split, data.root) for name in names]
    places = [(listing, index) for listing in listings for index in range(len(listing))]
    return JoinedSamples(places[: data.count])


SOURCES: Mapping[str, Callable[[Data], Sequence[Sample]]] = {
    "scenes": _scenes,
    "folders": _folders,
    "dataset": _dataset,
}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class JoinedSamples(Sequence[Sample]):
    """Samples of several data sets, one after the other; each is read when it is asked for."""

    places: Sequence[tuple[Sequence[Sample], int]]
    """(data set, which of its samples)."""

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> JoinedSamples: ...
    def __getitem__(self, index: int | slice) -> Sample | JoinedSamples:
        if isinstance(index, slice):
            return JoinedSamples(self.places[index])
        data_set, within = self.places[index]
        return data_set[within]


@dataclasses.dataclass(frozen=True, slots=True)
class FolderSamples(Sequence[Sample]):
    """Pictures and masks that lie in two folders; a mask is read when its sample is asked for."""

    pairs: Sequence[tuple[Path, Path]]
    """(picture, mask)."""
    query: str
    task: str = ""

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> FolderSamples: ...
    def __getitem__(self, index: int | slice) -> Sample | FolderSamples:
        if isinstance(index, slice):
            return dataclasses.replace(self, pairs=self.pairs[index])
        picture, mask = self.pairs[index]
        return Sample(id=picture.stem, image=picture, query=self.query, target=load_mask(mask), task=self.task)


def _paired(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Pictures with their masks, by name without suffix, in the order of their names."""
    mask_of = {path.stem.lower(): path for path in _pictures(masks)}
    pairs = []
    for picture in _pictures(images):
        mask = mask_of.get(picture.stem.lower())
        if mask is None:
            raise DataError(f"the picture '{picture}' has no mask of its name in '{masks}'")
        pairs.append((picture, mask))
    return pairs


def _pictures(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise DataError(f"there is no folder '{folder}'")
    yield from sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
