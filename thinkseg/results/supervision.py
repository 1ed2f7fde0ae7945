"""The bridge to the package `supervision`, which draws, tracks and exports detections."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from thinkseg.errors import MissingExtraError
from thinkseg.types import Masks, Scores


def detections_from(
    boxes_xyxy: Sequence[tuple[float, float, float, float]], masks: Masks, scores: Scores | None, class_name: str
) -> Any:
    """A `supervision.Detections`; see `Result.to_supervision`.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        supervision = importlib.import_module("supervision")
    except ModuleNotFoundError as error:
        if error.name != "supervision":
            raise
        raise MissingExtraError("supervision", "supervision", "to hand over detections") from error
    count = len(boxes_xyxy)
    return supervision.Detections(
        xyxy=np.array(boxes_xyxy, dtype=np.float32).reshape(count, 4),
        mask=masks,
        confidence=None if scores is None else scores.astype(np.float32),
        class_id=np.zeros(count, dtype=int),
        data={"class_name": np.array([class_name] * count, dtype=str)},
    )
