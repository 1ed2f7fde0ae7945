"""Endless photographic scenes with exact masks, composed from the pocket cut-outs and backgrounds.

A scene is a function of (seed, index): the same numbers give the same pixels on every machine with the same library
versions. Held-out scenes (`split="test"`) share neither a cut-out nor a background with the training scenes.

To see some: ``python -m thinkseg.data.scenes SHEET.png``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from thinkseg.data.pictures import Cutout, Pictures, Split, load_pictures
from thinkseg.data.queries import TASKS, Query, Task, Thing, colour_of, create_query
from thinkseg.errors import DataError
from thinkseg.geometry import reference_answer
from thinkseg.types import Answer, Mask, Sample, Size

DEFAULT_SIZE = 448
"""Side of a scene in pixels."""

DEFAULT_TASKS: Mapping[Task, float] = {
    "salient": 0.25,
    "camouflaged": 0.15,
    "referring": 0.3,
    "reasoning": 0.15,
    "nothing": 0.15,
}
"""How often each task is drawn when a caller does not say."""

SMALLEST_VISIBLE = 0.0012
"""Share of the picture below which a thing counts as covered up and is not asked for."""

Canvas = Float32[np.ndarray, "height width 3"]


@dataclass(slots=True)
class Placement:
    """Where and how a cut-out is put into the scene, in units of the scene's side."""

    cutout: Cutout
    side: float
    """Longest side of the cut-out."""
    centre: tuple[float, float]
    angle: float
    """Degrees, counter-clockwise."""
    mirrored: bool
    gains: tuple[float, float, float]
    """Factors on red, green and blue."""
    gamma: float
    camouflage: float = 0.0
    """0: as it is; towards 1: recoloured and blended into what is behind it."""
    shadow: float = 0.0
    """Darkness of a soft shadow beside the thing, 0…1."""


@dataclass(slots=True)
class Scene:
    """A composed picture with all that is known about it."""

    image: UInt8[np.ndarray, "height width 3"]
    """RGB."""
    index_map: UInt8[np.ndarray, "height width"]
    """0 on the background, n on the visible pixels of things[n - 1]."""
    things: list[Thing] = field(default_factory=list)
    query: Query = field(default_factory=lambda: Query("salient", "", None, ""))

    @property
    def target(self) -> Mask:
        """The mask that the query asks for; all False when it names nothing in the scene."""
        if self.query.target is None:
            return np.zeros(self.index_map.shape, dtype=bool)
        mask: Mask = self.index_map == self.query.target + 1
        return mask


def create_scene(pictures: Pictures, seed: int, index: int, task: Task, size: int = DEFAULT_SIZE) -> Scene:
    """Compose scene number `index` of a task: pixels, masks, and a query with one right answer (or none, for "nothing").

    The arrangement is in units of the side, so that the same (seed, index, task) at another size is the same scene.
    """
    for attempt in range(20):
        rng = np.random.default_rng([seed, index, TASKS.index(task), attempt])
        placements = _arrange(pictures, task, rng)
        scene = _compose(pictures, placements, size, rng)
        query = create_query(task, scene.things, pictures, rng)
        if query is not None:
            scene.query = query
            return scene
    raise DataError(f"No {task} scene could be composed from these pictures; are there enough cut-outs of each kind?")


