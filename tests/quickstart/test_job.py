import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from thinkseg.errors import InputError
from thinkseg.quickstart.job import (
    BEFORE,
    QuickstartSettings,
    Tools,
    claim_folder,
    curves_from_log,
    finish,
    run_quickstart,
)
from thinkseg.types import Sample


class PowerCut(Exception):
    """The machine went away."""


@dataclass
class Named:
    name: str = "fake"


@dataclass
class Workshop:
    """Fakes for the parts: a start that sees half of each object, a training that makes it see `learned` of it."""

    samples: Sequence[Sample]
    create_pipeline: Callable[..., Any]
    start: Path
    learned: float = 0.8
    loaded: list[str] = field(default_factory=list)
    trainings: int = 0
    breaks_in: str = ""

    def load(self, model: str) -> Any:
        self.loaded.append(Path(model).name)
        share = 0.5 if model == str(self.start) else float((Path(model) / "share").read_text())
        pipeline = self.create_pipeline(share=share)
        pipeline.answer_format = Named()
        if self.breaks_in == Path(model).name:
            pipeline.predict = self._break_off(pipeline.predict)
        return pipeline

    def train(self, folder: Path) -> Path:
        self.trainings += 1
        if self.breaks_in == "training":
            (folder / "checkpoint-1").mkdir(parents=True)
            raise PowerCut
        final = folder / "final"
        final.mkdir(parents=True)
        (final / "config.json").write_text("{}")
        (final / "share").write_text(str(self.learned))
        lines = [{"step": step, "reward": step / 3, "rewards/format/mean": 1.0} for step in (1, 2, 3)]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return final

    def tools(self) -> Tools:
        return Tools(self.load, self.train, self.samples, batch_size=4, command="thinkseg quickstart")

    def _break_off(self, predict: Callable[..., Any]) -> Callable[..., Any]:
        def once(samples: Sequence[Sample], batch_size: int) -> Any:
            yield next(predict(samples, batch_size))
            raise PowerCut

        return once


@pytest.fixture
def workshop(tmp_path: Path, create_samples: Any, create_pipeline: Any) -> Workshop:
    start = tmp_path / "start"
    start.mkdir()
    (start / "config.json").write_text("{}")
    return Workshop(create_samples(36), create_pipeline, start)


@pytest.fixture
def settings(workshop: Workshop) -> QuickstartSettings:
    recipe = {"trl": {"learning_rate": 0.1}, "rewards": {"segment": 1.0}}
    return QuickstartSettings(3, 36, 0, str(workshop.start), "none", recipe)


def complete(out: Path, settings: QuickstartSettings, workshop: Workshop) -> dict[str, Any]:
    claim_folder(out, settings)
    return finish(out, run_quickstart(out, settings, workshop.tools()))


def test_a_planted_gain_is_reported_with_its_interval_above_zero(
    tmp_path: Path, workshop: Workshop, settings: QuickstartSettings
) -> None:
    content = complete(tmp_path / "run", settings, workshop)
    gain = content["gain"]
    assert gain["n"] == 36
    assert gain["low"] > 0
    assert gain["mean"] == pytest.approx(2 / 3 * (13 / 16 - 0.5))
    assert content["gain_by_task"]["nothing"] == {"mean": 0, "low": 0, "high": 0, "n": 12}
    assert content["before"]["metrics"]["giou"]["value"] < content["after"]["metrics"]["giou"]["value"]
    assert content["settings"] == {"training steps": 3, "scenes": 36, "segmenter": "none"}
    assert list(content["seconds"]) == ["evaluate", "train", "evaluate again"]


