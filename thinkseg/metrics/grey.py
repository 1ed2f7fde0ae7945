"""F, E and weighted F of maps of grey values, by the package `pysodmetrics`; those of masks are our own, and quick."""

import numpy as np
from jaxtyping import Float, Float64

from thinkseg.types import Mask

GreyMap = Float64[np.ndarray, "height width"]
"""Values 0…1."""


def stretched(pred: Float[np.ndarray, "height width"]) -> GreyMap:
    """A map whose smallest value is 0 and whose largest is 1, as the field does it; one of a single value stays."""
    values = pred.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / (high - low)) if high > low else values


def grey_curves(values: GreyMap, target: Mask) -> tuple[dict[str, Float64[np.ndarray, "256"]], dict[str, float]]:
    """F (β² = 0.3) and E, by ``"f"`` and ``"e"``: at 256 thresholds from the highest to the lowest, and the adaptive.

    Args:
        values: taken as they are.
        target: the true mask, of the same size.
    """
    # Imported here, as it brings scikit-learn along, for which the rewards need not wait.
    from py_sod_metrics import Emeasure, FmeasureHandler, FmeasureV2

    f, e = FmeasureV2({"f": FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=0.3)}), Emeasure()
    for measure in (f, e):
        measure.step(values, target, normalize=False)  # its own scaling takes a mask of 0 and 1 for an empty one
    f_scores, e_scores = f.get_results()["f"], e.get_results()["em"]
    curves = {"f": f_scores["dynamic"], "e": e_scores["curve"]}
    return (
        {letter: np.asarray(curve, dtype=np.float64) for letter, curve in curves.items()},
        {"f": float(f_scores["adaptive"]), "e": float(e_scores["adp"])},
    )


def grey_weighted_f(values: GreyMap, target: Mask) -> float:
    """Weighted F of values that are taken as they are, 0…1."""
    from py_sod_metrics import WeightedFmeasure

    measure = WeightedFmeasure()
    measure.step(values, target, normalize=False)
    return float(measure.get_results()["wfm"])
