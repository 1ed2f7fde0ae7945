"""Boxes and points from masks, and how much two boxes overlap.

Pixels are counted from the top left: x is the column, y the row. A point that is taken from a mask is the index of one
of its pixels. A box has the edges of its pixels: from the smallest index to the largest one plus 1, so that the box of
eight pixels is 8 wide, as annotated boxes are. The published data of Seg-Zero and VisionReasoner, and the scenes that
the pocket models were taught on, have the largest index in the place of the edge; who writes them asks for it.

Everything that reads a distance transform counts what lies beyond the image's border as background, so that the centre
of an object that is cut off by the border lies in the object's middle and not in the corner; `published_points` alone
does not, since the published rows do not.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped
from scipy.ndimage import distance_transform_edt

from thinkseg.types import Answer, Box, Mask, Masks, ObjectPrompt, Point, Sample, Size

AnyMask = Shaped[np.ndarray, "height width"]
"""A mask of any number type: what is greater than zero is the object (summed polygons give 2, so 1 is not the test)."""


def box_from_mask(mask: AnyMask, *, inclusive: bool = False) -> Box | None:
    """The smallest box around the pixels greater than zero; None for an empty mask.

    Args:
        mask: of any number type.
        inclusive: whether it ends at the largest index, as in the published data, and not at the pixels' far edge.
    """
    rows = np.flatnonzero((mask > 0).any(axis=1))
    columns = np.flatnonzero((mask > 0).any(axis=0))
    if not len(rows):
        return None
    beyond = not inclusive
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + beyond), float(rows[-1] + beyond))


def centre_of_largest_circle(mask: AnyMask) -> Point | None:
    """The pixel of the object that is farthest from everything that is not the object; None for an empty mask.

    It is the maximum of the Euclidean distance transform, the image's border counted as background; the first one in
    reading order where there are several.
    """
    found = _depths(mask)
    if found is None:
        return None
    depths, x_offset, y_offset = found
    y, x = np.unravel_index(int(depths.argmax()), depths.shape)
    return Point(float(x + x_offset), float(y + y_offset))


def second_point(mask: AnyMask, first: Point) -> Point | None:
    """Seg-Zero's other point: deep in the object too, but in another part of it; None for an empty mask.

    Among the object's pixels that are farther from `first` than half of them are, it is the one with the largest
    distance transform. An object of so few pixels that none is farther gives its pixel farthest from `first`.
    """
    found = _depths(mask)
    if found is None:
        return None
    depths, x_offset, y_offset = found
    rows, columns = np.nonzero(depths)
    distances = np.hypot(columns + x_offset - first.x, rows + y_offset - first.y)
    far = distances > np.median(distances)
    chosen = np.where(far, depths[rows, columns], 0).argmax() if far.any() else distances.argmax()
    return Point(float(columns[chosen] + x_offset), float(rows[chosen] + y_offset))


def published_points(mask: AnyMask) -> tuple[Point, ...]:
    """Points 1 and 2 as in the published rows of Seg-Zero and VisionReasoner; none for an empty mask.

    They differ from `centre_of_largest_circle` and `second_point` in two ways. What lies beyond the image's border is
    not background, so that an object that is cut off has its points at the border or in the corner. And where no pixel
    is farther from point 1 than half of them are, point 2 is the deepest within 10 pixels of the object's centre of
    mass, or the object's pixel next to that place. Of several deepest pixels the first in reading order is taken.
    """
    inside = mask > 0
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return ()
    depths = distance_transform_edt(inside)
    y, x = np.unravel_index(int(depths.argmax()), depths.shape)
    distances = np.sqrt((columns - x) ** 2 + (rows - y) ** 2)
    far = distances > np.median(distances)
    if far.any():
        chosen = int(np.where(far, depths[rows, columns], -1).argmax())
    else:
        top, left = (max(0, int(np.mean(places)) - 10) for places in (rows, columns))
        near = depths[top : int(np.mean(rows)) + 10, left : int(np.mean(columns)) + 10]
        second_y, second_x = np.unravel_index(int(near.argmax()), near.shape)
        chosen = int(((columns - second_x - left) ** 2 + (rows - second_y - top) ** 2).argmin())
    return Point(float(x), float(y)), Point(float(columns[chosen]), float(rows[chosen]))


def background_points(mask: AnyMask, count: int) -> tuple[Point, ...]:
    """At most `count` pixels of the background, label 0, in the object's box and as far from the object as possible.

    The first is the deepest; each next one lies outside the circles that the earlier ones have free around them. There
    are fewer where the object leaves less room in its box, none for an empty mask.
    """
    box = box_from_mask(mask)
    if box is None:
        return ()
    x_offset, y_offset = int(box.x_min), int(box.y_min)
    outside = mask[y_offset : int(box.y_max), x_offset : int(box.x_max)] <= 0
    depths = distance_transform_edt(outside)
    rows, columns = np.indices(depths.shape)
    points: list[Point] = []
    while len(points) < count and depths.max() > 1:  # the object's own rim is blurred: keep off it
        y, x = np.unravel_index(int(depths.argmax()), depths.shape)
        points.append(Point(float(x + x_offset), float(y + y_offset), label=0))
        depths[np.hypot(columns - x, rows - y) <= depths[y, x]] = 0
    return tuple(points)


def reference_answer(
    masks: Masks | Mask | Sequence[Mask],
    *,
    points: int = 1,
    negatives: int = 0,
    think: str = "",
    inclusive: bool = False,
    published: bool = False,
) -> Answer:
    """The answer that describes true masks: for each object its box and its points.

    Args:
        masks: one mask per object, all at the image's size: an array (objects, height, width), a sequence of masks,
            or a single mask. Empty ones are left out: all of them empty says "nothing there".
        points: 1 for the centre of the largest circle, 2 to add Seg-Zero's second point, 0 for the box alone.
        negatives: at most so many points on the background of the object's box.
        think: the thinking that goes with it.
        inclusive: see `box_from_mask`.
        published: whether points are found as in `published_points`.

    Returns:
        The answer in the frame of the image. Objects keep their order.
    """
    if isinstance(masks, np.ndarray) and masks.ndim == 2:
        masks = masks[None]
    if not len(masks) and not isinstance(masks, np.ndarray):
        raise ValueError("reference_answer needs at least one mask, or an array (0, height, width), to know the frame")
    height, width = masks.shape[1:] if isinstance(masks, np.ndarray) else masks[0].shape
    prompts = (
        ObjectPrompt(box, _positives(mask, points, published) + background_points(mask, negatives))
        for mask in masks
        if (box := box_from_mask(mask, inclusive=inclusive)) is not None
    )
    return Answer(Size(width, height), tuple(prompts), think)


def reference_of(sample: Sample, points: int) -> Answer | None:
    """The true boxes and points: the sample's own, or else made from its masks, as for own ones that lack points.

    Args:
        sample: what is known.
        points: how many on each object the answer format has.
    """
    own = sample.reference
    masks = sample.instances if sample.instances is not None else sample.target
    if masks is None or (own is not None and all(_count_on(prompt) >= points for prompt in own.objects)):
        return own
    think = "" if own is None else own.think
    made = reference_answer(masks, points=points, think=think)
    if own is None:
        return made
    inclusive = reference_answer(masks, points=points, think=think, inclusive=True)
    return inclusive if _boxes_of(own.rescaled(made.frame)) == _boxes_of(inclusive) else made


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes as areas of the plane; 0 where neither has an area."""
    return float(pairwise_box_iou(np.array([first.xyxy]), np.array([second.xyxy]))[0, 0])