def test_a_training_that_teaches_nothing_has_an_interval_that_holds_zero(
    tmp_path: Path, workshop: Workshop, settings: QuickstartSettings
) -> None:
    workshop.learned = 0.5
    content = complete(tmp_path / "run", settings, workshop)
    assert content["gain"]["low"] <= 0 <= content["gain"]["high"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "No change" in page
    assert f"Mean IoU stays at {content['before']['metrics']['giou']['value']:.3f}" in page


def test_the_folder_holds_all_that_is_promised(
    tmp_path: Path, workshop: Workshop, settings: QuickstartSettings
) -> None:
    out = tmp_path / "run"
    complete(out, settings, workshop)
    names = {path.name for path in out.iterdir()}
    assert names == {"quickstart.json", "before", "training", "checkpoint", "after", "report.html", "report.json"}
    assert (out / "checkpoint" / "config.json").is_file()
    assert workshop.loaded == ["start", "checkpoint"]


@pytest.mark.parametrize("breaks_in", ["start", "training", "checkpoint"])
def test_a_run_cut_off_in_any_stage_goes_on_and_ends_the_same(
    tmp_path: Path, workshop: Workshop, settings: QuickstartSettings, breaks_in: str
) -> None:
    whole = complete(tmp_path / "whole", settings, workshop)
    out = tmp_path / "cut"
    trainings = workshop.trainings
    workshop.breaks_in = breaks_in
    with pytest.raises(PowerCut):
        complete(out, settings, workshop)
    assert not (out / "report.json").exists()
    workshop.breaks_in = ""
    again = complete(out, settings, workshop)
    assert again["gain"] == whole["gain"]
    for name in ("before", "after"):
        assert again[name]["metrics"] == whole[name]["metrics"]
    assert workshop.trainings == trainings + (2 if breaks_in == "training" else 1)


def test_a_finished_run_is_left_alone_unless_it_is_to_be_replaced(
    tmp_path: Path, workshop: Workshop, settings: QuickstartSettings
) -> None:
    out = tmp_path / "run"
    complete(out, settings, workshop)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"finished run: see .*report\.html.*--overwrite"):
        claim_folder(out, settings)
    claim_folder(out, settings, overwrite=True)
    assert {path.name for path in out.iterdir()} == {"quickstart.json", "notes.txt"}
    assert complete(out, settings, workshop)["gain"]["n"] == 36


def test_an_unfinished_run_with_other_settings_is_refused_and_the_difference_named(
    tmp_path: Path, settings: QuickstartSettings
) -> None:
    claim_folder(tmp_path / "run", settings)
    claim_folder(tmp_path / "run", settings)
    (tmp_path / "run" / BEFORE).mkdir()  # it has begun
    with pytest.raises(InputError, match=r"steps 3 \(asked for: 9\)"):
        claim_folder(tmp_path / "run", replace(settings, steps=9))
    other = {"trl": {"learning_rate": 0.2}, "rewards": {"segment": 1.0}}
    with pytest.raises(InputError, match=r"recipe.trl.learning_rate 0.1 \(asked for: 0.2\)"):
        claim_folder(tmp_path / "run", replace(settings, recipe=other))


def test_files_that_no_quickstart_wrote_are_never_touched(tmp_path: Path, settings: QuickstartSettings) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="files that no quickstart wrote"):
            claim_folder(out, settings, overwrite=overwrite)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="is a file"):
        claim_folder(out / "thesis.txt", settings)


def test_the_reward_and_its_parts_come_first_and_missing_values_stay_missing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [
        {"step": 2, "reward": 0.5, "rewards/segment/mean": 0.4, "kl": 0.1},
        {"step": 4, "reward": 0.7, "rewards/segment/mean": 0.6, "rewards/format/mean": 1.0, "seconds": 3},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    curves = curves_from_log(path)
    assert [title.split(",")[0] for title in curves] == [
        "reward",
        "reward for segment",
        "reward for format",
        "distance from the start (KL)",
    ]
    assert curves["reward for format"] == ([2, 4], [None, 1.0])
    assert curves_from_log(tmp_path / "none.jsonl") == {}


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"{}", b"\xff", b'{"settings": 3, "seconds": {}}', b'{"settings": {}, "seconds": 3}']
)
def test_a_damaged_state_is_told_and_can_be_replaced(
    tmp_path: Path, settings: QuickstartSettings, content: bytes
) -> None:
    claim_folder(tmp_path / "run", settings)
    (tmp_path / "run" / "quickstart.json").write_bytes(content)
    with pytest.raises(InputError, match=r"quickstart.json', the state of the run, cannot be read .*--overwrite"):
        claim_folder(tmp_path / "run", settings)
    claim_folder(tmp_path / "run", settings, overwrite=True)
    claim_folder(tmp_path / "run", settings)
