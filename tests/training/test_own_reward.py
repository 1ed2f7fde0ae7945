"""A part of the reward from a file of the user's own trains like any other, in the user's own answer format, too."""

import pytest

from thinkseg.answers import AnswerFormat
from thinkseg.errors import CheckpointError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.pipeline import load_pipeline
from thinkseg.rewards import RewardPart
from thinkseg.testing import FakeSegmenter
from thinkseg.training.callbacks import read_log
from thinkseg.training.stages import train_recipe

from ..conftest import example_in

LENGTH = '''\


def length(item):
    """Something that differs between completions that cannot be read."""
    return len(item.text) / 100
'''


@pytest.fixture
def code(tmp_path):
    """The folder of the user's own files."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_rewards.py").write_text(example_in(RewardPart) + LENGTH, encoding="utf-8")
    (folder / "my_format.py").write_text(example_in(AnswerFormat), encoding="utf-8")
    return folder


def test_parts_and_a_format_of_ones_own_train_two_steps(rl_recipe, squares, code):
    rewards = {f"{code}/my_rewards.py:{name}": weight for name, weight in (("coverage", 1.0), ("length", 0.5))}
    short = {"max_new_tokens": 12}  # what the start says is of its own format
    recipe = rl_recipe(format=f"{code}/my_format.py:Boxes", rewards=rewards, generation=short)
    segmenter = FakeSegmenter()
    final = train_recipe(recipe, samples=squares, segmenter=segmenter)
    with pytest.raises(CheckpointError, match="is run only when you name it yourself"):
        load_pipeline(final, FakeSegmenter())
    pipeline = load_pipeline(final, FakeSegmenter(), CheckpointConfig(format=recipe.format), device="cpu")
    assert pipeline.answer_format.name == "boxes"
    records = read_log(recipe.output / "log.jsonl")
    assert [record["step"] for record in records] == [1, 2]
    for record in records:
        coverage, length = (record[f"rewards/{name}/mean"] for name in ("coverage", "length"))
        assert length > 0
        assert record["reward"] == pytest.approx(coverage + 0.5 * length)
        assert record["grad_norm"] > 0
