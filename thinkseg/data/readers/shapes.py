"""Shapes that mark pixels, in any tool's file: drawn at the size of their image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from thinkseg.data.fields import shown
from thinkseg.data.readers.segmentations import mask_from_segmentation
from thinkseg.errors import DataError
from thinkseg.types import Mask, Size

Draw = Callable[[Size], Mask]
"""The mask of a shape at the size of its image."""


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """A polygon, drawn by COCO's tools."""

    corners: Float64[np.ndarray, "corners 2"]
    """x and y of each."""
    shares: bool = False
    """Whether they are shares of width and height, from 0 to 1; else they are pixels."""

    def __call__(self, size: Size) -> Mask:
        """Its mask.

        Raises:
            ImageError: it has fewer than three corners, or one that is far away.
        """
        corners = self.corners * (size.wh if self.shares else 1)
        return mask_from_segmentation([corners.ravel().tolist()], size)


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse; its numbers are shares of width and height, from 0 to 1, its angle degrees clockwise."""

    x: float
    """Of its middle."""
    y: float
    radius_x: float
    """Before it is turned, a share of the width."""
    radius_y: float
    """A share of the height."""
    rotation: float = 0.0

    def __call__(self, size: Size) -> Mask:
        """Its mask: the pixels whose middles it holds."""
        rows, columns = np.ogrid[: size.height, : size.width]
        x, y = columns + 0.5 - self.x * size.width, rows + 0.5 - self.y * size.height
        angle = np.deg2rad(self.rotation)
        along, beside = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        inside: Mask = (along / (self.radius_x * size.width)) ** 2 + (beside / (self.radius_y * size.height)) ** 2 <= 1
        return inside


def corners_from(values: Sequence[float], what: str) -> Float64[np.ndarray, "corners 2"]:
    """Corners from numbers x, y, x, y, ….

    Raises:
        DataError: there are fewer than three corners, or one of them lacks its y, or is not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) % 2 or len(numbers) < 6 or not np.isfinite(numbers).all():
        raise DataError(
            f"{what} should be a polygon of three corners or more, an x and a y for each, found {len(numbers)} numbers "
            f"({shown(list(values[:4]))})"
        )
    return numbers.reshape(-1, 2)
