"""Instances in COCO's JSON: a sample asks for all objects of one category in one picture.

Also what RefCOCO shares with it: the file of instances, and the check that its pictures are there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.data.polygons import Segmentation, mask_from_segmentation, stacked
from thinkseg.errors import DataError, ImageError
from thinkseg.types import Mask, Sample, Size


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a file of instances knows."""

    file: str
    size: Size


@dataclass(frozen=True, slots=True)
class Instance:
    """An object that a file of instances knows."""

    picture: int
    category: int
    segmentation: Segmentation
    crowd: bool
    """Whether it stands for a crowd that was not told apart."""


@dataclass(frozen=True, slots=True)
class Instances:
    """A file of instances: pictures, objects and the names of categories, each by its number."""

    file: Path
    pictures: Mapping[int, Picture]
    objects: Mapping[int, Instance]
    categories: Mapping[int, str]


class CocoListing(Listing):
    """One sample per picture and category; use `list_coco` to make one.

    Objects that are marked as crowds are to be ignored: they count neither way.
    """

    def __init__(self, name: str, images: Path, instances: Instances, query: str, faults: Sequence[Fault]) -> None:
        self.name = name
        self.folder = images
        self.faults = faults
        self._instances = instances
        self._query = query
        groups: dict[tuple[int, int], list[int]] = {}
        for number, instance in instances.objects.items():
            if instance.picture in instances.pictures and instance.category in instances.categories:
                groups.setdefault((instance.picture, instance.category), []).append(number)
        told = {key: numbers for key, numbers in groups.items() if not all(self._crowd(number) for number in numbers)}
        self._groups = sorted(told.items())

    @property
    def pictures(self) -> int:
        """How many pictures the file knows, those without objects included."""
        return len(self._instances.pictures)

    def __len__(self) -> int:
        return len(self._groups)

    def entry(self, index: int) -> Entry:
        """Where a sample lies."""
        (picture_number, category), _ = self._groups[index]
        picture = self._instances.pictures[picture_number]
        return Entry(
            f"{picture_number}-{category}",
            self._query.format(self._instances.categories[category]),
            self.folder / picture.file,
            f"{self._instances.file}: category {category} in picture {picture_number}",
        )

    def read(self, index: int) -> Sample:
        """Draw the masks of a picture's objects of one category."""
        (picture_number, _), numbers = self._groups[index]
        size = self._instances.pictures[picture_number].size
        masks = {number: mask_of(self._instances, number) for number in numbers}
        instances = stacked([mask for number, mask in masks.items() if not self._crowd(number)], size)
        crowd: Mask = np.logical_or.reduce(
            stacked([mask for number, mask in masks.items() if self._crowd(number)], size), axis=0
        )
        target: Mask = np.logical_or.reduce(instances, axis=0)
        entry = self.entry(index)
        return Sample(
            id=entry.id,
            image=entry.image,
            query=entry.query,
            target=target,
            ignore=crowd & ~target if crowd.any() else None,
            instances=instances,
            task="instances",
        )

    def _crowd(self, number: int) -> bool:
        return self._instances.objects[number].crowd


def list_coco(annotations: Path | str, images: Path | str, query: str = "{}", *, name: str = "") -> CocoListing:
    """List instances in COCO's format.

    Args:
        annotations: the JSON file.
        images: the folder of its pictures.
        query: what is asked, with ``{}`` for the name of the category.
        name: of the data set, for messages.

    Raises:
        DataError: the file or the folder is missing or not as expected.
    """
    instances = load_instances(Path(annotations))
    faults = [
        Fault(FaultKind.BAD_RECORD, f"{instances.file}: annotation {number}", f"its {what} is not in the file")
        for number, instance in instances.objects.items()
        for what, known in (
            (f"picture {instance.picture}", instance.picture in instances.pictures),
            (f"category {instance.category}", instance.category in instances.categories),
        )
        if not known
    ]
    faults += missing_pictures(Path(images), (picture.file for picture in instances.pictures.values()))
    return CocoListing(name or Path(annotations).stem, Path(images), instances, query, faults)


def load_instances(file: Path) -> Instances:
    """Read a file of instances.

    Raises:
        DataError: it is missing, no JSON, or lacks one of COCO's fields; the message names the field.
    """
    try:
        content = json.loads(file.read_bytes())
        pictures = {
            int(row["id"]): Picture(str(row["file_name"]), Size(int(row["width"]), int(row["height"])))
            for row in content["images"]
        }
        objects = {
            int(row["id"]): Instance(
                int(row["image_id"]), int(row["category_id"]), row["segmentation"], bool(row.get("iscrowd"))
            )
            for row in content["annotations"]
        }
        categories = {int(row["id"]): str(row["name"]) for row in content["categories"]}
    except FileNotFoundError as error:
        raise DataError(f"expected a file of COCO instances at '{file}', found none") from error
    except KeyError as error:
        raise DataError(f"'{file}' should be a file of COCO instances; it or one of its rows lacks {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"'{file}' should be a file of COCO instances and cannot be read as one ({error})") from error
    return Instances(file, pictures, objects, categories)


def missing_pictures(folder: Path, files: Iterable[str]) -> list[Fault]:
    """A fault for every file that is not in the folder.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"expected a folder of pictures at '{folder}', found none")
    present: dict[str, set[str]] = {}
    faults = []
    for file in files:
        below, _, name = file.rpartition("/")
        if below not in present:
            inside = folder / below
            present[below] = set(os.listdir(inside)) if inside.is_dir() else set()
        if name not in present[below]:
            faults.append(Fault(FaultKind.MISSING_PICTURE, str(folder / file)))
    return faults


def mask_of(instances: Instances, number: int) -> Mask:
    """The mask of one object.

    Raises:
        DataError: its segmentation cannot be drawn; the message names file and annotation.
    """
    instance = instances.objects[number]
    try:
        return mask_from_segmentation(instance.segmentation, instances.pictures[instance.picture].size)
    except (ImageError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"annotation {number} in '{instances.file}' cannot be drawn: {error}") from error
