"""What only some benchmarks measure of a sample: done once, when it is scored, and written into its record."""

from collections.abc import Callable, Mapping

import numpy as np

from thinkseg.metrics.boundary import boundary_accuracy, boundary_iou, correction_effort
from thinkseg.metrics.weighted import weighted_f
from thinkseg.types import Mask

Details = Callable[[Mask, Mask], Mapping[str, float]]
"""From prediction and target, without the pixels that are to be ignored, numbers by their names."""


def no_extra_metrics(_pred: Mask, _target: Mask) -> dict[str, float]:
    """Benchmarks whose measures need the overlap alone."""
    return {}


def foreground(pred: Mask, target: Mask) -> dict[str, float]:
    """The counts from which F and E follow, the weighted F and the outline measures."""
    return {
        "pixels": target.size,
        "target": int(np.count_nonzero(target)),
        "weighted_f": weighted_f(pred, target),
        "mba": boundary_accuracy(pred, target),
        "biou": boundary_iou(pred, target),
    }


def dichotomous(pred: Mask, target: Mask) -> dict[str, float]:
    """The same, and the human correction effort, for which DIS5K was made."""
    return {**foreground(pred, target), "hce": correction_effort(pred, target)}