def box_iou_inclusive(first: Box, second: Box) -> float:
    """Intersection over union of two boxes of pixel indices: a side counts x_max - x_min + 1 pixels."""
    return float(pairwise_box_iou(np.array([first.xyxy]), np.array([second.xyxy]), inclusive=True)[0, 0])


def pairwise_box_iou(
    first: Float[np.ndarray, "*batch m 4"], second: Float[np.ndarray, "*batch n 4"], *, inclusive: bool = False
) -> Float[np.ndarray, "*batch m n"]:
    """Intersection over union of every box of one set with every box of another.

    Args:
        first: x_min, y_min, x_max, y_max; any leading axes.
        second: the same, with the same leading axes.
        inclusive: whether a side counts its last pixel (+1), as for boxes of pixel indices.

    Returns:
        0…1; 0 where a pair has no area, not a number where a box is not.
    """
    a, b = first[..., :, None, :], second[..., None, :, :]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + inclusive
    intersection = np.maximum(sides, 0).prod(axis=-1)
    union = _areas(a, inclusive) + _areas(b, inclusive) - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(intersection), where=union != 0))


def _areas(boxes: np.ndarray, inclusive: bool) -> np.ndarray:
    """Areas of boxes (…, 4)."""
    return np.asarray((boxes[..., 2:] - boxes[..., :2] + inclusive).prod(axis=-1))


def _depths(mask: AnyMask) -> tuple[np.ndarray, int, int] | None:
    """The distance transform over the object's box, with the box's corner; None for an empty mask.

    Nothing outside the box belongs to the object, so one ring of background around the cut-out stands for all of it,
    and for what is beyond the image's border.
    """
    box = box_from_mask(mask)
    if box is None:
        return None
    x_offset, y_offset = int(box.x_min), int(box.y_min)
    inside = mask[y_offset : int(box.y_max), x_offset : int(box.x_max)] > 0
    return distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1], x_offset, y_offset


def _positives(mask: AnyMask, count: int, published: bool) -> tuple[Point, ...]:
    """Points on an object that is not empty, 0 to 2 of them."""
    if published or not count:
        return published_points(mask)[:count] if count else ()
    first = centre_of_largest_circle(mask)
    second = second_point(mask, first) if first is not None and count > 1 else None
    return tuple(point for point in (first, second) if point is not None)


def _boxes_of(answer: Answer) -> list[Box | None]:
    return [prompt.box for prompt in answer.objects]


def _count_on(prompt: ObjectPrompt) -> int:
    return sum(point.label == 1 for point in prompt.points)
