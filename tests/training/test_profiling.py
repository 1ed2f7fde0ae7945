"""A profiled run says where its steps' seconds went, and trains as one that is not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.rewards.reward_input import Truth
from thinkseg.rewards.rubric import Rubric
from thinkseg.stopwatch import Stopwatch, timed
from thinkseg.testing import FakeSegmenter, tiny_sam2
from thinkseg.training.profiling import PROFILE, in_words, shares
from thinkseg.training.stages import train_recipe
from thinkseg.types import Sample, Size


def names(parts: list[dict[str, Any]]) -> set[str]:
    """Of parts and of those within them."""
    return {part["name"] for part in parts} | {name for part in parts for name in names(part.get("parts", []))}


def weights(final: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(final / "model.safetensors")


def test_a_profiled_run_of_reinforcement_trains_the_same_and_tells_its_parts(
    rl_recipe: Any, squares: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = rl_recipe()
    plain = train_recipe(recipe.replaced(output=tmp_path / "plain"), samples=squares, segmenter=FakeSegmenter())
    profiling = recipe.replaced(output=tmp_path / "profiled", profile=True)
    profiled = train_recipe(profiling, samples=squares, segmenter=FakeSegmenter())
    assert not (plain.parent / PROFILE).exists()
    expected, found = weights(plain), weights(profiled)
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    told = json.loads((profiled.parent / PROFILE).read_text())
    assert told["steps"] == recipe.steps
    assert {"sampling", "rubric", "loss", "log-probabilities", "backward", "optimiser"} <= names(told["parts"])
    assert sum(part["seconds"] for part in told["parts"]) == pytest.approx(told["seconds"], abs=1e-3)
    assert sum(part["share"] for part in told["parts"]) == pytest.approx(1, abs=1e-3)
    assert in_words(told) in capsys.readouterr().err


def test_the_rubrics_time_is_split_into_the_segmenters_encoding_its_decoding_and_the_rest() -> None:
    rubric = Rubric(get_format("seg-r1"), {"segment": 1.0}, PromptableSegmenter(*tiny_sam2()))
    text = "<think>it</think><bbox>[10,10,50,50]</bbox><points>[[30,30]]</points><labels>[1]</labels>"
    truth = Truth(mask=np.ones((64, 64), dtype=bool), image=Image.new("RGB", (64, 64)))
    watch = Stopwatch()
    with watch.running(), timed("rubric"):
        rubric.score([text], [truth], [Size(64, 64)])
    (rubric_part, _) = shares(watch.seconds, watch.total)
    assert names(rubric_part["parts"]) == {"segmenter, encoding", "segmenter, decoding", "the rest"}


def test_what_is_in_no_part_is_the_rest_on_each_level() -> None:
    seconds = {("rubric",): 4.0, ("rubric", "segmenter"): 3.0, ("sampling",): 5.0}
    assert shares(seconds, 10.0) == [
        {"name": "sampling", "seconds": 5.0, "share": 0.5},
        {
            "name": "rubric",
            "seconds": 4.0,
            "share": 0.4,
            "parts": [
                {"name": "segmenter", "seconds": 3.0, "share": 0.3},
                {"name": "the rest", "seconds": 1.0, "share": 0.1},
            ],
        },
        {"name": "the rest", "seconds": 1.0, "share": 0.1},
    ]


def test_a_profile_in_words_has_the_seconds_of_a_step_in_columns() -> None:
    parts = shares({("sampling",): 2.0, ("sampling", "model"): 1.0}, 8.0)
    found = {"steps": 4, "seconds": 8.0, "device": "2 CPUs", "parts": parts}
    assert in_words(found).splitlines() == [
        "a step took 2.00 s on average of 4, on 2 CPUs:",
        "  sampling       0.500 s   25.0 %",
        "    model        0.250 s   12.5 %",
        "    the rest     0.250 s   12.5 %",
        "  the rest       1.500 s   75.0 %",
    ]