class Scenes(Sequence[Sample]):
    """A sequence of samples, each composed when it is asked for; use `load_scenes` to make one."""

    def __init__(self, pictures: Pictures, count: int, seed: int, tasks: Mapping[Task, float], size: int) -> None:
        self._pictures = pictures
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
        return create_scene(self._pictures, self._seed, index, self.task_of(index), self._size)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        index %= self._count
        scene = self.scene(index)
        target = scene.target
        frame = Size(self._size, self._size)
        masks = target[None] if target.any() else np.zeros((0, *target.shape), dtype=bool)
        answer = reference_answer(masks) if len(masks) else Answer(frame)
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
    split: Split = "test",
    count: int = 512,
    seed: int = 0,
    tasks: Mapping[Task, float] | None = None,
    size: int = DEFAULT_SIZE,
) -> Scenes:
    """Samples of composed scenes.

    Args:
        split: "train" or "test"; they share no cut-out and no background.
        count: how many.
        seed: scenes with different seeds differ.
        tasks: weight of each task (see `DEFAULT_TASKS`).
        size: side of a scene in pixels, at least 32.

    Raises:
        DataError: an unknown split or task, a size or count that cannot be, or the pocket pictures are missing.
    """
    tasks = DEFAULT_TASKS if tasks is None else tasks
    unknown = sorted(set(tasks) - set(TASKS))
    if unknown:
        raise DataError(f"Expected tasks among {', '.join(TASKS)}; found {', '.join(unknown)}.")
    if not any(weight > 0 for weight in tasks.values()):
        raise DataError("Expected at least one task with a weight above 0, found none.")
    if size < 32 or count < 0:
        raise DataError(f"Expected a size of at least 32 and a count of at least 0, found {size} and {count}.")
    return Scenes(load_pictures(split), count, seed, tasks, size)


# --- arranging: what goes where, in units of the side --------------------------------------------------------------


def _arrange(pictures: Pictures, task: Task, rng: np.random.Generator) -> list[Placement]:
    """Choose cut-outs and places, the farthest thing first."""
    if task == "salient":
        distractors = int(rng.choice([0, 0, 0, 1, 2]))
        sides = [float(rng.uniform(0.1, 0.2)) for _ in range(distractors)] + [_log_uniform(rng, 0.3, 0.98)]
    elif task == "camouflaged":
        sides = [_log_uniform(rng, 0.2, 0.95)]
    else:
        count = int(rng.integers(2 if task == "referring" else 1, 6))
        largest = {1: 0.95, 2: 0.65, 3: 0.55, 4: 0.45, 5: 0.4}[count]
        sides = [_log_uniform(rng, 0.13, largest) for _ in range(count)]
    cutouts = _choose_cutouts(pictures, task, len(sides), rng)
    placements: list[Placement] = []
    taken: list[tuple[float, float, float, float]] = []
    for cutout, side in zip(cutouts, sides, strict=True):
        place = _find_place(pictures, cutout, side, taken, rng)
        if place is None:
            continue
        x, y, width, height = place
        taken.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        placements.append(_placement(cutout, side, (x, y), task, rng))
    return placements


def _choose_cutouts(pictures: Pictures, task: Task, count: int, rng: np.random.Generator) -> list[Cutout]:
    """Different cut-outs; in a referring scene two of a kind now and then, so that the kind alone does not decide."""
    chosen = [pictures.cutouts[int(i)] for i in rng.choice(len(pictures.cutouts), size=count, replace=False)]
    if task in ("referring", "reasoning", "nothing"):
        # Things that can be asked for by kind are preferred: half of the others are drawn again.
        for position, cutout in enumerate(chosen):
            if not pictures.asked_kinds.intersection(cutout.kinds) and rng.random() < 0.7:
                chosen[position] = _other(pictures, chosen, rng)
    if task == "referring" and count > 2 and rng.random() < 0.5:
        same = [c for c in pictures.cutouts if c.kinds[0] == chosen[0].kinds[0] and c not in chosen]
        if same:
            chosen[1] = same[int(rng.integers(len(same)))]
    return chosen


def _other(pictures: Pictures, chosen: Sequence[Cutout], rng: np.random.Generator) -> Cutout:
    asked = [c for c in pictures.cutouts if pictures.asked_kinds.intersection(c.kinds) and c not in chosen]
    return asked[int(rng.integers(len(asked)))]


