"""Images and masks between files and memory.

An image becomes a PIL image in RGB, turned as its EXIF says. A mask becomes a boolean array (height, width). Files
that are missing, broken, of another kind or too large raise an `ImageError` that names them.
"""

from thinkseg.imaging.ahead import ImagesAhead
from thinkseg.imaging.images import IMAGE_SUFFIXES, content_key, find_images, load_image, shown_image
from thinkseg.imaging.levels import NotAMaskError
from thinkseg.imaging.masks import (
    MaskFile,
    load_map,
    load_mask,
    mask_image,
    read_mask,
    resize_mask,
    save_mask,
    size_difference,
)
from thinkseg.imaging.opening import FORMATS, MAX_PIXELS, ImageFile, OversizeError, Source, peek, read_header
from thinkseg.imaging.run_lengths import RunLengths, mask_from_rle, rle_from_mask

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "ImageFile",
    "ImagesAhead",
    "MaskFile",
    "NotAMaskError",
    "OversizeError",
    "RunLengths",
    "Source",
    "content_key",
    "find_images",
    "load_image",
    "load_map",
    "load_mask",
    "mask_from_rle",
    "mask_image",
    "peek",
    "read_header",
    "read_mask",
    "resize_mask",
    "rle_from_mask",
    "save_mask",
    "shown_image",
    "size_difference",
]
