"""How well the outline of a mask is met: boundary accuracy, boundary IoU, and what it takes to correct it by hand."""

import cv2
import numpy as np

from thinkseg.types import Mask

STEPS = 5
"""Widths of the rim over which boundary accuracy is a mean."""
RIM_SHARE = 0.02
"""Width of the rim of boundary IoU, as a share of the image's diagonal."""


def boundary_accuracy(pred: Mask, target: Mask) -> float:
    """MBA: the share of right pixels in a rim around the target's outline, the mean over five widths, 0…1.

    The widths rise evenly from 1 pixel towards (width + height) / 300 (Cheng et al., CascadePSP, CVPR 2020). A target
    without an outline, empty or full, is met by the equal prediction only: 1, else 0.
    """
    height, width = target.shape
    widest = (width + height) / 300
    radii = [1 + int((widest - 1) / STEPS * step) for step in range(STEPS)]
    rims = {radius: _accuracy_in_rim(pred, target, radius) for radius in set(radii)}
    return sum(rims[radius] for radius in radii) / STEPS


def _accuracy_in_rim(pred: Mask, target: Mask, radius: int) -> float:
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    rim = cv2.morphologyEx(target.astype(np.uint8), cv2.MORPH_GRADIENT, disk).astype(np.bool_)
    size = int(np.count_nonzero(rim))
    if size == 0:
        return float(np.array_equal(pred, target))
    return int(np.count_nonzero(rim & (pred == target))) / size


def boundary_iou(pred: Mask, target: Mask) -> float:
    """IoU of the masks' inner rims, 2 % of the diagonal wide (Cheng et al., Boundary IoU, CVPR 2021).

    The image's border counts as an outline; two empty masks agree: 1.
    """
    width = max(1, round(RIM_SHARE * float(np.hypot(*target.shape))))
    pred_rim, true_rim = _inner_rim(pred, width), _inner_rim(target, width)
    union = int(np.count_nonzero(pred_rim | true_rim))
    return int(np.count_nonzero(pred_rim & true_rim)) / union if union else 1.0


def _inner_rim(mask: Mask, width: int) -> Mask:
    """The pixels of a mask that lie at most so many rows and columns from a pixel outside it."""
    square = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    core = cv2.erode(mask.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    rim: Mask = mask & (core == 0)
    return rim


def correction_effort(pred: Mask, target: Mask) -> float:
    """HCE: the clicks that a human needs to correct the mask (Qin et al., ECCV 2022), at least 0; lower is better.

    Computed by `pysodmetrics`, and slow: seconds for an image of several megapixels.
    """
    from py_sod_metrics import HumanCorrectionEffortMeasure  # brings scikit-image along, which takes its time

    return float(HumanCorrectionEffortMeasure().cal_hce(pred.astype(np.float64), target))
