"""Small scenes with a known truth, a pipeline that can be told how well to do, and records without either."""

from collections.abc import Callable

import numpy as np
import pytest

from thinkseg.evaluation.records import PredictionRecord
from thinkseg.imaging import rle_from_mask
from thinkseg.testing.squares import SIDE, Filler, Squares
from thinkseg.types import Failure


@pytest.fixture
def create_samples() -> Callable[[int], Squares]:
    return Squares


@pytest.fixture
def create_pipeline() -> Callable[..., Filler]:
    return Filler


def _record(
    index: int, iou: float, task: str = "salient", text: str = "said", failure: Failure | None = None
) -> PredictionRecord:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[: round(iou * SIDE)] = True
    return PredictionRecord(
        id=f"square-{index}",
        task=task,
        query=f"query {index}",
        text=text,
        finish_reason="stop",
        frame=None if failure else (SIDE, SIDE),
        objects=[] if failure else [{"box": [1.0, 2.0, 20.0, 21.0], "points": [[4.0, 5.0, 1], [0.0, 0.0, 0]]}],
        failure=failure,
        failure_detail="there is no box" if failure else "",
        intersection=round(iou * 100),
        union=100,
        iou=iou,
        s_measure=iou,
        mae=1 - iou,
        target_empty=False,
        predicted_empty=iou == 0,
        rle=rle_from_mask(mask),
    )


@pytest.fixture
def create_record() -> Callable[..., PredictionRecord]:
    return _record
