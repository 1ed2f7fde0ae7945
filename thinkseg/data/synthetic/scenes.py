"""Endless photographic scenes with exact masks, composed from the pocket cut-outs and backgrounds.

A scene is a function of (seed, index): the same numbers give the same pixels on every machine with the same library
versions. Held-out scenes (`split="test"`) share neither a cut-out nor a background with the training scenes.

To see some: ``python scripts/pocket/show_scenes.py SHEET.png``.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from thinkseg.data.synthetic.assets import Assets, Cutout, load_assets
from thinkseg.data.synthetic.composition import Placement, Scene, compose, log_uniform
from thinkseg.data.synthetic.queries import TASKS, Task, create_query
from thinkseg.errors import DataError
from thinkseg.geometry import reference_answer
from thinkseg.types import Answer, Sample, Size

DEFAULT_SIZE = 448
"""Side of a scene in pixels."""

DEFAULT_TASKS: Mapping[str, float] = {
    "salient": 0.25,
    "camouflaged": 0.15,
    "referring": 0.3,
    "reasoning": 0.15,
    "nothing": 0.15,
}
"""How often each task is drawn when a caller does not say; jargon, which the pocket has to be taught, is not."""


def create_scene(assets: Assets, seed: int, index: int, task: Task, size: int = DEFAULT_SIZE) -> Scene:
    """Compose scene number `index` of a task: pixels, masks, and a query with one right answer (none for "nothing").

    The arrangement is in units of the side: (seed, index, task) at another size is the same scene, unless a thing at
    the limit of what counts as visible tips the choice of what can be asked.
    """
    for attempt in range(20):
        rng = np.random.default_rng([seed, index, TASKS.index(task), attempt])
        placements = _arrange(assets, task, rng)
        scene = compose(assets, placements, size, rng)
        query = create_query(task, scene.things, assets, rng)
        if query is not None:
            scene.query = query
            return scene
    raise DataError(f"no {task} scene could be composed from these assets; are there enough cut-outs of each kind?")


class Scenes(Sequence[Sample]):
    """A sequence of samples, each composed when it is asked for; use `load_scenes` to make one."""

    def __init__(self, assets: Assets, count: int, seed: int, tasks: Mapping[str, float], size: int) -> None:
        self._assets = assets
        self._count = count
        self._seed = seed
        self._size = size
        self._names: list[Task] = [task for task in TASKS if tasks.get(task, 0) > 0]
        weights = np.array([tasks[task] for task in self._names], dtype=float)
        self._edges = np.cumsum(weights / weights.sum())

    def __len__(self) -> int:
        return self._count

    def task_of(self, index: int) -> Task:
        """The task of a scene. Van der Corput's sequence spreads the tasks evenly over any run of indices."""
        fraction, base, rest = 0.0, 0.5, index
        while rest:
            fraction += base * (rest & 1)
            base /= 2
            rest >>= 1
        return self._names[min(int(np.searchsorted(self._edges, fraction, side="right")), len(self._names) - 1)]

    def scene(self, index: int) -> Scene:
        """The whole scene behind a sample, with its other things."""
        return create_scene(self._assets, self._seed, index, self.task_of(index), self._size)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        index %= self._count
        scene = self.scene(index)
        target = scene.target
        frame = Size(self._size, self._size)
        masks = target[None] if target.any() else np.zeros((0, *target.shape), dtype=bool)
        # Inclusive, as the pocket models were taught: a reward of boxes compares like with like.
        answer = reference_answer(masks, inclusive=True) if len(masks) else Answer(frame)
        return Sample(
            id=f"{scene.query.task}-{self._seed}-{index}",
            image=Image.fromarray(scene.image),
            query=scene.query.text,
            target=target,
            reference=Answer(frame, answer.objects, scene.query.think),
            instances=masks,
            task=scene.query.task,
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(self._count))


def load_scenes(
    split: str = "test",
    count: int = 512,
    seed: int = 0,
    tasks: Mapping[str, float] | None = None,
    size: int = DEFAULT_SIZE,
) -> Scenes:
    """Samples of composed scenes.

    Args:
        split: "train" or "test"; they share no cut-out and no background.
        count: how many.
        seed: scenes with different seeds differ; at least 0.
        tasks: weight of each task (see `DEFAULT_TASKS`).
        size: side of a scene in pixels, at least 32.

    Raises:
        DataError: an unknown split or task, a size or count that cannot be, or the pocket assets are missing.
    """
    tasks = DEFAULT_TASKS if tasks is None else tasks
    unknown = sorted(set(tasks) - set(TASKS))
    if unknown:
        raise DataError(f"expected tasks among {', '.join(TASKS)}; found {', '.join(unknown)}")
    if not any(weight > 0 for weight in tasks.values()):
        raise DataError("expected at least one task with a weight above 0, found none")
    if size < 32 or count < 0:
        raise DataError(f"expected a size of at least 32 and a count of at least 0, found {size} and {count}")
    if seed < 0:
        raise DataError(f"expected a seed of at least 0, found {seed}")
    return Scenes(load_assets(split), count, seed, tasks, size)


