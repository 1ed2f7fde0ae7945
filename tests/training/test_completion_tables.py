"""What TRL shows of completions stands beside the results, and nothing of the training depends on it."""

import random
import sys

import pyarrow.parquet as pq
import pytest

from thinkseg.testing import FakeSegmenter
from thinkseg.training.callbacks import read_log
from thinkseg.training.completion_tables import show_aside
from thinkseg.training.stages import train_recipe


def test_completions_are_shown_on_stderr_and_kept_in_a_file_for_each_step(rl_recipe, squares, capsys):
    recipe = rl_recipe(trl={"log_completions": True, "num_completions_to_print": 2})
    train_recipe(recipe, samples=squares, segmenter=FakeSegmenter())
    pytest.importorskip("rich")  # with which TRL prints
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("Step 1") == 1
    assert printed.err.count("Step 2") == 1  # and not once more at the end
    files = sorted((recipe.output / "completions").iterdir())
    assert [file.name for file in files] == ["completions_00001.parquet", "completions_00002.parquet"]
    table = pq.read_table(files[0]).to_pydict()
    assert len(table["completion"]) == 8
    assert {"prompt", "segment", "format", "advantage", "malformed"} <= table.keys()


class Trainer:
    """One that draws what it shows, and prints it."""

    log_completions = True

    def log(self, logs):
        if self.log_completions:
            sys.stdout.write(f"{random.random()} {logs}")


def test_what_is_drawn_to_be_shown_is_not_missing_in_the_training(capsys):
    trainer, state = Trainer(), random.getstate()
    show_aside(trainer)
    trainer.log({"reward": 0.5})
    assert random.getstate() == state
    assert "{'reward': 0.5}" in capsys.readouterr().err


def test_a_trainer_that_shows_nothing_stays_as_it_is():
    trainer = Trainer()
    trainer.log_completions = False
    log = trainer.log
    show_aside(trainer)
    assert trainer.log == log


def test_a_run_learns_the_same_whether_or_not_its_completions_are_shown(rl_recipe, squares, tmp_path):
    losses = []
    for shown in (True, False):
        trl = {"log_completions": shown, "num_completions_to_print": 1}
        recipe = rl_recipe(trl=trl, output=str(tmp_path / str(shown)))
        train_recipe(recipe, samples=squares, segmenter=FakeSegmenter())
        losses.append([record["loss"] for record in read_log(recipe.output / "log.jsonl")])
    assert losses[0] == losses[1]
