"""Masks and boxes as shapes of X-AnyLabeling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from thinkseg.outlines import EDITABLE, polygons_from_mask
from thinkseg.results.result import FoundObject, Result
from thinkseg.serving.http.x_anylabeling.wire import Shape, shapes_answer
from thinkseg.types import Mask, Segmentation

UNNAMED = "AUTOLABEL_OBJECT"
"""The label of a shape that X-AnyLabeling replaces by the next one, until its user names it."""


def found_in_words(result: Result, shape: Shape) -> dict[str, Any]:
    """The answer about a query; where the model's text cannot be read, shapes that are there stay."""
    if result.failure is not None:
        return shapes_answer([], f"no answer: {result.failure.sentence}", False)
    shapes = [record for found in result.objects for record in _shapes(found, result, shape)]
    return shapes_answer(shapes, result.thinking, None)


def found_by_marks(segmentation: Segmentation | None) -> dict[str, Any]:
    """The answer about points and boxes, whose shapes have no name yet; None where there are none."""
    shapes = []
    if segmentation is not None:
        score = None if segmentation.scores is None else float(segmentation.scores[0])
        rings = _rings(segmentation.masks[0])
        shapes = [_record(UNNAMED, "polygon", ring, score, None, 1 if len(rings) > 1 else None) for ring in rings]
    return shapes_answer(shapes, "", False)


def _shapes(found: FoundObject, result: Result, shape: Shape) -> Iterator[dict[str, Any]]:
    """Of an object: its box, or a polygon for each of its parts; nothing where it has no area."""
    box = found.outer_box
    if shape == "polygon":
        rings = _rings(found.mask)
    elif box is None:
        rings = []
    else:
        left, top, right, bottom = box.xyxy
        rings = [[[left, top], [right, top], [right, bottom], [left, bottom]]]
    for ring in rings:
        group = found.number if len(rings) > 1 else None
        yield _record(result.query, shape, ring, found.score, result.thinking, group)


def _record(
    label: str, shape: Shape, ring: list[list[float]], score: float | None, description: str | None, group: int | None
) -> dict[str, Any]:
    return {
        "label": label,
        "shape_type": shape,
        "points": ring,
        "score": score,
        "description": description,
        "group_id": group,
    }


def _rings(mask: Mask) -> list[list[list[float]]]:
    return [_closed(ring.tolist()) for ring in polygons_from_mask(mask, EDITABLE)]


def _closed(corners: list[list[float]]) -> list[list[float]]:
    """A polygon from a corner back to it, as X-AnyLabeling takes it to be complete as soon as it is there again.

    So it begins where it comes by but once, and not where a hole is joined to the rim.
    """
    own = corners[:-1] if corners[0] == corners[-1] else corners
    seen = Counter((x, y) for x, y in own)
    start = next((number for number, (x, y) in enumerate(own) if seen[x, y] == 1), 0)
    return [*own[start:], *own[: start + 1]]
