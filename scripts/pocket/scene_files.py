"""The composed scenes that `write_scenes.py` wrote, opened for training."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from thinkseg.data.synthetic.composition import Scene

SIZE = 256
"""Side of a scene in pixels."""


class SceneFiles:
    """images (count, SIZE, SIZE, 3) RGB, index_maps (count, SIZE, SIZE) with n on thing n, and a line for each scene.

    Scenes without anything in them are left out of `lines`.
    """

    def __init__(self, folder: Path) -> None:
        count = (folder / "index.u8").stat().st_size // SIZE**2
        self.images = np.memmap(folder / "images.u8", np.uint8, "r", shape=(count, SIZE, SIZE, 3))
        self.index_maps = np.memmap(folder / "index.u8", np.uint8, "r", shape=(count, SIZE, SIZE))
        lines = [json.loads(line) for line in (folder / "things.jsonl").read_text(encoding="utf-8").splitlines()]
        self.lines = [line for line in lines if line["things"]]


class KeptScenes:
    """The first scenes of an endless row of them, as `SceneFiles` has them, scaled to SIZE."""

    def __init__(self, scenes: Iterator[tuple[str, Scene]], count: int) -> None:
        kept = [scene for _, scene in islice(scenes, count)]
        self.images = np.stack([cv2.resize(scene.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for scene in kept])
        nearest = cv2.INTER_NEAREST
        self.index_maps = np.stack([cv2.resize(scene.index_map, (SIZE, SIZE), interpolation=nearest) for scene in kept])
        self.lines = [{"index": index} for index, found in enumerate(self.index_maps) if found.any()]
