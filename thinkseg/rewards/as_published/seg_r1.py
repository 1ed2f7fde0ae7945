"""Seg-R1's rewards with the values of its published functions, those of RL and those of pre-RL.

The S-measure there takes a true mask of 0 and 1 for one of 0 to 255 and cuts it at 128, so that nothing is left of it:
what it adds is 1 less the share of the image that the predicted mask covers.
"""

import numpy as np

from thinkseg.answers.published_tags import find_tags
from thinkseg.metrics.overlap import count_overlap
from thinkseg.rewards.part import RewardPart, reward
from thinkseg.rewards.reward_input import RewardInput


@reward(name="format")
def boxes_kept(item: RewardInput) -> float:
    """1 when there are points, as many labels, a box and some thinking, in any order, whatever stands around."""
    found = find_tags(item.text)
    complete = None not in (found.points, found.labels, found.boxes)
    return float(complete and "</think>" in item.text.partition("<think>")[2])


@reward(name="format")
def points_kept(item: RewardInput) -> float:
    """1 when there are points and as many labels, whatever stands around them."""
    found = find_tags(item.text)
    return float(found.points is not None and found.labels is not None)


def _segment(*, needs_box: bool) -> RewardPart:
    @reward(needs_masks=True, needs=["mask"], name="segment")
    def part(item: RewardInput) -> float:
        target = item.truth.mask
        assert target is not None
        found = find_tags(item.text)
        if item.answer is None or found.points is None or found.labels is None or (needs_box and found.boxes is None):
            return 0.0  # the published function asks the segmenter for nothing
        pred = np.asarray(item.masks.any(axis=0))
        iou = count_overlap(pred, target).iou if pred.any() or target.any() else 0.0
        return 0.7 * iou + 0.3 * float(1 - pred.mean())

    return part


BOXES: dict[str, RewardPart] = {"segment": _segment(needs_box=True), "format": boxes_kept}
POINTS: dict[str, RewardPart] = {"segment": _segment(needs_box=False), "format": points_kept}
