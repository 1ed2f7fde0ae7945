"""Rewards: how good a completion is, part by part, and the seam through which TRL asks."""

from thinkseg.rewards.case import Case, Part, Scores, Truth, each, objects_from_record, truth_from_row
from thinkseg.rewards.published import PUBLISHED, PublishedRewards, published_rewards
from thinkseg.rewards.rubric import PARTS, RewardFunction, Rubric, share_refusals, share_unreadable

__all__ = [
    "PARTS",
    "PUBLISHED",
    "Case",
    "Part",
    "PublishedRewards",
    "RewardFunction",
    "Rubric",
    "Scores",
    "Truth",
    "each",
    "objects_from_record",
    "published_rewards",
    "share_refusals",
    "share_unreadable",
    "truth_from_row",
]
