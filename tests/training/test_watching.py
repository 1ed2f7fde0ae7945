"""Whoever watches a run sees the same samples at every validation: in its folder, on its page, where it is tracked."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from thinkseg.evaluation.record_file import read_records
from thinkseg.testing import FakeSegmenter
from thinkseg.training.callbacks import read_log
from thinkseg.training.curves import curves_of, thinned
from thinkseg.training.holding_out import HeldOut
from thinkseg.training.next_step import next_command
from thinkseg.training.run_page import RELOAD, RunFacts, RunPage
from thinkseg.training.runs import TrainingStopped
from thinkseg.training.sheets import steps_drawn
from thinkseg.training.stages import train_recipe
from thinkseg.training.trackers import show_sheet

from .conftest import square

HELD_OUT = [square(index) for index in (10, 11, 12)]
SHEETS = ["step_000000.jpg", "step_000001.jpg", "step_000002.jpg"]


@pytest.fixture(scope="module")
def run(start, squares, tmp_path_factory) -> Path:
    """The folder of a run that was validated after each of its two steps."""
    from thinkseg.training.config import recipe_from_settings

    folder = tmp_path_factory.mktemp("watched") / "run"
    recipe = recipe_from_settings(
        {
            "stage": "sft",
            "output": str(folder),
            "model": {"path": str(start)},
            "steps": 2,
            "device": "cpu",
            "validation": {"every": 1, "shown": 2},
            "trl": {"per_device_train_batch_size": 2, "learning_rate": 1e-3},
        }
    )
    train_recipe(recipe, samples=HeldOut(squares, HELD_OUT, "three squares"), segmenter=FakeSegmenter())
    return folder


def test_a_sheet_and_the_records_of_each_validation_lie_in_the_folder(run):
    assert sorted(path.name for path in (run / "samples").iterdir()) == SHEETS
    with Image.open(run / "samples" / SHEETS[-1]) as sheet:
        assert sheet.width > 1200  # two samples side by side, truth and prediction of each
    records = read_records(run / "validation" / "step_000002.jsonl")
    assert [record.id for record in records] == ["square-10", "square-11", "square-12"]
    logged = next(record for record in reversed(read_log(run / "log.jsonl")) if "eval_iou" in record)
    assert logged["eval_iou"] == pytest.approx(sum(record.iou for record in records) / 3)


def test_the_page_of_a_finished_run_tells_how_it_went_and_loads_nothing(run):
    page = (run / "report.html").read_text()
    assert "Finished: step 2 of 2" in page
    assert "three squares" in page
    assert "held-out mean IoU" in page
    assert "learning rate" in page
    assert 'http-equiv="refresh"' not in page
    assert "<script" not in page
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) >= 2 * 2  # of each sample what was asked for, and one validation at least
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert not re.search(r'(href|src)="(http|/)', page)
    assert len(page) < 1_000_000
    assert f"--model {run}" in page  # the next command


class Clock:
    """Seconds and the time of day, as they are set."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds

    def now(self):
        return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)


def page_in(folder, clock, **how):
    return RunPage(folder, RunFacts("rl", 4, "thinkseg train rl x", {"model": "<b>mine</b>"}), clock=clock,
                   now=clock.now, **how)  # fmt: skip


def log(folder, *records):
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def test_the_page_of_a_run_that_goes_on_reloads_itself_and_is_written_now_and_then(tmp_path):
    clock = Clock()
    page = page_in(tmp_path, clock)
    page.begin()
    told = []
    on_step = page.following(lambda *words: told.append(words))
    log(tmp_path, {"step": 1, "seconds": 2.0, "reward": 0.5, "rewards/segment/mean": 0.4})
    on_step(1, 4, {"step": 1})
    first = (tmp_path / "report.html").read_text()
    assert f'<meta http-equiv="refresh" content="{RELOAD}">' in first
    assert "Running: step 1 of 4" in first
    assert "first: 0.500; mean of 1 step<" in first
    assert "About 6 s left" in first
    assert "reward for segment" in first
    assert "&lt;b&gt;mine&lt;/b&gt;" in first
    log(tmp_path, {"step": 2, "seconds": 2.0, "reward": 0.5})
    clock.seconds = RELOAD - 1
    on_step(2, 4, {"step": 2})
    assert (tmp_path / "report.html").read_text() == first
    clock.seconds = RELOAD
    on_step(3, 4, {"step": 3})
    assert "Running: step 2 of 4" in (tmp_path / "report.html").read_text()
    assert [step for step, _, _ in told] == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "title", "sentence"),
    [
        (TrainingStopped(Path("c"), 2, 4), "Stopped: step 2 of 4", "--resume goes on from there"),
        (ValueError("a <bad> value"), "Failed: step 2 of 4", "a &lt;bad&gt; value"),
    ],
)
def test_the_page_says_what_ended_a_run_before_its_time(tmp_path, error, title, sentence):
    page = page_in(tmp_path, Clock())
    log(tmp_path, {"step": 2, "loss": 0.5})
    page.begin()
    with pytest.raises(type(error)), page.kept_up():
        raise error
    text = (tmp_path / "report.html").read_text()
    assert title in text
    assert sentence in text
    assert 'http-equiv="refresh"' not in text


def test_a_run_that_is_refused_before_it_begins_has_no_page(tmp_path):
    with pytest.raises(ValueError, match="no"), page_in(tmp_path, Clock()).kept_up():
        raise ValueError("no")
    assert not (tmp_path / "report.html").exists()


