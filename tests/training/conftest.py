"""A tiny real model as a folder to start from, and samples with a square in each image."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg import testing
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.training.config import recipe_from_settings
from thinkseg.types import Sample

METHOD = {
    "per_device_train_batch_size": 8,
    "num_generations": 4,
    "beta": 0.0,
    "loss_type": "grpo",
    "scale_rewards": "group",
    "epsilon": 0.2,
    "num_iterations": 1,
    "learning_rate": 1e-3,
    # Rewards of a model that knows nothing are all the same and teach nothing; this gives it something to do.
    "entropy_coef": 0.1,
}


def square(index: int, size: int = 64) -> Sample:
    """An image with a bright square whose place depends on the index."""
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 90, (size, size, 3), dtype=np.uint8)
    target = np.zeros((size, size), bool)
    left, top = (int(value) for value in rng.integers(0, size // 2, 2))
    target[top : top + size // 3, left : left + size // 3] = True
    pixels[target] = 220
    return Sample(f"square-{index}", Image.fromarray(pixels), "the square", target, task="salient")


@pytest.fixture(scope="session")
def squares() -> list[Sample]:
    """Six of them."""
    return [square(index) for index in range(6)]


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of a tiny reasoner that says how it is asked."""
    settings = {"format": "seg-r1", "instruction": {"system": None, "user": "{query}"}, "max_new_tokens": 12}
    return testing.save(tmp_path_factory.mktemp("start"), testing.tiny_qwen2_5_vl(), settings)


@pytest.fixture(scope="session")
def reasoner() -> TransformersReasoner:
    """A tiny reasoner in memory."""
    return TransformersReasoner(*testing.tiny_qwen2_5_vl())


@pytest.fixture
def rl_recipe(start: Path, tmp_path: Path):
    """A function from changed settings to a recipe for rl."""

    def create(**changes):
        method = METHOD | changes.pop("trl", {})
        settings = {
            "stage": "rl",
            "output": str(tmp_path / "run"),
            "model": {"path": str(start)},
            "rewards": {"segment": 1.0, "format": 0.5},
            "steps": 2,
            "device": "cpu",
            "trl": method,
        }
        return recipe_from_settings(settings | changes)

    return create


@pytest.fixture
def sft_recipe(start: Path, tmp_path: Path):
    """A function from changed settings to a recipe for sft."""

    def create(**changes):
        trl = {"per_device_train_batch_size": 2, "learning_rate": 1e-3} | changes.pop("trl", {})
        settings = {
            "stage": "sft",
            "output": str(tmp_path / "run"),
            "model": {"path": str(start)},
            "steps": 2,
            "device": "cpu",
            "trl": trl,
        }
        return recipe_from_settings(settings | changes)

    return create


@pytest.fixture
def letters(tmp_path):
    """A part of the reward that tells completions apart which cannot be read."""
    path = tmp_path / "my_rewards.py"
    path.write_text('def letters(item):\n    """Its length."""\n    return len(item.text) / 10\n')
    return {f"{path}:letters": 1.0}


def written_settings(folder: Path) -> dict:
    """A checkpoint's `thinkseg.json`."""
    return json.loads((folder / "thinkseg.json").read_text())
