"""Rewards: how good a completion is, part by part, and the seam through which TRL asks."""

from thinkseg.rewards.part import RewardPart, Scores, reward
from thinkseg.rewards.parts import PARTS, get_part
from thinkseg.rewards.published import PUBLISHED, PublishedRewards, published_rewards
from thinkseg.rewards.reward_input import RewardInput, Truth, objects_from_record, truth_from_row
from thinkseg.rewards.rubric import Rubric
from thinkseg.rewards.trainer_batch import RewardFunction, share_abstentions, share_parse_failures

__all__ = [
    "PARTS",
    "PUBLISHED",
    "PublishedRewards",
    "RewardFunction",
    "RewardInput",
    "RewardPart",
    "Rubric",
    "Scores",
    "Truth",
    "get_part",
    "objects_from_record",
    "published_rewards",
    "reward",
    "share_abstentions",
    "share_parse_failures",
    "truth_from_row",
]
