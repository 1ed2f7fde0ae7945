"""The published rewards as rubrics: an answer format and the weights of its parts."""

from collections.abc import Mapping
from dataclasses import dataclass

from thinkseg.answers.base import TOLERANT
from thinkseg.errors import RecipeError


@dataclass(frozen=True, slots=True)
class PublishedRewards:
    """What one method rewards."""

    format: str
    """A name in `thinkseg.answers.FORMATS`."""
    weights: Mapping[str, float]
    """Weight of each part, by its name in `thinkseg.rewards.PARTS`."""


_FIVE_TERMS = {"think_format": 1.0, "answer_format": 1.0, "box_iou": 1.0, "box_l1": 1.0, "points": 1.0}

PUBLISHED: dict[str, PublishedRewards] = {
    "seg-r1": PublishedRewards("seg-r1", {"segment": 1.0, "format": 1.0}),
    "seg-r1-prerl": PublishedRewards("seg-r1-points", {"segment": 1.0, "format": 1.0}),
    "seg-zero": PublishedRewards("seg-zero", _FIVE_TERMS),
    "seg-zero-soft": PublishedRewards("seg-zero-soft", _FIVE_TERMS),
    "vision-reasoner": PublishedRewards("vision-reasoner", {"format": 1.0, "accuracy": 1.0, "non_repeat": 1.0}),
}
"""By name. Totals go to 2 for Seg-R1, to 5 for Seg-Zero and to 7 for VisionReasoner."""


def published_rewards(name: str) -> PublishedRewards:
    """The published rewards of that name, or those that belong to the answer format of that name.

    Raises:
        RecipeError: there are none.
    """
    plain = name.removesuffix(TOLERANT).removesuffix("-published")
    for known, rewards in PUBLISHED.items():
        if plain in (known, rewards.format):
            return rewards
    raise RecipeError(
        f"there are no published rewards '{name}': choose one of {', '.join(PUBLISHED)}, or a recipe file"
    )
