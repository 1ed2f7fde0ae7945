"""The quickstart on one's own data, with fakes in place of models and training: what it says, writes and refuses."""

import json
import re
from dataclasses import replace

import pytest

from thinkseg.cli import main
from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import load_own
from thinkseg.errors import InputError
from thinkseg.quickstart.job import Tools, held
from thinkseg.quickstart.own import quickstart_on
from thinkseg.quickstart.own_options import OwnOptions, choose
from thinkseg.quickstart.own_tools import subject_of

from .left_part import LeftPart
from .test_own_data import write_photos


class Trainer:
    """Makes the parts: a start that finds half of each object, a training that makes it find nine tenths."""

    def __init__(self):
        self.trainings = 0
        self.breaks = False

    def __call__(self, options, choice, parts, say):
        samples = load_own(OwnData(parts.test))

        def train(folder):
            self.trainings += 1
            if self.breaks:
                raise KeyboardInterrupt("stopped")
            (folder / "final").mkdir(parents=True)
            (folder / "final" / "config.json").write_text("{}")
            return folder / "final"

        def load(model):
            return LeftPart(0.9 if model.endswith("checkpoint") else 0.5)

        subject = subject_of(options, parts, len(load_own(OwnData(parts.train))))
        return Tools(load, train, samples, 4, "thinkseg quickstart", subject)


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", 12)


def words(photos, tmp_path, *more):
    return ["quickstart", "--data", str(photos), "--query", "the crack", "--out", str(tmp_path / "run"), *more]


def test_the_job_ends_with_a_report_and_commands_that_are_filled_in(photos, tmp_path, capsys):
    assert main(words(photos, tmp_path), tools=Trainer()) == 0
    told = capsys.readouterr()
    out = tmp_path / "run"
    content = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert content["before"]["metrics"]["giou"]["value"] == pytest.approx(0.5)
    assert content["after"]["metrics"]["giou"]["value"] == pytest.approx(0.9)
    assert content["gain"]["n"] == 4
    assert "too few to tell" in told.out
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "the crack" in page
    assert page.count("data:image/webp;base64,") >= 3 * 4  # what is asked for, before and after, of each sample
    lines = told.out.splitlines()
    (segment,) = [line for line in lines if "thinkseg segment" in line]
    assert f"--query 'the crack' --model {out}/checkpoint" in segment
    assert str(photos / "images") in segment
    assert any(f"thinkseg demo --model {out}/checkpoint" in line for line in lines)
    (longer,) = [line for line in lines if "--minutes 32" in line]
    assert f"--data {photos} --query 'the crack' --model {out}/checkpoint" in longer
    assert "no CUDA card is here" in told.err
    assert "split by image with seed 0: 8 to learn from, 4 held out" in told.err


def test_the_command_to_go_on_reads_the_same_data_and_holds_the_same_images_out(photos, tmp_path, capsys):
    (photos / "images").rename(photos / "Fotos")
    (photos / "masks").rename(photos / "Masken")
    flags = ["--image-folder", "Fotos", "--mask-folder", "Masken", "--seed", "3"]
    assert main(words(photos, tmp_path, *flags), tools=Trainer()) == 0
    (longer,) = [line for line in capsys.readouterr().out.splitlines() if "--minutes 32" in line]
    assert f"--query 'the crack' {' '.join(flags)} --model" in longer


def test_what_it_predicted_can_be_exported(photos, tmp_path, capsys):
    assert main(words(photos, tmp_path), tools=Trainer()) == 0
    assert main(["export", str(tmp_path / "run" / "after"), "--to", "objects", "--out", str(tmp_path / "masks")]) == 0
    assert "4 requests about 4 images, 4 objects" in capsys.readouterr().out


def test_the_report_is_json_where_that_is_asked_for(photos, tmp_path, capsys):
    assert main(words(photos, tmp_path, "--json"), tools=Trainer()) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["samples learnt from"] == 8


