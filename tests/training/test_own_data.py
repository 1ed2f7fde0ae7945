"""A data set from outside the package, in a file of the user's own, from the recipe to two steps of training."""

import json

from thinkseg.cli import main
from thinkseg.training.callbacks import read_log

from .conftest import METHOD

CODE = """
import numpy as np
from PIL import Image

from thinkseg.types import Sample


def corners(count, split="test"):
    assert split == "train"
    samples = []
    for index in range(count):
        target = np.zeros((64, 64), dtype=bool)
        target[: 20 + index, : 30 + index] = True
        pixels = np.where(target[..., None], 220, 40).astype(np.uint8).repeat(3, axis=2)
        samples.append(Sample(f"corner-{index}", Image.fromarray(pixels), "the bright corner", target, task="corners"))
    return samples
"""


def test_a_recipe_trains_on_samples_from_a_file_of_the_users_own(start, tmp_path, capsys):
    (tmp_path / "my_data.py").write_text(CODE, encoding="utf-8")
    recipe = {
        "stage": "rl",
        "output": str(tmp_path / "run"),
        "model": {"path": str(start)},
        "segmenter": "grabcut",
        "data": {"source": f"{tmp_path / 'my_data.py'}:corners", "options": {"count": 3}},
        "rewards": {"format": 1.0},
        "steps": 2,
        "device": "cpu",
        "trl": METHOD,
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert main(["train", "rl", str(tmp_path / "recipe.yaml")]) == 0
    assert len(read_log(tmp_path / "run" / "log.jsonl")) == 2
    assert (tmp_path / "run" / "final" / "model.safetensors").is_file()
    words = ["train", "rl", str(tmp_path / "recipe.yaml"), "--output", str(tmp_path / "other")]
    assert main([*words, "--data.options.count", "none"]) == 2
    assert "my_data.py:corners' fails where it is called: TypeError" in capsys.readouterr().err
    assert main([*words, "--data.options.sides", "3"]) == 2
    assert "it takes count, split" in capsys.readouterr().err
    assert main([*words, "--data.source", "scenes"]) == 2
    assert "'data.options' are for a source of your own, FILE.py:NAME; 'scenes' has none" in capsys.readouterr().err
