"""In which order samples are trained on: each on its own, or those about one image next to one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from thinkseg.data.listing import Listing
from thinkseg.data.samples import LazySamples
from thinkseg.data.synthetic.scenes import Scenes
from thinkseg.imaging import content_key
from thinkseg.training.checkpoints import warn
from thinkseg.training.config import Recipe
from thinkseg.training.rows import Schedule, read_named
from thinkseg.types import Sample


def create_schedule(recipe: Recipe, samples: Sequence[Sample]) -> Schedule:
    """Which sample each row of a run shows, as the recipe says it under `data.shuffle`."""
    from thinkseg.training.runs import is_main_process  # which imports what holds samples out by their images

    together = places_by_image(samples) if recipe.data.shuffle == "images" else None
    if together is not None and len(together) == len(samples) and is_main_process():
        warn(
            f"'data.shuffle: images' keeps nothing together: each of the {len(samples):,} samples has an image of its "
            "own; it needs data with several samples about an image"
        )
    return Schedule(len(samples), recipe.seed, bool(recipe.data.shuffle), together)


def places_by_image(samples: Sequence[Sample]) -> list[list[int]]:
    """For each image the places of the samples about it, in their order.

    Args:
        samples: each is asked for once, unless its listing knows its image, or it is a scene, which has one of its own;
            no image on disk is decoded.
    """
    by_image: dict[object, list[int]] = {}
    for place in range(len(samples)):
        by_image.setdefault(_image_of(samples, place), []).append(place)
    return list(by_image.values())


def _image_of(samples: Sequence[Sample], place: int) -> object:
    """Equal for samples about one image: its file, or its content where it is in memory."""
    while isinstance(samples, LazySamples) and (within := samples.within(place)) is not None:
        samples, place = within
    if isinstance(samples, Scenes):
        return id(samples), place
    if isinstance(samples, Listing) and not samples.embedded:
        return str(samples.entry(place).image)
    image = read_named(samples, place).image
    return content_key(image) if isinstance(image, Image.Image) else str(Path(image))
