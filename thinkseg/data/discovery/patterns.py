"""Where the files of a split lie, as patterns of folders' names; `thinkseg.data.discovery.tree` looks for them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DirectoryPattern:
    """Where the images and masks of a split may lie."""

    root: str
    """Pattern of the folder that holds both."""
    images: str = ""
    """Pattern of the folder of images, from the root on; when empty, it is found by its name (`tree.IMAGE_WORDS`)."""
    masks: str = ""
    """The same for masks (`tree.MASK_WORDS`)."""