# What goes where, in units of the side.


def _arrange(assets: Assets, task: Task, rng: np.random.Generator) -> list[Placement]:
    """Choose cut-outs and places, the farthest thing first."""
    if task == "salient":
        distractors = int(rng.choice([0, 0, 0, 1, 2]))
        sides = [float(rng.uniform(0.1, 0.2)) for _ in range(distractors)] + [log_uniform(rng, 0.3, 0.98)]
    elif task == "camouflaged":
        sides = [log_uniform(rng, 0.2, 0.95)]
    else:
        count = int(rng.integers(2 if task in ("referring", "jargon") else 1, 6))
        largest = {1: 0.95, 2: 0.65, 3: 0.55, 4: 0.45, 5: 0.4}[count]
        sides = [log_uniform(rng, 0.13, largest) for _ in range(count)]
    cutouts = _choose_cutouts(assets, task, len(sides), rng)
    placements: list[Placement] = []
    taken: list[tuple[float, float, float, float]] = []
    for cutout, side in zip(cutouts, sides, strict=True):
        place = _find_place(assets, cutout, side, taken, rng)
        if place is None:
            continue
        x, y, width, height = place
        taken.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        placements.append(_placement(cutout, side, (x, y), task, rng))
    return placements


def _choose_cutouts(assets: Assets, task: Task, count: int, rng: np.random.Generator) -> list[Cutout]:
    """Different cut-outs; in a referring scene two of a kind now and then, so that the kind alone does not decide."""
    chosen = [assets.cutouts[int(i)] for i in rng.choice(len(assets.cutouts), size=count, replace=False)]
    if task in ("referring", "reasoning", "nothing", "jargon"):
        # Things that can be asked for by kind are preferred: half of the others are drawn again.
        for position, cutout in enumerate(chosen):
            if not assets.asked_kinds.intersection(cutout.kinds) and rng.random() < 0.7:
                chosen[position] = _other(assets, chosen, rng)
    if task == "referring" and count > 2 and rng.random() < 0.5:
        same = [c for c in assets.cutouts if c.kinds[0] == chosen[0].kinds[0] and c not in chosen]
        if same:
            chosen[1] = same[int(rng.integers(len(same)))]
    return chosen


def _other(assets: Assets, chosen: Sequence[Cutout], rng: np.random.Generator) -> Cutout:
    asked = [c for c in assets.cutouts if assets.asked_kinds.intersection(c.kinds) and c not in chosen]
    return asked[int(rng.integers(len(asked)))]


def _find_place(
    assets: Assets, cutout: Cutout, side: float, taken: Sequence[tuple[float, ...]], rng: np.random.Generator
) -> tuple[float, float, float, float] | None:
    """Centre and extent for a thing that covers little of the others, or None when there is no room."""
    height_px, width_px = assets.cutout_pixels(cutout).shape[:2]
    width, height = side * width_px / max(width_px, height_px), side * height_px / max(width_px, height_px)
    for _ in range(12):
        # Up to a tenth of the thing may stick out of the image.
        x = _between(rng, width * 0.4, 1 - width * 0.4)
        y = _between(rng, height * 0.4, 1 - height * 0.4)
        mine = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if all(_shared(mine, other) < 0.15 for other in taken):
            return x, y, width, height
    return None


def _shared(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection of two boxes as a share of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / min(areas)


def _placement(
    cutout: Cutout, side: float, centre: tuple[float, float], task: Task, rng: np.random.Generator
) -> Placement:
    brightness = log_uniform(rng, 0.7, 1.35)
    gains = tuple(float(brightness * log_uniform(rng, 0.88, 1.14)) for _ in range(3))
    return Placement(
        cutout=cutout,
        side=side,
        centre=centre,
        angle=float(rng.normal(0, 14)) if rng.random() < 0.85 else float(rng.uniform(-180, 180)),
        mirrored=bool(rng.random() < 0.5),
        gains=(gains[0], gains[1], gains[2]),
        gamma=log_uniform(rng, 0.75, 1.33),
        camouflage=float(rng.uniform(0.55, 0.95)) if task == "camouflaged" else 0.0,
        shadow=float(rng.uniform(0.2, 0.6)) if task != "camouflaged" and rng.random() < 0.3 else 0.0,
    )


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(min(low, high), max(low, high)))