def test_a_page_shows_the_first_the_best_and_the_latest_validation():
    assert steps_drawn([(0, 0.1), (5, 0.4), (10, 0.4), (15, 0.3)]) == [0, 5, 15]
    assert steps_drawn([(0, 0.5), (5, 0.4)]) == [0, 5]
    assert steps_drawn([]) == []


def test_curves_have_the_parts_of_the_reward_behind_it_and_leave_out_what_no_step_has():
    records = [{"step": 1, "reward": 1.0, "rewards/format/mean": 0.5}, {"step": 1, "eval_iou": 0.25}]
    curves = curves_of(records, {"eval_iou": "IoU", "reward": "reward", "kl": "KL"})
    assert curves == {
        "IoU": ([1, 1], [None, 0.25]),
        "reward": ([1, 1], [1.0, None]),
        "reward for format": ([1, 1], [0.5, None]),
    }


def test_a_long_curve_is_drawn_by_means_of_neighbours():
    steps, values = thinned((list(range(1, 10_001)), [float(step) for step in range(1, 10_001)]), most=100)
    assert len(steps) == 100
    assert steps[-1] == 10_000
    assert values[0] == 50.5  # the mean of 1 … 100


SHEET = Image.new("RGB", (8, 6), (10, 20, 30))


class Writer:
    """Keeps what it is called with, as TensorBoard's writer, `wandb` and `trackio` are called."""

    def __init__(self):
        self.calls = []

    def add_image(self, tag, image, step, dataformats):
        self.calls.append((tag, image.shape, step, dataformats))

    def flush(self):
        self.calls.append("flush")

    def Image(self, image, caption):  # noqa: N802, as it is called there
        return image.size, caption

    def log(self, values):
        self.calls.append(values)


class TensorBoardCallback:
    def __init__(self, writer):
        self.tb_writer = writer


class WandbCallback:
    def __init__(self, writer):
        self._wandb = writer


class TrackioCallback:
    def __init__(self, writer):
        self._trackio = writer


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        (TensorBoardCallback, [("eval/samples", (6, 8, 3), 50, "HWC"), "flush"]),
        (WandbCallback, [{"eval/samples": ((8, 6), "step 50"), "train/global_step": 50}]),
        (TrackioCallback, [{"eval/samples": ((8, 6), "step 50"), "train/global_step": 50}]),
    ],
)
def test_a_sheet_reaches_whatever_the_run_is_reported_to(kind, calls):
    writer = Writer()
    callbacks = [SimpleNamespace(), kind(writer)]
    trainer = SimpleNamespace(
        callback_handler=SimpleNamespace(callbacks=callbacks), state=SimpleNamespace(global_step=50)
    )
    show_sheet(trainer, SHEET, "step 50")
    assert writer.calls == calls


def test_these_are_the_names_that_transformers_calls_its_callbacks_by_and_keeps_its_writers_under():
    import inspect

    from transformers.integrations import integration_utils

    from thinkseg.training.trackers import TRACKERS

    for name, attribute in zip(TRACKERS, ("self.tb_writer", "self._wandb", "self._trackio"), strict=True):
        assert attribute in inspect.getsource(getattr(integration_utils, name))


def test_numbers_and_sheets_of_a_real_run_reach_tensorboard(sft_recipe, squares, monkeypatch, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    recipe = sft_recipe(validation={"every": 1}, trl={"report_to": "tensorboard"})
    train_recipe(recipe, samples=HeldOut(squares, HELD_OUT), segmenter=FakeSegmenter())
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [event.step for event in events.Images("eval/samples")] == [0, 1, 2]
    assert [event.step for event in events.Scalars("eval/iou")] == [0, 1, 2]
    assert np.isfinite([event.value for event in events.Scalars("train/loss")]).all()


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({"data": {"source": "scenes"}}, "thinkseg evaluate scenes --model OUT/final --out OUT/evaluated"),
        (
            {"data": {"source": "dataset", "name": "cod10k, camo", "root": "/data"}},
            "thinkseg evaluate cod10k camo --data /data --model OUT/final --out OUT/evaluated",
        ),
        (
            {"data": {"source": "folders", "images": "a", "masks": "b"}},
            "thinkseg segment PHOTO.jpg --query 'the main object' --model OUT/final",
        ),
        (
            {"data": {"source": "my.py:samples"}, "format": "my.py:Mine", "segmenter": "my.py:Boxes"},
            "thinkseg segment PHOTO.jpg --query 'the main object' --model OUT/final --format my.py:Mine "
            "--segmenter my.py:Boxes",
        ),
    ],
)
def test_the_next_command_is_filled_in(rl_recipe, tmp_path, changes, command):
    recipe = rl_recipe(**changes)
    assert next_command(recipe, tmp_path / "final") == command.replace("OUT", str(tmp_path))


def test_the_next_command_takes_the_best_model_and_the_part_that_was_not_trained_on(rl_recipe, tmp_path):
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text("image,query\n")
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "validation.json").write_text('{"step": 5, "eval_iou": 0.5}')
    recipe = rl_recipe(data=str(tmp_path / "train.csv"))
    told = f"thinkseg evaluate --data {tmp_path}/test.csv --model {tmp_path}/best --out {tmp_path}/evaluated"
    assert next_command(recipe, tmp_path / "final") == told
