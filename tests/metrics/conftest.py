"""Random masks with structure, and predictions of every kind."""

import cv2
import numpy as np
import pytest


def _blobs(rng, shape, cell=6):
    """A mask of round blobs, about as large as `cell` pixels each."""
    coarse = rng.random((2 + shape[0] // cell, 2 + shape[1] // cell)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC) > rng.uniform(0.3, 0.8)


@pytest.fixture
def create_blobs():
    return _blobs


@pytest.fixture
def create_pairs():
    """Pairs of prediction and target in many sizes: close, speckled, unrelated, shifted, inverted, empty, full."""

    def create(count, seed=0):
        rng = np.random.default_rng(seed)
        pairs = []
        while len(pairs) < count:
            shape = tuple(int(side) for side in rng.integers(2, 70, 2))
            target = _blobs(rng, shape, int(rng.integers(2, 20)))
            pairs += [
                (_blobs(rng, shape, 9), target),
                (target ^ (rng.random(shape) < rng.uniform(0, 0.2)), target),
                (np.roll(target, rng.integers(-4, 5, 2), (0, 1)), target),
                (~target, target),
                (np.zeros(shape, bool), target),
                (np.ones(shape, bool), target),
                (target, np.zeros(shape, bool)),
                (target, np.ones(shape, bool)),
            ]
        return pairs[:count]

    return create
