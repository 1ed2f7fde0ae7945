"""What tools for annotation write, found by looking at a folder or named by hand. To add a format, add a record.

A format is recognised by files that no other one has: by names, and by the keys inside a file where names are anyone's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from thinkseg.data.discovery.class_folders import find_colours, find_voc, list_colours, list_voc
from thinkseg.data.discovery.coco_folders import find_coco, list_coco_folder
from thinkseg.data.listing import Listing
from thinkseg.data.readers.class_maps import MAP_FILES
from thinkseg.data.readers.cvat import find_cvat, list_cvat
from thinkseg.data.readers.label_studio import find_label_studio, list_label_studio
from thinkseg.data.readers.labelme import find_labelme, list_labelme
from thinkseg.data.readers.results import find_results, list_results
from thinkseg.data.readers.yolo import find_yolo, list_yolo
from thinkseg.errors import DataError


@dataclass(frozen=True, slots=True)
class Told:
    """How data of one's own are to be read."""

    query: str = ""
    """What is asked, with ``{}`` for the name of the class; the format's own words when empty."""
    images: Path | None = None
    """The folder of images, where it is told."""
    encoding: str = ""
    """Of the texts, where it is not UTF-8."""
    named: bool = False
    """Whether the user has said which format it is, and so that the folder is theirs."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way in which masks lie on disk."""

    name: str
    """By which it is named by hand."""
    title: str
    recognised_by: str
    """In words, for documentation and for the message that it was not found."""
    find: Callable[[Path, str], Path | None]
    """The file or folder that shows that it is there, given a folder, or such a file, and the encoding; or None."""
    read: Callable[[Path, Told], Mapping[str, Listing]]
    """The splits, "all" where there are none, from what `find` gave."""
    masks_are_its_own: bool = False
    """Whether its masks lie in a folder that would be taken for masks of two values."""
    by_a_model: bool = False
    """Whether a model has made its masks, so that others that lie beside them are the truth."""


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format(
            "coco-json",
            "COCO instances",
            "a JSON file with 'images', 'annotations' and 'categories' in the folder, in 'annotations', or as "
            "'_annotations.coco.json' in the folder of a split",
            find_coco,
            lambda found, told: list_coco_folder(found, told.query, told.images, told.encoding),
        ),
        Format(
            "yolo",
            "YOLO polygons",
            "a YAML file with 'names' and 'train' or 'val', or 'classes.txt' or 'obj.names' beside a folder 'labels'",
            find_yolo,
            lambda found, told: list_yolo(found, told.query, encoding=told.encoding),
        ),
        Format(
            "labelme",
            "labelme's JSON files",
            "JSON files with 'shapes' and 'imagePath'",
            find_labelme,
            lambda found, told: _one(list_labelme(found, told.query, images=told.images, encoding=told.encoding)),
        ),
        Format(
            "label-studio",
            "an export of Label Studio",
            "a JSON file with a list of tasks (the exports 'JSON' and 'JSON-MIN')",
            find_label_studio,
            lambda found, told: _one(list_label_studio(found, told.query, images=told.images, encoding=told.encoding)),
        ),
        Format(
            "cvat",
            "an export of CVAT",
            "an XML file of <annotations> (the export 'CVAT for images 1.1')",
            find_cvat,
            lambda found, told: list_cvat(found, told.query, images=told.images),
        ),
        Format(
            "voc",
            "Pascal VOC's masks",
            "a folder 'SegmentationClass', with 'ImageSets', 'SegmentationObject' or a class map beside it",
            find_voc,
            lambda found, told: list_voc(found, told.query, told.images, told.encoding),
            masks_are_its_own=True,
        ),
        Format(
            "colours",
            "masks by colour",
            f"a class map ({', '.join(MAP_FILES[:5])}, …) beside folders of images and masks",
            find_colours,
            lambda found, told: list_colours(found, told.query, told.images, told.encoding),
            masks_are_its_own=True,
        ),
        Format(
            "results",
            "results of 'thinkseg segment'",
            "'NAME.mask.png' beside 'NAME.json'",
            find_results,
            lambda found, told: _one(list_results(found, images=told.images, confined=not told.named)),
            by_a_model=True,
        ),
    )
}


def find_format(root: Path, told: Told, name: str = "") -> tuple[Format, Mapping[str, Listing]] | None:
    """The format and the splits of data in one of the formats, or None where it is none.

    Args:
        root: a folder, or the file that holds the annotations.
        told: how it is to be read.
        name: of the format; when empty, each is looked for.

    Raises:
        DataError: the format that is named is not there, several are, or it cannot be listed.
    """
    if name and root.is_file():
        return FORMATS[name], FORMATS[name].read(root, told)
    wanted = [FORMATS[name]] if name else list(FORMATS.values())
    found = [(one, place) for one in wanted if (place := one.find(root, told.encoding)) is not None]
    if len(found) > 1:
        found = [(one, place) for one, place in found if not one.by_a_model]
    if len(found) > 1:
        places = ", ".join(f"{one.name} ('{place}')" for one, place in found)
        raise DataError(f"found data of several formats in '{root}': say which is meant with '--dataset', of {places}")
    if not found:
        if name:
            raise DataError(f"found no {FORMATS[name].title} in '{root}': expected {FORMATS[name].recognised_by}")
        return None
    ((one, place),) = found
    return one, one.read(place, told)


def _one(listing: Listing) -> Mapping[str, Listing]:
    return {"all": listing}
