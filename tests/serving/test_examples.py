"""The images that the page has to begin with: what they ask for is what the pocket models find."""

from pathlib import Path

import numpy as np
import pytest

import thinkseg
from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.scenes import create_scene
from thinkseg.serving.examples import write_examples


@pytest.mark.slow
def test_the_pocket_models_answer_every_example_right(tmp_path: Path) -> None:
    examples = write_examples(tmp_path)
    assert len(examples) == 6
    pipeline = thinkseg.load("pocket", device="cpu")
    for example in examples:
        task, index = example.image.stem.split("-")
        scene = create_scene(load_assets("test"), 11, int(index), task)  # type: ignore[arg-type]
        assert scene.query.text == example.query
        result = pipeline.segment(example.image, example.query)
        assert result.nothing_there == (task == "nothing")
        union = np.count_nonzero(result.mask | scene.target)
        assert np.count_nonzero(result.mask & scene.target) >= 0.9 * union, example