def _find_place(
    pictures: Pictures, cutout: Cutout, side: float, taken: Sequence[tuple[float, ...]], rng: np.random.Generator
) -> tuple[float, float, float, float] | None:
    """Centre and extent for a thing that covers little of the others, or None when there is no room."""
    height_px, width_px = pictures.cutout_pixels(cutout).shape[:2]
    width, height = side * width_px / max(width_px, height_px), side * height_px / max(width_px, height_px)
    for _ in range(12):
        # Up to a tenth of the thing may stick out of the picture.
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
    brightness = _log_uniform(rng, 0.7, 1.35)
    gains = tuple(float(brightness * _log_uniform(rng, 0.88, 1.14)) for _ in range(3))
    return Placement(
        cutout=cutout,
        side=side,
        centre=centre,
        angle=float(rng.normal(0, 14)) if rng.random() < 0.85 else float(rng.uniform(-180, 180)),
        mirrored=bool(rng.random() < 0.5),
        gains=(gains[0], gains[1], gains[2]),
        gamma=_log_uniform(rng, 0.75, 1.33),
        camouflage=float(rng.uniform(0.55, 0.95)) if task == "camouflaged" else 0.0,
        shadow=float(rng.uniform(0.2, 0.6)) if task != "camouflaged" and rng.random() < 0.3 else 0.0,
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(min(low, high), max(low, high)))


# --- composing: pixels ---------------------------------------------------------------------------------------------


def _compose(pictures: Pictures, placements: Sequence[Placement], size: int, rng: np.random.Generator) -> Scene:
    canvas = _background(pictures, size, rng)
    index_map = np.zeros((size, size), dtype=np.uint8)
    for number, placement in enumerate(placements, start=1):
        _paste(canvas, index_map, number, pictures.cutout_pixels(placement.cutout), placement)
    _light(canvas, rng)
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    image = _lens(image, rng)
    return _described(image, index_map, placements)


def _background(pictures: Pictures, size: int, rng: np.random.Generator) -> Canvas:
    """A random crop of a random background, now and then mirrored, blurred or recoloured."""
    pixels = pictures.background_pixels(int(rng.integers(len(pictures.backgrounds))))
    height, width = pixels.shape[:2]
    side = int(min(height, width) * rng.uniform(0.45, 1.0))
    x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    crop = pixels[y : y + side, x : x + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    quarter_turns = int(rng.choice([0, 0, 0, 1, 2, 3]))
    crop = np.ascontiguousarray(np.rot90(crop, quarter_turns))
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
    canvas = crop.astype(np.float32)
    if rng.random() < 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), sigmaX=size * rng.uniform(0.003, 0.02))
    gains = np.array([_log_uniform(rng, 0.75, 1.3) for _ in range(3)], dtype=np.float32)
    canvas *= gains
    return canvas


