"""Scenes with a known truth and a pipeline that can be told how well to do, for the main job."""

from collections.abc import Callable

import pytest

from thinkseg.testing.squares import Filler, Squares


@pytest.fixture
def create_samples() -> Callable[[int], Squares]:
    return Squares


@pytest.fixture
def create_pipeline() -> Callable[..., Filler]:
    return Filler
