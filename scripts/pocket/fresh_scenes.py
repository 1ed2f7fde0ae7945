"""Training scenes composed as they are asked for, so that no scene is seen twice and none is learnt by heart.

The cut-outs are few, so they change every time: another width, lean and perspective, now and then other channels of
colour or only a part of the thing. Backgrounds are now and then two in one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np

from thinkseg.data.synthetic.assets import Assets, Cutout
from thinkseg.data.synthetic.composition import Scene, compose
from thinkseg.data.synthetic.scenes import _arrange

SIZE = 288
"""Side of a scene in pixels."""
TASKS = {"salient": 0.25, "camouflaged": 0.15, "referring": 0.45, "reasoning": 0.15}
"""How a scene is arranged, and how often; each asks for several things."""


@dataclasses.dataclass(frozen=True)
class ChangingAssets(Assets):
    """Assets whose pixels are changed at random each time that they are asked for."""

    rng: np.random.Generator = dataclasses.field(default_factory=np.random.default_rng)

    def cutout_pixels(self, cutout: Cutout) -> np.ndarray:
        pixels = Assets.cutout_pixels(self, cutout)
        rng = self.rng
        if rng.random() < 0.2:
            return pixels
        height, width = pixels.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        stretch = np.array([width, height]) * np.exp(rng.uniform(-0.25, 0.25, 2))
        moved = corners / (width, height) * stretch + rng.uniform(-0.1, 0.1, (4, 2)) * stretch
        moved -= moved.min(0)
        wide, high = (max(4, int(np.ceil(side))) for side in moved.max(0))
        matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
        pixels = cv2.warpPerspective(pixels, matrix, (wide, high), flags=cv2.INTER_LINEAR)
        if rng.random() < 0.12:  # only a part of it, as at the edge of an image or behind something
            share = rng.uniform(0.55, 0.9)
            if rng.random() < 0.5:
                cut = int(high * share)
                pixels = pixels[:cut] if rng.random() < 0.5 else pixels[-cut:]
            else:
                cut = int(wide * share)
                pixels = pixels[:, :cut] if rng.random() < 0.5 else pixels[:, -cut:]
        if rng.random() < 0.15:
            pixels = pixels[..., [*rng.permutation(3), 3]]
        return np.ascontiguousarray(pixels)

    def background_pixels(self, position: int) -> np.ndarray:
        pixels = Assets.background_pixels(self, position)
        rng = self.rng
        if rng.random() < 0.25:
            other = Assets.background_pixels(self, int(rng.integers(len(self.backgrounds))))
            other = cv2.resize(other, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
            ramp = np.linspace(-1, 1, pixels.shape[0], dtype=np.float32)[:, None, None]
            edge = rng.uniform(-0.5, 0.5)
            share = 1 / (1 + np.exp(np.clip((edge - ramp) / rng.uniform(0.005, 0.1), -50, 50)))
            pixels = (pixels * share + other * (1 - share)).astype(np.uint8)
        return pixels


def changing(assets: Assets, rng: np.random.Generator) -> ChangingAssets:
    """The same assets with other pixels every time."""
    fields = {field.name: getattr(assets, field.name) for field in dataclasses.fields(Assets)}
    return ChangingAssets(**fields, rng=rng)


def fresh_scenes(assets: Assets, rng: np.random.Generator) -> Iterator[tuple[str, Scene]]:
    """Scenes without end: how each was arranged, and the scene."""
    assets = changing(assets, rng)
    names, weights = list(TASKS), list(TASKS.values())
    while True:
        task = str(rng.choice(names, p=weights))
        scene = compose(assets, _arrange(assets, task, rng), SIZE, rng)
        if scene.things:
            yield task, scene
