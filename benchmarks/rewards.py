"""How fast rewards are: VisionReasoner's parts on a large batch, and the S-measure on one mask.

    python benchmarks/rewards.py

Prints, on one core, the time of our batch and of the same scores computed pair by pair in Python, and the times of our
S-measure and of pysodmetrics' on the same masks.
"""

import random
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import py_sod_metrics
from scipy.optimize import linear_sum_assignment

from thinkseg.answers import get_format
from thinkseg.metrics.saliency import s_measure
from thinkseg.rewards import PUBLISHED, Case, Rubric, Truth
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

FRAME = Size(840, 840)
COMPLETIONS, OBJECTS = 1024, 5


def main() -> None:
    """Print the table."""
    answer_format, draw = get_format("vision-reasoner"), random.Random(0)
    truths = [Answer(FRAME, tuple(random_object(draw) for _ in range(OBJECTS)), "Some.") for _ in range(COMPLETIONS)]
    texts = [answer_format.render(jittered(truth, draw)) for truth in truths]
    rubric = Rubric(answer_format, PUBLISHED["vision-reasoner"].weights)

    def ours() -> list[Case]:
        cases = rubric.read(texts, [Truth(objects=truth) for truth in truths], [FRAME] * COMPLETIONS)
        rubric.score_cases(cases)
        return cases

    cases = ours()
    only_accuracy = Rubric(answer_format, {"accuracy": 1.0})
    assert np.allclose([reward.total for reward in only_accuracy.score_cases(cases)], pair_by_pair(cases))
    whole = best(ours)
    read = best(lambda: rubric.read(texts, [Truth()] * COMPLETIONS, [FRAME] * COMPLETIONS))
    accuracy = best(lambda: only_accuracy.score_cases(cases))
    naive = best(lambda: pair_by_pair(cases))
    print(f"{COMPLETIONS} completions with {OBJECTS} objects each, read and scored: {whole * 1e3:.0f} ms")
    print(f"  of which reading: {read * 1e3:.0f} ms")
    print(
        f"  accuracy alone: {accuracy * 1e3:.0f} ms; pair by pair: {naive * 1e3:.0f} ms, {naive / accuracy:.1f} times"
    )
    for side in (256, 768):
        target, pred = disc(side, 0.5), disc(side, 0.55)
        fast = best(partial(s_measure, pred, target))
        slow = best(partial(py_sod_metrics.Smeasure().cal_sm, pred.astype(np.float64), target))
        print(f"S-measure at {side}²: {fast * 1e3:.2f} ms; pysodmetrics: {slow * 1e3:.2f} ms, {slow / fast:.0f} times")


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


def pair_by_pair(cases: list[Case]) -> list[float]:
    """VisionReasoner's accuracy as one would write it down first."""
    scores = []
    for case in cases:
        assert case.answer is not None
        assert case.truth.objects is not None
        table = np.array([[pair(mine, true) for true in case.truth.objects.objects] for mine in case.answer.objects])
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
    """A disc in a square picture."""
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
