"""The composed scenes that `write_scenes.py` wrote, opened for training."""

import json
from pathlib import Path

import numpy as np

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