def test_a_job_that_was_stopped_goes_on_and_a_finished_one_is_kept(photos, tmp_path, capsys):
    trainer = Trainer()
    trainer.breaks = True
    assert main(words(photos, tmp_path), tools=trainer) == 130
    assert "The same command goes on from there" in capsys.readouterr().err
    trainer.breaks = False
    assert main(words(photos, tmp_path, "--seed", "3"), tools=trainer) == 2
    assert "seed 0 (asked for: 3)" in capsys.readouterr().err
    assert main(words(photos, tmp_path), tools=trainer) == 0
    told = capsys.readouterr().err
    assert "3/3 evaluate again:" in told
    assert "1/3 evaluate:" not in told  # what is whole is not done again
    assert "split by image" not in told
    assert main(words(photos, tmp_path), tools=trainer) == 2
    assert "holds a finished run" in capsys.readouterr().err
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert main(words(photos, tmp_path, "--overwrite"), tools=trainer) == 0
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_other_data_do_not_go_on_in_the_folder_of_a_run(photos, tmp_path, capsys):
    trainer = Trainer()
    trainer.breaks = True
    assert main(words(photos, tmp_path), tools=trainer) == 130
    (photos / "images" / "00.png").unlink()
    (photos / "masks" / "00.png").unlink()
    capsys.readouterr()
    assert main(words(photos, tmp_path), tools=trainer) == 2
    assert "holds an unfinished run with other files (own.data); give the same" in capsys.readouterr().err


def test_data_that_were_refused_can_be_mended_and_tried_again(photos, tmp_path, capsys):
    (tmp_path / "kept").mkdir()
    for name in ("images", "masks"):
        for file in sorted((photos / name).iterdir())[3:]:
            file.rename(tmp_path / "kept" / f"{name}-{file.name}")
    assert main(words(photos, tmp_path), tools=Trainer()) == 2
    assert "expected at least 4 images with masks" in capsys.readouterr().err
    for file in (tmp_path / "kept").iterdir():
        name, _, rest = file.name.partition("-")
        file.rename(photos / name / rest)
    assert main(words(photos, tmp_path), tools=Trainer()) == 0


def test_two_quickstarts_do_not_work_in_one_folder(photos, tmp_path):
    out = tmp_path / "run"
    with held(out), pytest.raises(InputError, match="another quickstart is at work"):  # noqa: SIM117
        with held(out):
            pass


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--minutes", "0"], "--minutes should be above 0, found 0"),
        (["--minutes", "5", "--steps", "9"], "both say how long to train"),
        (["--steps", "0"], "--steps should be at least 1"),
        (["--scenes", "9"], "--scenes is for the pocket's scenes"),
        (["--recipe", "pocket/sft"], "expected a recipe for rl, found sft"),
        (["--model", "geshang/Seg-R1-3B"], "a card with at least 13 GB free, and no CUDA card is there"),
        (["--test", "nowhere"], "expected data at 'nowhere'"),
    ],
)
def test_a_wrong_call_is_told_in_a_sentence_and_writes_nothing(photos, tmp_path, capsys, flags, sentence):
    assert main(words(photos, tmp_path, *flags), tools=Trainer()) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flag", ["--query", "--test", "--minutes", "--model", "--mask-folder"])
def test_what_is_for_own_images_asks_for_them(flag, capsys):
    assert main(["quickstart", flag, "1"]) == 2
    assert f"{flag} is for images of your own: say where they are with --data PATH" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("card", "here", "model", "why"),
    [
        (("", 0.0), False, "pocket", "no CUDA card is here"),
        (("Some card", 8.0), True, "pocket", "8.0 GB free, less than the 13 GB"),
        (("Some card", 24.0), False, "pocket", "nothing is downloaded unasked.*--model geshang/Seg-R1-3B"),
        (("Some card", 24.0), True, "geshang/Seg-R1-3B", "enough for adapters"),
    ],
)
def test_the_start_is_chosen_by_the_device(tmp_path, card, here, model, why):
    options = OwnOptions(tmp_path, out=tmp_path / "run")
    choice = choose(options, card=lambda: card, is_here=lambda _: here)
    assert choice.recipe.model.path == model
    assert re.search(why, choice.why)
    assert choice.minutes == (60 if card[0] else 8)
    assert (choice.recipe.model.lora is not None) == (model != "pocket")
    assert choose(replace(options, minutes=3), card=lambda: card, is_here=lambda _: here).minutes == 3


def test_in_python_the_call_gives_the_report_and_the_checkpoint(photos, tmp_path):
    said = []
    options = OwnOptions(photos, query="the crack", minutes=5, out=tmp_path / "run")
    done = quickstart_on(options, tools=Trainer(), say=said.append)
    assert done.report["gain"]["mean"] == pytest.approx(0.4)
    assert (done.checkpoint / "config.json").is_file()
    assert "5 minutes in all" in said[0]
