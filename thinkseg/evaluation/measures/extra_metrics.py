"""What some measures need of a sample besides the counts that every record has: computed once, when it is scored.

A measure names them itself (`Measure.extra`), so that a benchmark names its measures and nothing else.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from thinkseg.errors import InputError
from thinkseg.evaluation.measures.base import ExtraMetric, Measure
from thinkseg.types import Mask


def count_pixels(_pred: Mask, target: Mask) -> float:
    """All pixels of the image."""
    return target.size


def count_target(_pred: Mask, target: Mask) -> float:
    """The pixels of the target."""
    return int(np.count_nonzero(target))


COUNTS: Mapping[str, ExtraMetric] = {"pixels": count_pixels, "target": count_target}
"""With intersection and union, all that F and E of a mask follow from."""


def extra_metrics_of(measures: Iterable[Measure]) -> dict[str, ExtraMetric]:
    """The extra metrics of several measures by their names, each once.

    Raises:
        InputError: two measures have different ones under one name.
    """
    found: dict[str, ExtraMetric] = {}
    for measure in measures:
        for name, of in measure.extra.items():
            if found.setdefault(name, of) is not of:
                raise InputError(
                    f"two measures need different numbers under the name '{name}' (one is '{measure.label}'): "
                    "give one of them another name in 'extra'"
                )
    return found
