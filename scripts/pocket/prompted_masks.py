"""Images with masks and prompts about them, for the pocket segmenter to learn from."""

import cv2
import numpy as np
from fresh_scenes import fresh_scenes

from thinkseg.data.synthetic.assets import Assets
from thinkseg.data.synthetic.composition import Scene

SLOTS = 4
"""Points of a prompt at most."""
PAD_LABEL = -10
"""What a slot without a point is labelled."""


class SceneBatches:
    """Batches of images with things to segment; scenes are composed as they are asked for, each of them once."""

    def __init__(self, assets: Assets, rng: np.random.Generator) -> None:
        self.rng = rng
        self._scenes = fresh_scenes(assets, rng)

    def batch(self, images: int, prompts: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Images (images, size, size, 3), uint8, and masks (images, prompts, size, size), none of them empty."""
        pixels = np.empty((images, size, size, 3), np.uint8)
        masks = np.zeros((images, prompts, size, size), bool)
        filled = 0
        while filled < images:
            image, index_map = self._augmented(next(self._scenes)[1], size)
            numbers, areas = np.unique(index_map[index_map > 0], return_counts=True)
            numbers = numbers[areas > 0.0015 * size * size]
            if len(numbers) == 0:
                continue
            chosen = self.rng.permutation(np.tile(numbers, -(-prompts // len(numbers))))[:prompts]
            pixels[filled] = image
            masks[filled] = index_map[None] == chosen[:, None, None]
            filled += 1
        return pixels, masks

    def _augmented(self, scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray]:
        """A random square window (now and then larger than life), a mirror, and a mix of the colour channels."""
        rng, image, index_map = self.rng, scene.image, scene.index_map
        if rng.random() < 0.35:
            whole = len(image)
            side = int(whole * rng.uniform(0.55, 1.0))
            x, y = rng.integers(0, whole - side + 1, 2)
            image, index_map = image[y : y + side, x : x + side], index_map[y : y + side, x : x + side]
        if len(image) != size:
            image = resized(image, size)
            index_map = cv2.resize(index_map, (size, size), interpolation=cv2.INTER_NEAREST)
        if rng.random() < 0.5:
            image, index_map = image[:, ::-1], index_map[:, ::-1]
        if rng.random() < 0.3:
            image = image[..., rng.permutation(3)]
        if rng.random() < 0.4:
            gains = rng.uniform(0.7, 1.3, 3).astype(np.float32)
            image = np.clip(image * gains, 0, 255).astype(np.uint8)
        return image, index_map


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """A square image, `size` pixels on a side."""
    method = cv2.INTER_AREA if len(image) > size else cv2.INTER_LINEAR
    return cv2.resize(image, (size, size), interpolation=method)


def prompts_of(masks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prompts for masks (images, prompts, size, size), of all the kinds that a reasoner may give.

    Returns:
        boxes (images, prompts, 4), points (images, prompts, SLOTS, 2) in pixels, labels (images, prompts, SLOTS): 1 on
        the thing, 0 off it, `PAD_LABEL` where there is no point.
    """
    images, prompts, size, _ = masks.shape
    boxes = np.zeros((images, prompts, 4), np.float32)
    points = np.zeros((images, prompts, SLOTS, 2), np.float32)
    labels = np.full((images, prompts, SLOTS), PAD_LABEL, np.int64)
    for i in range(images):
        for j in range(prompts):
            mask = masks[i, j]
            box = box_around(mask)
            boxes[i, j] = jittered(box, size, rng)
            kind = rng.random()
            count_on = 0 if kind < 0.3 else 1 if kind < 0.75 else int(rng.integers(1, SLOTS))
            count_off = int(rng.integers(0, SLOTS - count_on + 1)) if kind > 0.8 else 0
            for slot in range(count_on + count_off):
                on = slot < count_on
                point = inner_point(mask, rng) if on else outer_point(mask, box, rng)
                if point is not None:
                    points[i, j, slot], labels[i, j, slot] = point, int(on)
    return boxes, points, labels


def box_around(mask: np.ndarray) -> np.ndarray:
    """x_min, y_min, x_max, y_max of a mask that is not empty, the last two past its last pixel."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def jittered(box: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Sides moved by a normal share of the box's own: 4 % mostly, sometimes none or as much as a weak reasoner's."""
    spread = rng.choice([0.0, 0.04, 0.04, 0.1])
    return moved_sides(box, spread, size, rng)


def moved_sides(box: np.ndarray, spread: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """The box with each side moved by a normal share of its length; as it was, should nothing be left of it."""
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    moved = np.clip(box + rng.normal(0, 1, 4) * spread * sides, 0, size)
    return moved.astype(np.float32) if (moved[2:] - moved[:2] > 2).all() else box


def centre_of_largest_circle(mask: np.ndarray) -> tuple[float, float]:
    """The pixel that is farthest from the mask's edge; the border of the image is an edge."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    y, x = divmod(int(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1].argmax()), mask.shape[1])
    return float(x), float(y)


def inner_point(mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The centre of the largest inscribed circle half of the time, else any pixel of the mask."""
    if rng.random() < 0.5:
        return centre_of_largest_circle(mask)
    spots = np.flatnonzero(mask)
    y, x = divmod(int(spots[rng.integers(len(spots))]), mask.shape[1])
    return float(x), float(y)


def outer_point(mask: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> tuple[float, float] | None:
    """A pixel off the mask, within the box or a little beyond it; None when none is found quickly."""
    size = mask.shape[0]
    margin = 0.1 * (box[2:] - box[:2])
    for _ in range(8):
        x, y = rng.uniform(np.maximum(box[:2] - margin, 0), np.minimum(box[2:] + margin, size - 1))
        if not mask[int(y), int(x)]:
            return float(int(x)), float(int(y))
    return None
