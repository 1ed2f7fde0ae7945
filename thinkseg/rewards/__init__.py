"""Rewards: how good a completion is, part by part, and the seam through which TRL asks."""

from thinkseg.rewards.published import PUBLISHED, PublishedRewards, published_rewards
from thinkseg.rewards.reward_input import Part, RewardInput, Scores, Truth, each, objects_from_record, truth_from_row
from thinkseg.rewards.rubric import PARTS, RewardFunction, Rubric, share_abstentions, share_parse_failures

__all__ = [
    "PARTS",
    "PUBLISHED",
    "Part",
    "PublishedRewards",
    "RewardFunction",
    "RewardInput",
    "Rubric",
    "Scores",
    "Truth",
    "each",
    "objects_from_record",
    "published_rewards",
    "share_abstentions",
    "share_parse_failures",
    "truth_from_row",
]
