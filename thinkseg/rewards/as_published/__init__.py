"""The parts of the published rewards with exactly the values of the published functions: ``rewards: published``.

The parts of the same names in `thinkseg.rewards.PARTS` agree with them but for the cases that `docs/rewards.md` lists.
"""

from collections.abc import Mapping

from thinkseg.rewards.as_published import seg_r1, seg_zero, vision_reasoner
from thinkseg.rewards.part import RewardPart

AS_PUBLISHED: Mapping[str, Mapping[str, RewardPart]] = {
    "seg-r1": seg_r1.BOXES,
    "seg-r1-points": seg_r1.POINTS,
    "seg-zero": seg_zero.STRICT,
    "seg-zero-soft": seg_zero.SOFT,
    "vision-reasoner": vision_reasoner.PARTS,
}
"""By the name of an answer format its parts, by their names."""

__all__ = ["AS_PUBLISHED"]
