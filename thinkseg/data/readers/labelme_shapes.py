"""The shapes of the tool labelme, drawn as its `shape_to_mask` draws them; how polygons are filled, the reader says.

A shape has "points" (x, y) and a "shape_type": polygon (where nothing is said), rectangle, circle, line, linestrip,
point or mask. Any other kind is refused.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageDraw

from thinkseg.data.fields import Fields, finite, shown
from thinkseg.imaging import load_mask

Points = Float64[np.ndarray, "points 2"]
Canvas = UInt8[np.ndarray, "height width"]
Drawer = Callable[[Canvas, int], None]
"""Gives the pixels of a shape a value."""

LINE_WIDTH, POINT_RADIUS = 10, 5
"""Of labelme's lines and points, in pixels."""

_LARGEST_DRAWN = 10_000
"""Pixels: PIL walks along the rim of a circle, however far from the image; a larger one is reckoned."""


def paint_polygon(canvas: Canvas, points: Points, value: int) -> None:
    """A polygon as labelme draws it: with PIL, outlines included.

    Raises:
        ValueError: it has fewer than three corners.
    """
    if len(points) < 3:
        raise ValueError(f"a polygon has 3 corners or more, found {len(points)}")
    layer = Image.new("1", (canvas.shape[1], canvas.shape[0]))
    ImageDraw.Draw(layer).polygon(list(map(tuple, points.tolist())), outline=1, fill=1)
    canvas[np.asarray(layer)] = value


def drawer_of(shape: Fields, fill: Callable[[Canvas, Points, int], None]) -> Drawer:
    """How a shape is drawn.

    Args:
        shape: with "points" (x, y) and, if it is no polygon, "shape_type".
        fill: gives the pixels of a polygon a value.

    Raises:
        DataError, ValueError: a shape without points, of a kind that is not known, or with too few points or too many.
        ImageError: a mask that cannot be read.
    """
    kind = shape.get("shape_type") or "polygon"
    points = _points(shape.raw("points"))
    if kind == "polygon":
        return lambda canvas, value: fill(canvas, points, value)
    if not isinstance(kind, str) or kind not in _COUNTS:
        known = ", ".join(("polygon", *_COUNTS))
        raise ValueError(f"expected a 'shape_type' of {known}, found {shown(kind)}: draw it as a polygon")
    low, high = _COUNTS[kind]
    if not low <= len(points) <= high:
        raise ValueError(f"a {kind} has {low}{' points or more' if high > low else ''}, found {len(points)} points")
    if kind == "mask":
        return _stamp(shape.get("mask"), points)
    return lambda canvas, value: _paint(canvas, kind, list(map(tuple, points)), value)


_COUNTS: Mapping[str, tuple[int, int]] = {
    "rectangle": (2, 2),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, 1_000_000),
    "point": (1, 1),
    "mask": (2, 2),
}
"""Of labelme's shapes beside the polygon: how many points each has, at least and at most."""


def _points(told: object) -> Points:
    pairs = [pair for pair in told if isinstance(pair, list) and len(pair) == 2] if isinstance(told, list) else []
    numbers = [number for pair in pairs for value in pair if (number := finite(value)) is not None]
    if not isinstance(told, list) or not told or len(numbers) != 2 * len(told):
        raise ValueError(f"its points should be pairs of finite numbers, found {shown(told)}")
    return np.array(numbers, dtype=np.float64).reshape(-1, 2).clip(-1e6, 1e6)


def _paint(canvas: Canvas, kind: str, points: Sequence[tuple[float, float]], value: int) -> None:
    """A shape as labelme's `shape_to_mask` draws it: with PIL, outlines included."""
    radius = POINT_RADIUS if kind == "point" else math.hypot(*np.subtract(points[0], points[-1]))
    if kind == "circle" and radius > _LARGEST_DRAWN:
        rows, columns = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
        canvas[np.hypot(columns - points[0][0], rows - points[0][1]) <= radius] = value
        return
    layer = Image.new("1", (canvas.shape[1], canvas.shape[0]))
    draw = ImageDraw.Draw(layer)
    (x, y), (last_x, last_y) = points[0], points[-1]
    if kind == "rectangle":
        draw.rectangle((min(x, last_x), min(y, last_y), max(x, last_x), max(y, last_y)), outline=1, fill=1)
    elif kind in ("line", "linestrip"):
        draw.line(list(points), fill=1, width=LINE_WIDTH)
    else:  # a circle has its centre and a point on it, a point its place
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
    canvas[np.asarray(layer)] = value


def _stamp(encoded: object, points: Points) -> Drawer:
    """A mask: a PNG as text, and the first and the last pixel of its place."""
    if not isinstance(encoded, str):
        raise ValueError(f"a mask should have its PNG in base64 as 'mask', found {shown(encoded)}")
    try:
        mask = load_mask(BytesIO(base64.b64decode(encoded, validate=True)), "its 'mask'")
    except binascii.Error as error:
        raise ValueError(f"its 'mask' is no base64 ({error})") from error
    (left, top), (right, bottom) = points.astype(np.int64).tolist()
    if mask.shape != (bottom - top + 1, right - left + 1):
        raise ValueError(f"its 'mask' is {mask.shape[::-1]}, its points span {(right - left + 1, bottom - top + 1)}")

    def draw(canvas: Canvas, value: int) -> None:
        height, width = canvas.shape
        inside = mask[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
        canvas[max(top, 0) : max(bottom + 1, 0), max(left, 0) : max(right + 1, 0)][inside] = value

    return draw
