"""How fast rewards are: the parts without a segmenter on a large batch, and what compares masks.

    python benchmarks/rewards.py

Prints, in processor time on one core, the time of our batch, in the frame of the thresholds and in another, and of the
same scores computed pair by pair in Python; the times of our S-measure and of pysodmetrics' on the same masks; and
those of all pairs of masks at once and one by one.
"""

import random
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import py_sod_metrics
from scipy.optimize import linear_sum_assignment

from thinkseg.answers import get_format
from thinkseg.metrics.overlap import count_overlap, pairwise_mask_iou
from thinkseg.metrics.saliency import s_measure
from thinkseg.rewards import PUBLISHED, RewardInput, Rubric, Truth
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

FRAME = Size(840, 840)
COMPLETIONS, OBJECTS = 1024, 5


ALL_PARTS = (
    *("format", "accuracy", "non_repeat", "box_iou", "box_l1", "point"),
    *("soft_accuracy", "soft_box_iou", "soft_box_l1", "soft_point"),
)


def main() -> None:
    """Print the table."""
    for frame in (Size(840, 840), Size(112, 112)):
        time_batch(frame)
    for side in (256, 768):
        target, pred = disc(side, 0.5), disc(side, 0.55)
        fast = best(partial(s_measure, pred, target))
        slow = best(partial(py_sod_metrics.Smeasure().cal_sm, pred.astype(np.float64), target))
        print(f"S-measure at {side}²: {fast * 1e3:.2f} ms; pysodmetrics: {slow * 1e3:.2f} ms, {slow / fast:.0f} times")
    for side in (256, 1024):
        time_masks(side)


def time_batch(frame: Size) -> None:
    """Completions with several objects each, read and scored."""
    answer_format, draw = get_format("vision-reasoner"), random.Random(0)
    truths = [Answer(FRAME, tuple(random_object(draw) for _ in range(OBJECTS)), "Some.") for _ in range(COMPLETIONS)]
    texts = [answer_format.render(jittered(truth, draw).rescaled(frame)) for truth in truths]
    known = [Truth(objects=truth.rescaled(frame)) for truth in truths]
    frames = [frame] * COMPLETIONS

    def read_and_score(rubric: Rubric) -> list[RewardInput]:
        inputs = rubric.read(texts, known, frames)
        rubric.score_inputs(inputs)
        return inputs

    published = Rubric(answer_format, PUBLISHED["vision-reasoner"].weights)
    every_part = Rubric(answer_format, dict.fromkeys(ALL_PARTS, 1.0))
    only_accuracy = Rubric(answer_format, {"accuracy": 1.0})
    inputs = read_and_score(published)
    assert np.allclose([reward.total for reward in only_accuracy.score_inputs(inputs)], pair_by_pair(inputs))
    print(f"{COMPLETIONS} completions with {OBJECTS} objects each in a frame of {frame.width}×{frame.height}:")
    print(f"  reading: {best(lambda: published.read(texts, known, frames)) * 1e3:.0f} ms")
    print(f"  reading and VisionReasoner's 3 parts: {best(lambda: read_and_score(published)) * 1e3:.0f} ms")
    print(f"  reading and {len(ALL_PARTS)} parts: {best(lambda: read_and_score(every_part)) * 1e3:.0f} ms")
    accuracy, naive = best(lambda: only_accuracy.score_inputs(inputs)), best(lambda: pair_by_pair(inputs))
    print(f"  accuracy: {accuracy * 1e3:.0f} ms; pair by pair: {naive * 1e3:.0f} ms, {naive / accuracy:.1f} times")


def time_masks(side: int) -> None:
    """Every mask of one set with every mask of another."""
    pred, true = (np.stack([disc(side, at + off) for at in (0.3, 0.4, 0.5, 0.6, 0.7)]) for off in (0.0, 0.05))

    def one_by_one() -> list[list[float]]:
        return [[count_overlap(mine, other).iou for other in true] for mine in pred]

    assert np.allclose(pairwise_mask_iou(pred, true), one_by_one())
    fast, slow = best(lambda: pairwise_mask_iou(pred, true)), best(one_by_one)
    print(
        f"{len(pred)}×{len(true)} masks at {side}²: {fast * 1e3:.2f} ms; "
        f"one by one: {slow * 1e3:.2f} ms, {slow / fast:.1f} times"
    )


def random_object(draw: random.Random) -> ObjectPrompt:
    """A box with a point in it."""
    x, y, width, height = draw.randint(0, 600), draw.randint(0, 600), draw.randint(20, 200), draw.randint(20, 200)
    point = Point(float(x + width // 2), float(y + height // 2))
    return ObjectPrompt(Box(float(x), float(y), float(x + width), float(y + height)), (point,))


def jittered(answer: Answer, draw: random.Random) -> Answer:
    """The answer with boxes that are a little off, in another order."""

    def moved(prompt: ObjectPrompt) -> ObjectPrompt:
        box = prompt.box
        assert box is not None
        shift = float(draw.randint(0, 20))
        return ObjectPrompt(Box(box.x_min + shift, box.y_min, box.x_max + shift, box.y_max), prompt.points)

    objects = [moved(prompt) for prompt in answer.objects]
    draw.shuffle(objects)
    return Answer(answer.frame, tuple(objects), answer.think)


def pair_by_pair(inputs: list[RewardInput]) -> list[float]:
    """VisionReasoner's accuracy as one would write it down first."""
    scores = []
    for item in inputs:
        assert item.answer is not None
        assert item.truth.objects is not None
        mine, true = (answer.rescaled(FRAME).objects for answer in (item.answer, item.truth.objects))
        table = np.array([[pair(one, other) for other in true] for one in mine])
        rows, columns = linear_sum_assignment(-table)
        scores.append(float(table[rows, columns].sum()) / max(table.shape))
    return scores


def pair(mine: ObjectPrompt, true: ObjectPrompt) -> float:
    """The score of one predicted and one true object."""
    a, b = mine.box, true.box
    assert a is not None
    assert b is not None
    width = min(a.x_max, b.x_max) - max(a.x_min, b.x_min) + 1
    height = min(a.y_max, b.y_max) - max(a.y_min, b.y_min) + 1
    shared = max(width, 0) * max(height, 0)
    areas = [(box.x_max - box.x_min + 1) * (box.y_max - box.y_min + 1) for box in (a, b)]
    iou = shared / (sum(areas) - shared)
    l1 = sum(abs(x - y) for x, y in zip(a.xyxy, b.xyxy, strict=True)) / 4
    distance = ((mine.points[0].x - true.points[0].x) ** 2 + (mine.points[0].y - true.points[0].y) ** 2) ** 0.5
    return (iou > 0.5) + (l1 < 10) + (distance < 30 and a.contains(mine.points[0]))


def disc(side: int, centre: float) -> np.ndarray:
    """A disc in a square image."""
    rows, columns = np.indices((side, side))
    return np.asarray((columns - side * centre) ** 2 + (rows - side / 2) ** 2 < (side * 0.25) ** 2)


def best(work: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of processor time of the fastest of some runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
