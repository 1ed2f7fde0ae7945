"""The composed scenes that `write_scenes.py` wrote, opened for training."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

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
    """The first scenes of an endless row of them, as `SceneFiles` has them, as they were composed."""

    def __init__(self, scenes: Iterator[tuple[str, Scene]], count: int) -> None:
        kept = [scene for _, scene in islice(scenes, count)]
        self.images = np.stack([scene.image for scene in kept])
        self.index_maps = np.stack([scene.index_map for scene in kept])
        self.lines = [{"index": index} for index, found in enumerate(self.index_maps) if found.any()]
