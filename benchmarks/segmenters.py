"""The pocket segmenter against GrabCut, on the same prompts about the same held-out things.

    python benchmarks/segmenters.py [--count 256] [--segmenter pocket]

Prompts are the true box, each side moved by a normal 4 % of its length, with and without the centre of the largest
inscribed circle. Prints mean IoU at the scene's size, the time per prompt and the ratios; a row "box" fills the box.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from thinkseg.data.synthetic.scenes import DEFAULT_TASKS, load_scenes
from thinkseg.geometry import reference_answer
from thinkseg.models.segmenter import load_segmenter
from thinkseg.types import Answer, Box, Mask, ObjectPrompt, Segmentation, Size

TASKS = {task: share for task, share in DEFAULT_TASKS.items() if task != "nothing"}


def jittered(answer: Answer, rng: np.random.Generator, spread: float = 0.04) -> ObjectPrompt:
    prompt = answer.objects[0]
    assert prompt.box is not None
    box = np.array(prompt.box.xyxy)
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    moved = np.clip(box + rng.normal(0, spread, 4) * sides, 0, answer.frame.width)
    if (moved[2:] <= moved[:2]).any():
        moved = box
    return ObjectPrompt(Box(*(float(v) for v in moved)), prompt.points)


def with_edges(answers: list[Answer]) -> list[Answer]:
    """The answers with boxes that end at their pixels' far edge; those of the prompts end at an index (see `main`)."""

    def moved(box: Box) -> Box:
        return Box(box.x_min, box.y_min, box.x_max + 1, box.y_max + 1)

    def all_moved(prompts: tuple[ObjectPrompt, ...]) -> tuple[ObjectPrompt, ...]:
        return tuple(ObjectPrompt(prompt.box and moved(prompt.box), prompt.points) for prompt in prompts)

    return [Answer(own.frame, all_moved(own.objects)) for own in answers]


def fill_box(image: Image.Image, answers: list[Answer]) -> list[Segmentation]:
    mask = np.zeros((1, image.height, image.width), bool)
    box = answers[0].objects[0].box
    assert box is not None
    mask[0, round(box.y_min) : round(box.y_max), round(box.x_min) : round(box.x_max)] = True
    return [Segmentation(mask)]


def iou(pred: Mask, target: Mask) -> float:
    return float((pred & target).sum() / max((pred | target).sum(), 1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--segmenter", default="pocket")
    parser.add_argument("--seed", type=int, default=20)
    args = parser.parse_args()
    grabcut = load_segmenter("grabcut")
    segment: dict[str, Callable[..., list[Segmentation]]] = {
        args.segmenter: load_segmenter(args.segmenter, device="cpu").segment,
        "grabcut": lambda image, answers: grabcut.segment(image, with_edges(answers)),
        "box": lambda image, answers: fill_box(image, with_edges(answers)),
    }
    rng = np.random.default_rng(args.seed)
    scores: dict[tuple[str, str, str], list[float]] = {}
    seconds = dict.fromkeys(segment, 0.0)
    sides = []
    for sample in load_scenes("test", args.count, seed=args.seed, tasks=TASKS):
        assert isinstance(sample.image, Image.Image)
        assert sample.target is not None
        answer = reference_answer(sample.target, inclusive=True)  # as the pocket's models were taught
        prompt = jittered(answer, rng)
        assert prompt.box is not None
        sides.append(max(prompt.box.x_max - prompt.box.x_min, prompt.box.y_max - prompt.box.y_min) / sample.image.width)
        for form, asked in (("box and point", prompt), ("box alone", ObjectPrompt(prompt.box))):
            size = Size(*sample.image.size)
            for name, run in segment.items():
                start = time.perf_counter()
                found = run(sample.image, [Answer(size, (asked,))])[0]
                seconds[name] += time.perf_counter() - start
                for task in ("all", sample.task):
                    scores.setdefault((form, task, name), []).append(iou(found.masks[0], sample.target))
    print(f"{args.count} held-out things, longest side {np.mean(sides):.2f} of the scene on average")
    for (form, task, name), values in sorted(scores.items()):
        error = np.std(values) / len(values) ** 0.5
        print(f"{form:14} {task:12} {name:10} n {len(values):4} IoU {np.mean(values):.3f} ± {error:.3f}")
    own, other = seconds[args.segmenter], seconds["grabcut"]
    print(f"time per prompt, image encoded each time: {own / args.count / 2 * 1e3:.0f} ms; GrabCut {other / own:.2f} ×")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