def _paste(
    canvas: Canvas,
    index_map: UInt8[np.ndarray, "height width"],
    number: int,
    cutout: UInt8[np.ndarray, "rows columns 4"],
    placement: Placement,
) -> None:
    """Put a cut-out on the canvas and its opaque pixels (alpha above a half) on the index map."""
    size = canvas.shape[0]
    rows, columns = cutout.shape[:2]
    scale = placement.side * size / max(rows, columns)
    if scale < 0.8:
        # An affine warp samples, so that a large picture must be made small by averaging first.
        new_wh = max(1, round(columns * scale)), max(1, round(rows * scale))
        cutout = cv2.resize(cutout, new_wh, interpolation=cv2.INTER_AREA)
        rows, columns = cutout.shape[:2]
        scale = placement.side * size / max(rows, columns)
    rgba = cutout.astype(np.float32)
    rgba[..., :3] = _recoloured(rgba[..., :3], placement)
    rgba[..., :3] *= rgba[..., 3:] / 255
    radians = math.radians(placement.angle)
    cos, sin = scale * math.cos(radians), scale * math.sin(radians)
    flip = -1.0 if placement.mirrored else 1.0
    x, y = placement.centre[0] * size, placement.centre[1] * size
    matrix = np.array([[flip * cos, sin, 0], [-flip * sin, cos, 0]], dtype=np.float64)
    matrix[:, 2] = np.array([x, y]) - matrix[:, :2] @ np.array([columns / 2, rows / 2])
    reach = math.hypot(rows, columns) * scale / 2 + 2
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    right, bottom = min(size, int(x + reach) + 1), min(size, int(y + reach) + 1)
    if right <= left or bottom <= top:
        return
    matrix[:, 2] -= (left, top)
    layer = cv2.warpAffine(rgba, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    alpha = layer[..., 3:] / 255
    behind = canvas[top:bottom, left:right]
    if placement.shadow:
        soft = cv2.GaussianBlur(alpha[..., 0], (0, 0), sigmaX=max(1.0, 0.02 * size))
        shift = max(1, round(0.012 * size))
        behind *= 1 - placement.shadow * np.roll(soft, (shift, shift), (0, 1))[..., None]
    colour = layer[..., :3]
    if placement.camouflage:
        colour = _camouflaged(colour, alpha, behind, placement.camouflage)
    behind *= 1 - alpha
    behind += colour
    index_map[top:bottom, left:right][alpha[..., 0] > 0.5] = number


def _recoloured(rgb: Float32[np.ndarray, "h w 3"], placement: Placement) -> Float32[np.ndarray, "h w 3"]:
    """Gamma and channel gains, as of another camera in another light."""
    table = (np.arange(256, dtype=np.float32) / 255) ** np.float32(placement.gamma) * 255
    out: Float32[np.ndarray, "h w 3"] = table[rgb.astype(np.uint8)] * np.array(placement.gains, dtype=np.float32)
    return out


def _camouflaged(
    colour: Float32[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w 1"],
    behind: Float32[np.ndarray, "h w 3"],
    strength: float,
) -> Float32[np.ndarray, "h w 3"]:
    """The thing's (premultiplied) colours moved to the mean and spread of its surroundings, and mixed with them."""
    solid = alpha[..., 0] > 0.5
    if solid.sum() < 8:
        return colour
    pixels = colour[solid]
    around = behind.reshape(-1, 3)
    spread = pixels.std(axis=0) + 1
    ratio = np.minimum(around.std(axis=0) / spread, 1.5)
    moved = (colour - alpha * pixels.mean(axis=0)) * ratio + alpha * around.mean(axis=0)
    blended = moved * 0.75 + alpha * behind * 0.25
    mixed: Float32[np.ndarray, "h w 3"] = strength * blended + (1 - strength) * colour
    return mixed


def _light(canvas: Canvas, rng: np.random.Generator) -> None:
    """A slope of light across the scene, and a cast of colour on all of it, in place."""
    size = canvas.shape[0]
    if rng.random() < 0.6:
        angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.3)
        axis = np.linspace(-1, 1, size, dtype=np.float32)
        slope = axis[None] * math.cos(angle) + axis[:, None] * math.sin(angle)
        canvas *= (1 + depth * slope)[..., None].astype(np.float32)
    canvas *= np.array([_log_uniform(rng, 0.9, 1.1) for _ in range(3)], dtype=np.float32)


@lru_cache(maxsize=4)
def _grain(size: int) -> Float32[np.ndarray, "height width 3"]:
    """A fixed tile of noise with unit spread: rolled, it is as good as new and a hundred times as quick."""
    return np.random.default_rng(0).standard_normal((size, size, 3), dtype=np.float32)


def _lens(image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """Blur and grain."""
    size = image.shape[0]
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), sigmaX=max(0.3, size / 448 * rng.uniform(0.4, 1.4)))
    if rng.random() < 0.5:
        tile = np.roll(_grain(size), tuple(int(i) for i in rng.integers(0, size, 2)), (0, 1))
        image = np.clip(image + tile * np.float32(rng.uniform(2, 9)), 0, 255).astype(np.uint8)
    return image


def _described(
    image: UInt8[np.ndarray, "h w 3"], index_map: UInt8[np.ndarray, "h w"], placements: Sequence[Placement]
) -> Scene:
    """Renumber the things that can still be seen, and say what and where each one is."""
    things: list[Thing] = []
    renumbered = np.zeros_like(index_map)
    for number, placement in enumerate(placements, start=1):
        mask = index_map == number
        area = float(mask.mean())
        if area < SMALLEST_VISIBLE:
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        side = index_map.shape[0]
        box = (columns[0] / side, rows[0] / side, (columns[-1] + 1) / side, (rows[-1] + 1) / side)
        things.append(
            Thing(
                name=placement.cutout.name,
                kinds=placement.cutout.kinds,
                box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                area=area,
                colour="" if placement.camouflage else colour_of(image[mask]),
            )
        )
        renumbered[mask] = len(things)
    return Scene(image, renumbered, things)
