"""VisionReasoner's rewards with the values of its published functions."""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from thinkseg.answers.published_json import first_answer, tags_in_order
from thinkseg.answers.reading import MAX_OBJECTS
from thinkseg.rewards.part import RewardPart, reward
from thinkseg.rewards.reward_input import RewardInput
from thinkseg.types import Answer

MIN_IOU = 0.5
MAX_BOX_L1 = 10
MAX_POINT_DISTANCE = 30

Coordinates = Float[np.ndarray, "_ _"]


@reward(name="format")
def format_kept(item: RewardInput) -> float:
    """The thinking in its place, 1, and for every item of the list its share of 1 for a box and 1 for a point."""
    return float(tags_in_order(item.text)) + _keys_per_item(first_answer(item.text))


def _keys_per_item(data: Any) -> float:
    """Counted up to the first item in which nothing can be looked up. Of an object in place of a list, its keys are."""
    score = 0.0
    for item in data if isinstance(data, list | dict | str) else ():
        if not isinstance(item, list | dict | str):
            break
        kept = 0
        for key, length in (("bbox_2d", 4), ("point_2d", 2)):
            if key in item:
                if not isinstance(item, dict):
                    return score
                kept += isinstance(item[key], list) and len(item[key]) == length
        score += kept / len(data)
    return score


@reward(needs=["objects"], name="accuracy", points=1)
def accuracy(item: RewardInput) -> float | None:
    """Per pair 1 each for the IoU, for the coordinates and for the point, of the best matching, 0…3."""
    assert item.truth.objects is not None
    truth = item.truth.objects.rescaled(item.frame)
    if any(prompt.box is None or not any(point.label for point in prompt.points) for prompt in truth.objects):
        return None
    data = first_answer(item.text)
    if not truth.objects or not isinstance(data, list):
        return 0.0
    if not all(isinstance(value, dict) and "bbox_2d" in value and "point_2d" in value for value in data):
        return 0.0
    boxes = _table([value["bbox_2d"] for value in data[:MAX_OBJECTS]], 4, subtracted=True)
    points = _table([value["point_2d"] for value in data[:MAX_OBJECTS]], 2)
    if boxes is None or points is None:
        return 0.0
    with np.errstate(all="ignore"):
        hits = _hits(boxes, points, *_true(truth))
    rows, columns = linear_sum_assignment(hits, maximize=True)
    return float(hits[rows, columns].sum() / max(hits.shape))


def _table(values: list[Any], numbers: int, *, subtracted: bool = False) -> Coordinates | None:
    """Lists of so many numbers as an array; None where one of them is anything else.

    A truth value is a number to NumPy, unless there are none but truth values and they are `subtracted` from each
    other, as the corners of boxes are. It takes no root of whole numbers beyond 64 bits, which distances need.
    """
    flat = [number for value in values if isinstance(value, list) and len(value) == numbers for number in value]
    if not flat or len(flat) != numbers * len(values) or not all(isinstance(n, int | float) for n in flat):
        return None
    if subtracted:
        unfit = all(isinstance(number, bool) for number in flat)
    else:
        unfit = any(isinstance(number, int) and not -(2**63) <= number < 2**64 for number in flat)
    if unfit:
        return None
    try:
        return np.array(flat, dtype=np.float64).reshape(-1, numbers)
    except OverflowError:
        return None


def _true(truth: Answer) -> tuple[Coordinates, Coordinates]:
    prompts = truth.objects[:MAX_OBJECTS]
    points = [next((p.x, p.y) for p in prompt.points if p.label == 1) for prompt in prompts]
    return np.array([prompt.box.xyxy for prompt in prompts if prompt.box]), np.array(points)


def _hits(
    boxes: Coordinates, points: Coordinates, true_boxes: Coordinates, true_points: Coordinates
) -> Float[np.ndarray, "pred true"]:
    """Of every predicted object with every true one, how many of the three hold; boxes may be reversed."""
    mine, true = boxes[:, None], true_boxes[None]
    sides = np.minimum(mine[..., 2:], true[..., 2:]) - np.maximum(mine[..., :2], true[..., :2]) + 1
    shared = np.maximum(0, sides).prod(axis=-1)
    union = (mine[..., 2:] - mine[..., :2] + 1).prod(-1) + (true[..., 2:] - true[..., :2] + 1).prod(-1) - shared
    overlap = shared / union > MIN_IOU
    near_box = np.abs(mine - true).mean(axis=-1) < MAX_BOX_L1
    inside = np.asarray(((points >= boxes[:, :2]) & (points <= boxes[:, 2:])).all(axis=-1))
    distance = np.sqrt(((points[:, None] - true_points[None]) ** 2).sum(axis=-1))
    near_point = np.asarray(distance < MAX_POINT_DISTANCE) & inside[:, None]
    return np.asarray(overlap.astype(float) + near_box + near_point)


@reward(name="non_repeat")
def non_repeat(item: RewardInput) -> float:
    """0 when two or more pieces between full stops are ones that came before, a decimal point being a full stop."""
    pieces = [piece.strip() for piece in item.text.split(".")]
    written = [piece for piece in pieces if piece]
    return float(len(written) - len(set(written)) < 2)


PARTS: dict[str, RewardPart] = {part.name: part for part in (format_kept, accuracy, non_repeat)}
