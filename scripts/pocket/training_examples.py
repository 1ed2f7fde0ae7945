"""Training examples for the pocket reasoner: augmented scenes, queries, demonstrations, and what each token covers."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from fresh_scenes import SIZE, fresh_scenes
from lessons import Teacher
from reasoner_parts import CANVAS, CELL

from thinkseg.answers import get_format
from thinkseg.data.synthetic.assets import Assets
from thinkseg.data.synthetic.composition import Scene
from thinkseg.data.synthetic.queries import COLOURS, Thing
from thinkseg.geometry import reference_answer
from thinkseg.types import Answer, Size

SHAPES = [1.0, 4 / 3, 3 / 4, 16 / 9, 9 / 16]
"""Width by height of what is stretched over the square."""
SHAPE_SHARES = [0.6, 0.15, 0.1, 0.1, 0.05]
SMALLEST = 0.0012
"""Share of the image below which a thing does not count as seen."""
COVERED = 0.08
"""Share of a token's square from which on the heads are trained on what covers it."""


FRAME = Size(CANVAS, CANVAS)


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One image, with queries and answers to imitate and what its pixels show."""

    image: np.ndarray
    """(h, w, 3) RGB, uint8."""
    index_map: np.ndarray
    """(h, w): n on the pixels of things[n - 1], before the image was made smaller."""
    things: list[Thing]
    exchanges: list[tuple[str, str]]
    """Queries and the answers to imitate; empty for an image without queries."""


class ExampleSampler:
    """Makes examples of scenes that nobody has seen before.

    Args:
        assets: of the training split.
        words: English words, see `Teacher`.
        rng: decides on everything.
        queries: at most so many of an image.
    """

    def __init__(self, assets: Assets, words: Sequence[str], rng: np.random.Generator, queries: int = 6) -> None:
        self.scenes, self.rng, self.count = fresh_scenes(assets, rng), rng, queries
        self.teacher = Teacher(assets, words, rng)
        self.format = get_format("seg-r1")

    def batch(self, count: int) -> list[TrainingExample]:
        """Examples of so many images."""
        examples: list[TrainingExample] = []
        while len(examples) < count:
            task, scene = next(self.scenes)
            found = self.example(task, scene)
            if found is not None:
                examples.append(found)
        return examples

    def example(self, task: str, scene: Scene) -> TrainingExample | None:
        """An example of a part of a scene; None when no query fits it."""
        image, index_map, swapped = self._seen(scene)
        things, numbers = [], []
        height, width = index_map.shape
        for number, thing in enumerate(scene.things, start=1):
            mask = index_map == number
            area = float(mask.mean())
            if area < SMALLEST:
                continue
            columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            box = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
            things.append(dataclasses.replace(thing, box=box, area=area, colour="" if swapped else thing.colour))
            numbers.append(number)
        if not things:
            return None
        exchanges = {}
        for query in self.teacher.queries(task, things, self.count):
            if query.target is None:
                answer = Answer(FRAME, (), query.think)
            else:
                mask = index_map == numbers[query.target]
                answer = reference_answer(mask, think=query.think, inclusive=True).rescaled(FRAME)
            exchanges[query.text] = self.format.render(answer)
        if not exchanges:
            return None
        shown = np.zeros_like(index_map)
        for position, number in enumerate(numbers, start=1):
            shown[index_map == number] = position
        return TrainingExample(image, shown, things, list(exchanges.items()))

    def _seen(self, scene: Scene) -> tuple[np.ndarray, np.ndarray, bool]:
        """Image, index map of the same part of the scene, and whether the colours are no longer the things' own."""
        rng = self.rng
        shape = float(rng.choice(SHAPES, p=SHAPE_SHARES))
        share = rng.uniform(0.6, 1.0) if rng.random() < 0.6 else 1.0
        crop_w, crop_h = int(SIZE * share * min(1, shape)), int(SIZE * share * min(1, 1 / shape))
        x, y = int(rng.integers(0, SIZE - crop_w + 1)), int(rng.integers(0, SIZE - crop_h + 1))
        window = slice(y, y + crop_h), slice(x, x + crop_w)
        way = cv2.INTER_AREA if min(crop_w, crop_h) > CANVAS else cv2.INTER_LINEAR
        image = cv2.resize(scene.image[window], (CANVAS, CANVAS), interpolation=way)
        index_map, swapped = scene.index_map[window], False
        if rng.random() < 0.5:
            image, index_map = image[:, ::-1], index_map[:, ::-1]
        if rng.random() < 0.15:
            image, swapped = image[..., rng.permutation(3)], True
        if rng.random() < 0.4:
            gains = rng.uniform(0.8, 1.25, 3) * rng.uniform(0.8, 1.2)
            image = np.clip(image * gains.astype(np.float32), 0, 255).astype(np.uint8)
        return image, index_map, swapped


def words_to_learn(assets: Assets) -> list[str]:
    """The kinds and colours that a token's square is read for."""
    return [*sorted({kind for cutout in assets.cutouts for kind in cutout.kinds}), *COLOURS]


def dense_targets(examples: list[TrainingExample], words: list[str]) -> tuple[torch.Tensor, ...]:
    """What each merged token's square shows, rows and columns in reading order.

    Returns:
        coverage (count, rows, columns, 4): share of each of its four patches that things cover;
        named (count, rows, columns, words): 1 for the words of what covers most of it;
        boxes (count, rows, columns, 4): that thing's box, as shares of the image;
        covered (count, rows, columns): whether it covers enough for the heads to be trained on it.
    """
    columns = rows = CANVAS // CELL
    count = len(examples)
    coverage = np.zeros((count, rows * 2, columns * 2), np.float32)
    named = np.zeros((count, rows, columns, len(words)), np.float32)
    boxes = np.zeros((count, rows, columns, 4), np.float32)
    covered = np.zeros((count, rows, columns), bool)
    for i, example in enumerate(examples):
        coverage[i] = _shares(example.index_map > 0, columns * 2, rows * 2)
        if not example.things:
            continue
        numbers = range(1, len(example.things) + 1)
        shares = np.stack([_shares(example.index_map == number, columns, rows) for number in numbers])
        best = shares.argmax(0)
        covered[i] = shares.max(0) > COVERED
        for n, thing in enumerate(example.things):
            here = covered[i] & (best == n)
            boxes[i, here] = thing.box
            for word in (*thing.kinds, thing.colour):
                if word in words:
                    named[i, here, words.index(word)] = 1
    patches = coverage.reshape(count, rows, 2, columns, 2).transpose(0, 1, 3, 2, 4).reshape(count, rows, columns, 4)
    return tuple(torch.from_numpy(array) for array in (patches, named, boxes, covered))


def _shares(mask: np.ndarray, columns: int, rows: int) -> np.ndarray:
    return cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
