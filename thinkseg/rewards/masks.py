"""Parts that look at what the segmenter makes of an answer, and at how it is prompted."""

import math

import numpy as np
from jaxtyping import Bool

from thinkseg.answers.reading import whole
from thinkseg.metrics.overlap import count_overlap, pairwise_mask_iou
from thinkseg.metrics.saliency import s_measure
from thinkseg.rewards.matching import matched_share
from thinkseg.rewards.part import reward
from thinkseg.rewards.reward_input import RewardInput, trivial_score
from thinkseg.types import Mask, Masks, Size

IOU_SHARE = 0.7
"""Weight of the IoU in `segment`; the rest is the S-measure's (Seg-R1)."""


@reward(needs_masks=True, needs=["mask"])
def segment(item: RewardInput) -> float:
    """Seg-R1: 0.7·IoU + 0.3·S-measure between the union of the segmenter's masks and the true mask, 0…1.

    A malformed answer earns 0. Where nothing is there, an answer that says so earns 1 and any other 0; where something
    is there, "nothing there" earns 0.
    """
    target = item.truth.mask
    assert target is not None
    share = trivial_score(item, nothing_there=not target.any())
    if share is not None:
        return share
    pred = np.asarray(item.masks.any(axis=0))
    if item.truth.ignore is not None:
        pred = np.where(item.truth.ignore, target, pred)  # right wherever it does not count
    iou = count_overlap(pred, target, item.truth.ignore).iou
    return IOU_SHARE * iou + (1 - IOU_SHARE) * s_measure(pred, target)


@reward(needs_masks=True, needs=["instances"])
def matched_masks(item: RewardInput) -> float | None:
    """The IoUs of the objects' masks with the true ones, matched one to one, over the larger number of objects, 0…1.

    An object whose mask came out empty still counts. Where pixels are to be ignored, they count for no mask, and masks
    that lie wholly among them for no object; nothing is scored where that leaves none on either side. A malformed
    answer and "nothing there" earn the same as in `segment`.
    """
    pred, true = item.masks, item.truth.instances
    assert true is not None
    true = true[true.any(axis=(1, 2))]
    share = trivial_score(item, nothing_there=not len(true))
    if share is not None:
        return share
    if item.truth.ignore is not None:
        pred, true = _that_count(pred, item.truth.ignore), _that_count(true, item.truth.ignore)
        if not len(pred) and not len(true):
            return None
    return matched_share(pairwise_mask_iou(pred, true))


@reward(needs=["mask"])
def points_inside(item: RewardInput) -> float | None:
    """The share of an answer's points whose label agrees with the true mask: 1 on the object, 0 on the background.

    A point is looked up at its nearest pixel. Points on pixels that are to be ignored are left out; an answer in which
    none is left earns 0, as it shows nothing. A malformed answer and "nothing there" earn the same as in `segment`.
    No segmenter is needed.
    """
    target = item.truth.mask
    assert target is not None
    share = trivial_score(item, nothing_there=not target.any())
    if share is not None or item.answer is None:
        return share
    height, width = target.shape
    objects = item.answer.rescaled(Size(width, height)).objects
    points = list(dict.fromkeys(point for prompt in objects for point in prompt.points))
    rows = [min(whole(point.y), height - 1) for point in points]
    columns = [min(whole(point.x), width - 1) for point in points]
    agree = target[rows, columns] == np.array([point.label for point in points], dtype=bool)
    if item.truth.ignore is not None:
        agree = agree[~item.truth.ignore[rows, columns]]
    return float(agree.mean()) if len(agree) else 0.0


@reward(needs=["mask"])
def presence(item: RewardInput) -> float:
    """1 when the answer is right about whether anything is there, wherever that may be; else 0, as for a malformed one.

    A mask reward alone can make abstaining pay: where a model finds one thing in eight and a quarter of the queries
    have no target, abstaining from all of them earns more. With this beside it, an answer to a query that has one is
    worth more than an abstention even where it misses.
    """
    target = item.truth.mask
    assert target is not None
    return float(item.answer is not None and bool(item.answer.objects) == bool(target.any()))


@reward()
def point_count(item: RewardInput) -> float | None:
    """Seg-R1's unused term: exp(-(n - 8)² / 8) of the number of points; none to count when nothing is there."""
    if item.answer is None:
        return 0.0
    if not item.answer.objects:
        return None
    count = len({point for prompt in item.answer.objects for point in prompt.points})
    return math.exp(-((count - 8) ** 2) / 8)


def _that_count(masks: Masks, ignore: Mask) -> Bool[np.ndarray, "kept height width"]:
    """The masks without the pixels that are ignored, and without those of them that have no others."""
    kept = masks & ~ignore
    return np.asarray(kept[kept.any(axis=(1, 2)) | ~masks.any(axis=(1, 2))])
