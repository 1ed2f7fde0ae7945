"""Where masks of several classes lie: in Pascal VOC's folders, or in a folder of masks with a class map near it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from thinkseg.data.discovery.tree import IMAGE_WORDS, MASK_WORDS, Tree, has_images
from thinkseg.data.listing import Listing
from thinkseg.data.readers.class_maps import MAP_FILES, VOC, read_class_map
from thinkseg.data.readers.class_masks import list_class_masks
from thinkseg.data.text import read_text
from thinkseg.errors import DataError

_BESIDE = ("ImageSets", "SegmentationObject", "Annotations", *MAP_FILES)
_CLASSES, _OBJECTS, _SETS = "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"


def find_voc(root: Path, encoding: str = "") -> Path | None:
    """The folder that ``SegmentationClass`` lies in, with masks; the first one below the root; or None.

    Something else of Pascal VOC, or a class map, has to lie beside it: such a folder may have masks of two values, too.
    """
    del encoding
    folders = Tree(root).find(_CLASSES) if root.is_dir() else iter(())
    found = (folder.parent for folder in folders if has_images(folder))
    return next((place for place in found if any((place / name).exists() for name in _BESIDE)), None)


def list_voc(folder: Path, query: str, images: Path | None, encoding: str) -> Mapping[str, Listing]:
    """The splits that ``ImageSets/Segmentation`` lists; "all" where there is no such folder.

    Raises:
        DataError: there is no folder of images, or a list is in another encoding.
    """
    shown = images or Tree(folder).named(folder, IMAGE_WORDS, depth=1)
    if shown is None:
        raise DataError(
            f"found '{folder / _CLASSES}' and no folder 'JPEGImages' or 'images' beside it: say where the images are, "
            "with '--images'"
        )
    map_file = next((folder / name for name in MAP_FILES if (folder / name).is_file()), None)
    classes = VOC if map_file is None else read_class_map(map_file, encoding)
    lists = sorted((folder / _SETS).glob("*.txt"))
    lists = [file for file in lists if file.stem != "trainval" or len(lists) == 1]  # the two others together
    splits: dict[str, list[str] | None] = {file.stem: _stems(file, encoding) for file in lists}
    if not splits or list(splits) == ["default"]:
        splits = {"all": splits.get("default")}
    objects = folder / _OBJECTS if (folder / _OBJECTS).is_dir() else None
    return {
        split: list_class_masks(
            shown,
            folder / _CLASSES,
            classes,
            query,
            objects=objects,
            only=only,
            name=f"{folder.absolute().name} {split}",
        )
        for split, only in splits.items()
    }


def _stems(file: Path, encoding: str) -> list[str]:
    return [line.split()[0] for line in read_text(file, encoding).splitlines() if line.strip()]


def find_colours(root: Path, encoding: str = "") -> Path | None:
    """A class map with masks near it: in the root or one of its folders, or the one that is named; or None."""
    del encoding
    if root.is_file():
        return root if root.name in MAP_FILES and _pairs_near(root) else None
    if find_voc(root) is not None:
        return None  # it has a class map of its own
    places = [root, *(folder for folder in sorted(root.iterdir()) if folder.is_dir())]
    files = (folder / name for folder in places for name in MAP_FILES)
    return next((file for file in files if file.is_file() and _pairs_near(file)), None)


def list_colours(file: Path, query: str, images: Path | None, encoding: str) -> Mapping[str, Listing]:
    """The masks that a class map is about: below its folder; each pair of folders called as a split is one.

    Raises:
        DataError: there are no masks, or the map is not as expected.
    """
    pairs = _pairs_near(file)
    if not pairs:
        raise DataError(
            f"found no images and masks below '{file.parent}', which '{file.name}' names the classes of: they lie in "
            "folders such as 'images' and 'masks'"
        )
    classes = read_class_map(file, encoding)
    return {
        split: list_class_masks(images or shown, drawn, classes, query, name=f"{file.parent.absolute().name} {split}")
        for split, (shown, drawn) in pairs.items()
    }


_SPLITS = ("train", "val", "valid", "test")
_ENDS = ("_labels", "annot", "_masks")
"""What CamVid's folders of masks are called behind the name of the split."""


def _pairs_near(file: Path) -> Mapping[str, tuple[Path, Path]]:
    """The masks that a class map is about: of all splits where it lies in the folder of one, as Roboflow has them."""
    folder = file.parent
    return _pairs(folder.parent if folder.name in _SPLITS else folder)


def _pairs(folder: Path) -> Mapping[str, tuple[Path, Path]]:
    """Folders of images and masks by their splits, "all" where there is one pair.

    ``images/train`` with ``masks/train``; ``train/images`` with ``train/masks``; ``train`` with ``train_labels``
    (CamVid); ``train/a.jpg`` beside ``train/a_mask.png`` (Roboflow); or any of these without splits.
    """
    splits = {one: pair for one in _SPLITS if (pair := _called(folder, one) or _inside(folder / one)) is not None}
    if splits:
        return splits
    pair = _inside(folder)
    if pair is None:
        return {}
    shown, drawn = pair
    inside = [one for one in _SPLITS if (shown / one).is_dir() and (drawn / one).is_dir()]
    return {one: (shown / one, drawn / one) for one in inside} or {"all": pair}


def _called(folder: Path, split: str) -> tuple[Path, Path] | None:
    drawn = next((place for end in _ENDS if (place := folder / f"{split}{end}").is_dir()), None)
    return (folder / split, drawn) if drawn is not None and (folder / split).is_dir() else None


def _inside(folder: Path) -> tuple[Path, Path] | None:
    """The images and the masks of a folder."""
    if not folder.is_dir():
        return None
    tree = Tree(folder)
    shown, drawn = tree.named(folder, IMAGE_WORDS, depth=2), tree.named(folder, MASK_WORDS, depth=2)
    if shown is not None and drawn is not None:
        return shown, drawn
    return (folder, folder) if next(folder.glob("*_mask.png"), None) is not None else None
