"""Let a processor make the pixels of an image once, however many prompts of a batch show it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image

from thinkseg.imaging import content_key


@contextmanager
def images_processed_once(processor: Any) -> Iterator[None]:
    """While this is open, the processor resizes and cuts equal images of a call once; what it gives stays the same.

    Args:
        processor: of a multimodal model. One whose images do not come as patches with their grid, as in the Qwen
            families, works as before.
    """
    images_of: Any = getattr(processor, "image_processor", None)
    if not hasattr(images_of, "merge_size"):
        yield
        return
    process = images_of.preprocess

    def process_distinct(images: Any, *unnamed: Any, **options: Any) -> Any:
        flat = _flat(images)
        if flat is None or unnamed or options.get("return_tensors", "pt") != "pt":
            return process(images, *unnamed, **options)
        keys = {number: content_key(image) for number, image in {id(image): image for image in flat}.items()}
        first: dict[object, int] = {}
        position = [first.setdefault(keys[id(image)], len(first)) for image in flat]
        if len(first) == len(flat):
            return process(images, **options)
        output = process([flat[position.index(place)] for place in range(len(first))], **options)
        for name, value in _spread(output, position).items():
            output[name] = value
        return output

    outer = vars(images_of).get("preprocess")
    images_of.preprocess = process_distinct
    try:
        yield
    finally:
        if outer is None:
            del images_of.preprocess
        else:
            images_of.preprocess = outer


def _flat(images: Any) -> list[Image.Image] | None:
    """Images one behind the other as they come in lists, None where anything else is among them."""
    if isinstance(images, Image.Image):
        return [images]
    if not isinstance(images, list | tuple):
        return None
    flat: list[Image.Image] = []
    for each in images:
        own = _flat(each)
        if own is None:
            return None
        flat += own
    return flat


def _spread(output: Any, position: list[int]) -> dict[str, torch.Tensor]:
    """Patches and grids of distinct images as those of all images."""
    grids = output["image_grid_thw"]
    patches = output["pixel_values"].split(grids.prod(-1).tolist())
    return {"pixel_values": torch.cat([patches[place] for place in position]), "image_grid_thw": grids[position]}
