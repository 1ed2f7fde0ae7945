"""Training examples for the pocket reasoner: augmented scenes, queries, demonstrations, and what each token covers."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scene_files import SIZE, SceneFiles

from thinkseg.answers import get_format
from thinkseg.data.synthetic.assets import Assets
from thinkseg.data.synthetic.queries import COLOURS, NOTHING, Query, Thing, create_query
from thinkseg.geometry import reference_answer
from thinkseg.types import Answer, Size

CELL = 28
"""Side of a merged token's square in pixels."""
HELD_BACK = 400
"""So many scenes at the start are held back from training, for validation."""
SMALLEST = 0.0012
"""Share of the image below which a thing does not count as seen."""
COVERED = 0.08
"""Share of a token's square from which on the heads are trained on what covers it."""
MIXED_TASKS = (["referring", "reasoning", "nothing"], [0.5, 0.27, 0.23])


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
    """Draws examples from scenes on disk."""

    def __init__(
        self, scenes: SceneFiles, assets: Assets, words: list[str], rng: np.random.Generator, queries: int = 2
    ) -> None:
        self.scenes, self.assets, self.words, self.rng, self.queries = scenes, assets, words, rng, queries
        self.format = get_format("seg-r1")

    def batch(self, count: int, with_queries: int, wh: tuple[int, int]) -> list[TrainingExample]:
        """Examples of so many images; the first `with_queries` of them have queries."""
        examples: list[TrainingExample] = []
        while len(examples) < count:
            line = self.scenes.lines[self.rng.integers(HELD_BACK, len(self.scenes.lines))]
            found = self.example(line, wh, with_query=len(examples) < with_queries)
            if found is not None:
                examples.append(found)
        return examples

    def held_back(self, count: int, wh: tuple[int, int]) -> list[TrainingExample]:
        """Examples with one query each, of scenes that no batch shows, without augmentation."""
        found = [self.example(line, wh, augment=False) for line in self.scenes.lines[:HELD_BACK]]
        return [example for example in found if example is not None][:count]

    def example(
        self, line: dict, wh: tuple[int, int], augment: bool = True, with_query: bool = True
    ) -> TrainingExample | None:
        """An example of one scene; None when no query fits it."""
        image, index_map, swapped = self._seen(line["index"], wh, augment)
        things, numbers = [], []
        height, width = index_map.shape
        for number, thing in enumerate(line["things"], start=1):
            mask = index_map == number
            area = float(mask.mean())
            if area < SMALLEST:
                continue
            columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            box = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
            things.append(Thing(thing["name"], tuple(thing["kinds"]), box, area, "" if swapped else thing["colour"]))
            numbers.append(number)
        exchanges = self._exchanges(line["task"], things, numbers, index_map, wh, augment) if with_query else []
        if with_query and not exchanges:
            return None
        shown = np.zeros_like(index_map)
        for position, number in enumerate(numbers, start=1):
            shown[index_map == number] = position
        return TrainingExample(image, shown, things, exchanges)

    def _seen(self, index: int, wh: tuple[int, int], augment: bool) -> tuple[np.ndarray, np.ndarray, bool]:
        """Image, index map of the same part of the scene, and whether the colours are no longer the things' own."""
        rng = self.rng
        width, height = wh
        share = rng.uniform(0.55, 1.0) if augment and rng.random() < 0.7 else 1.0
        crop_w, crop_h = int(SIZE * share * min(1, width / height)), int(SIZE * share * min(1, height / width))
        x, y = int(rng.integers(0, SIZE - crop_w + 1)), int(rng.integers(0, SIZE - crop_h + 1))
        window = slice(y, y + crop_h), slice(x, x + crop_w)
        image = cv2.resize(self.scenes.images[index][window], wh, interpolation=cv2.INTER_AREA)
        index_map, swapped = self.scenes.index_maps[index][window], False
        if augment:
            if rng.random() < 0.5:
                image, index_map = image[:, ::-1], index_map[:, ::-1]
            if rng.random() < 0.25:
                image, swapped = image[..., rng.permutation(3)], True
            if rng.random() < 0.5:
                gains = rng.uniform(0.8, 1.25, 3) * rng.uniform(0.8, 1.2)
                image = np.clip(image * gains.astype(np.float32), 0, 255).astype(np.uint8)
        return image, index_map, swapped

    def _exchanges(self, task, things, numbers, index_map, wh, augment) -> list[tuple[str, str]]:
        exchanges: dict[str, str] = {}
        for _ in range(self.queries if augment else 1):
            query = self._query(task, things)
            if query is None:
                continue
            if query.target is None:
                answer = Answer(Size(*wh), (), NOTHING)
            else:
                mask = index_map == numbers[query.target]
                answer = reference_answer(mask, think=query.think, inclusive=True).rescaled(Size(*wh))
            exchanges[query.text] = self.format.render(answer)
        return list(exchanges.items())

    def _query(self, task: str, things: list[Thing]) -> Query | None:
        if not things:
            return None
        if task in ("salient", "camouflaged") and self.rng.random() < 0.8:
            return create_query(task, things, self.assets, self.rng)
        tasks, weights = MIXED_TASKS
        return create_query(str(self.rng.choice(tasks, p=weights)), things, self.assets, self.rng)


def words_to_learn(assets: Assets) -> list[str]:
    """The kinds and colours that a token's square is read for."""
    return [*sorted({kind for cutout in assets.cutouts for kind in cutout.kinds}), *COLOURS]


def dense_targets(examples: list[TrainingExample], wh: tuple[int, int], words: list[str]) -> tuple[torch.Tensor, ...]:
    """What each merged token's square shows, rows and columns in reading order.

    Returns:
        coverage (count, rows, columns, 4): share of each of its four patches that things cover;
        named (count, rows, columns, words): 1 for the words of what covers most of it;
        boxes (count, rows, columns, 4): that thing's box, as shares of the image;
        covered (count, rows, columns): whether it covers enough for the heads to be trained on it.
    """
    columns, rows = wh[0] // CELL, wh[1] // CELL
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
