"""Several predicted and several true objects: which belongs to which, and what that earns together.

Objects are matched one to one so that the sum of scores is largest, and the sum is divided by the larger of the two
numbers of objects: missing and invented objects both cost. With one object on each side this is the score of the pair.
"""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment


def matched_share(scores: Float[np.ndarray, "pred true"]) -> float:
    """The score of the best matching, a sum over its pairs divided by the larger number of objects (Hungarian method).

    Args:
        scores: of every predicted object with every true one, not negative; at least one object on either side.

    Returns:
        0 up to the largest score that a pair can have.
    """
    if scores.size == 1:
        return float(scores[0, 0])
    best = scores[linear_sum_assignment(scores, maximize=True)].sum()
    return float(best / max(scores.shape))
