"""Which samples are trained on, and which are held out to validate on: never an image in both.

By `Validation` of a recipe they are data of their own, another part of the same source, or a share of the images that
is split off here. Scenes are endless: they are validated on other scenes of the same things, and lose none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thinkseg.data.samples import LazySamples
from thinkseg.errors import DataError, RecipeError
from thinkseg.training.config import Recipe
from thinkseg.training.ordering import places_by_image
from thinkseg.training.sections import Data, Validation
from thinkseg.types import Sample

SHARE = 0.1
"""Of the images that is held out where the recipe validates and does not say on what."""
OTHER_SCENES = 1_000_003
"""Added to the seed of the scenes that are trained on: those that are validated on are other ones."""

LoadSamples = Callable[[Data], Sequence[Sample]]
"""As `thinkseg.training.sources.load_samples`."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The samples of a run."""

    train: Sequence[Sample]
    validation: Sequence[Sample]
    """None where the recipe does not validate."""
    told: str = ""
    """Where those to validate on come from, in words."""


class SamplesAt(LazySamples):
    """Samples at given places of others, in the order of the places.

    Args:
        samples: the others.
        places: in there.
    """

    def __init__(self, samples: Sequence[Sample], places: Sequence[int]) -> None:
        self._samples = samples
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def name_of(self, index: int) -> str:
        """What an error calls a sample."""
        place = self._places[index]
        return self._samples.name_of(place) if isinstance(self._samples, LazySamples) else f"sample {place}"

    def within(self, index: int) -> tuple[Sequence[Sample], int]:
        """The samples of which a sample is one, and its place there."""
        return self._samples, self._places[index]

    def read(self, index: int) -> Sample:
        """Read a sample."""
        sample: Sample = self._samples[self._places[index]]
        return sample


def hold_out(
    recipe: Recipe,
    load: LoadSamples,
    given: Sequence[Sample] | HeldOut | None = None,
) -> HeldOut:
    """Load the samples of a recipe and hold out those to validate on.

    Args:
        recipe: what it says under `data` and `validation`.
        load: loads samples.
        given: samples to train on in place of the recipe's, or those and the ones to validate on.

    Raises:
        InputError: data cannot be used.
        RecipeError: none would be left to train on.
    """
    settings = recipe.validation
    if isinstance(given, HeldOut):
        count = 0 if settings is None else settings.samples
        return HeldOut(given.train, spread(given.validation, count) if count else (), given.told)
    samples = load(recipe.data) if given is None else given
    if settings is None:
        return HeldOut(samples, ())
    if settings.data is not None:
        return HeldOut(samples, spread(load(settings.data), settings.samples), "data of their own")
    if settings.split is not None:
        if given is not None:
            raise RecipeError(
                "'validation.split' names another part of the recipe's data, and these were given in the call: give "
                "'validation.data' or 'validation.share'"
            )
        if settings.split == recipe.data.split:
            raise RecipeError(f"'validation.split' should be another one than is trained on, found '{settings.split}'")
        held_out = load(recipe.data.replaced(split=settings.split))
        return HeldOut(samples, spread(held_out, settings.samples), f"the split '{settings.split}'")
    if given is None and recipe.data.source == "scenes" and settings.share is None:
        held_out = load(_other_scenes(recipe.data, settings))
        return HeldOut(samples, held_out, "other scenes of the same things")
    share = SHARE if settings.share is None else settings.share
    train, kept = split_off(samples, share, settings.seed)
    told = f"{share:g} of the images, drawn by seed {settings.seed}"
    return HeldOut(SamplesAt(samples, train), spread(SamplesAt(samples, kept), settings.samples), told)


def _other_scenes(data: Data, settings: Validation) -> Data:
    seed = (data.seed + OTHER_SCENES + settings.seed) % 2**32
    return data.replaced(seed=seed, count=settings.samples)


def spread(samples: Sequence[Sample], count: int) -> Sequence[Sample]:
    """So many samples at most, spread evenly over all, in their order."""
    return SamplesAt(samples, even_places(len(samples), count))


def even_places(total: int, count: int) -> list[int]:
    """So many places at most, spread evenly over so many, the first and the last among them.

    >>> even_places(9, 3), even_places(2, 3)
    ([0, 4, 8], [0, 1])
    """
    places: list[int] = np.linspace(0, total - 1, min(total, count)).round().astype(int).tolist()
    return places


def split_off(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Split samples by image.

    Args:
        samples: each is asked for once, unless its listing knows its image; no image on disk is decoded.
        share: of the images that is held out; at least one is, and at least one is not.
        seed: of the draw.

    Returns:
        The places of those to train on and of those that are held out, in their order.

    Raises:
        DataError: there are not two different images.
    """
    images = places_by_image(samples)
    if len(images) < 2:
        raise DataError(
            f"the recipe validates on images that it does not train on, and there is only one image in {len(samples)} "
            "samples: give 'validation.data', or leave 'validation' out"
        )
    count = min(max(1, round(share * len(images))), len(images) - 1)
    drawn = set(np.random.default_rng(seed).permutation(len(images))[:count].tolist())
    held_out = sorted(place for number in drawn for place in images[number])
    return sorted(set(range(len(samples))).difference(held_out)), held_out
