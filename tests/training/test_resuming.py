"""A run goes on as it began, in one process at a time; what differs is named, and allowed by its name alone."""

import json
import subprocess
import sys

import pytest

from thinkseg.errors import RecipeError
from thinkseg.training.checkpoints import write_manifest
from thinkseg.training.config import load_recipe, replace_settings
from thinkseg.training.resuming import LOCK, Layout, claimed
from thinkseg.training.runs import open_run

LAYOUT = Layout(steps=4, samples=6, processes=1)


def begun_with(recipe, layout, *files):
    """The recipe of a run that has come to step 2, with these files in its checkpoint."""
    open_run(recipe, resume=False, layout=layout)
    checkpoint = recipe.output / "checkpoint-2"
    checkpoint.mkdir()
    for name in ("trainer_state.json", *files):
        (checkpoint / name).write_text("{}")
    write_manifest(checkpoint)
    return recipe


@pytest.fixture
def began(rl_recipe):
    """The recipe of a run that has come to step 2 of 4."""
    return begun_with(rl_recipe(steps=4), LAYOUT)


def go_on(recipe, allow=(), layout=LAYOUT, **changes):
    return open_run(replace_settings(recipe, changes), resume=True, allow=allow, layout=layout)


CHANGES = [
    ("trl.per_device_train_batch_size", 4),
    ("trl.learning_rate", 1e-4),
    ("trl.gradient_accumulation_steps", 2),
    ("seed", 1),
    ("format", "seg-zero"),
    ("rewards.segment", 2.0),
    ("rewards.presence", 0.5),
    ("generation.temperature", 0.5),
    ("data.source", "folders"),
    ("data.shuffle", False),
    ("segmenter", "grabcut"),
    ("steps", 3),
]


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_another_setting_is_named_and_refused_and_the_record_stays(began, name, value):
    before = (began.output / "recipe.yaml").read_bytes()
    with pytest.raises(RecipeError, match=rf"began with {name} .*: give the same .* --allow {name}$"):
        go_on(began, **{name: value})
    assert (began.output / "recipe.yaml").read_bytes() == before


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_what_is_allowed_by_name_goes_on_and_is_written_down(began, name, value):
    assert go_on(began, [name], **{name: value}) == began.output / "checkpoint-2"
    (line,) = (began.output / "resumed.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry["step"] == 2
    assert list(entry["changed"]) == [name]
    assert entry["changed"][name][1] == value
    assert load_recipe(began.output / "recipe.yaml") == replace_settings(began, {name: value})


def test_every_difference_is_named_and_each_needs_its_own_name(began):
    with pytest.raises(RecipeError, match=r"seed 0 \(now 1\) and trl\.learning_rate 0\.001 \(now 0\.0001\)"):
        go_on(began, **{"seed": 1, "trl.learning_rate": 1e-4})
    with pytest.raises(RecipeError, match=r"--allow trl\.learning_rate$"):
        go_on(began, ["seed"], **{"seed": 1, "trl.learning_rate": 1e-4})


FREE = [
    ("steps", 8),
    ("save_every", 2),
    ("keep", 5),
    ("log_every", 3),
    ("device", "auto"),
    ("trl.dataloader_num_workers", 2),
    ("trl.report_to", "none"),
]


@pytest.mark.parametrize(("name", "value"), FREE)
def test_how_long_a_run_is_and_how_it_is_kept_and_shown_may_change_at_any_time(began, name, value):
    assert go_on(began, **{name: value}) == began.output / "checkpoint-2"


def test_the_same_goes_on_and_nothing_is_written_down(began):
    assert go_on(began) == began.output / "checkpoint-2"
    assert not (began.output / "resumed.jsonl").exists()


def test_what_a_checkpoint_does_not_fit_cannot_be_allowed(began):
    with pytest.raises(RecipeError, match=r"model\.lora\.r null \(now 4\), and its checkpoints fit nothing else"):
        go_on(began, ["model.lora.r"], **{"model.lora.r": 4})


def test_other_numbers_of_samples_or_processes_would_show_samples_twice(began):
    for layout, told in ((Layout(4, 7, 1), "samples 6 .now 7"), (Layout(4, 6, 2), "processes 1 .now 2")):
        with pytest.raises(RecipeError, match=told):
            go_on(began, layout=layout)
        assert go_on(began, [told.split()[0]], layout=layout)
        go_on(began, ["samples", "processes"])


WITH_TWO = Layout(steps=4, samples=6, processes=2, batch=16, sampled=16)
"""Of a recipe with 8 completions a process."""


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        (
            Layout(4, 6, 1, 8, 8),
            r"2 processes \(now 1\), and with 8 rows in place of 16 .* give --trl\.per_dev.* 16, or",
        ),
        (Layout(4, 6, 4, 32, 32), r"with 32 rows in place of 16 at a time .* --trl\.per_device_train_batch_size 4, or"),
        (Layout(4, 6, 3, 24, 24), r"with 24 rows in place of 16 at a time .*: give other settings of 'trl' with which"),
        (Layout(4, 6, 1, 16, 8), r"with 8 rows in place of 16 at a time"),
    ],
)
def test_with_other_processes_a_step_has_to_have_as_many_rows(rl_recipe, layout, told):
    """Or the position in the data, which is the number of the step, would be another one."""
    recipe = begun_with(rl_recipe(steps=4), WITH_TWO)
    with pytest.raises(RecipeError, match=told):
        go_on(recipe, ["processes"], layout=layout)


def test_with_other_processes_and_as_many_rows_a_run_goes_on(rl_recipe):
    recipe = begun_with(rl_recipe(steps=4), WITH_TWO)
    size = "trl.per_device_train_batch_size"
    alone = Layout(4, 6, 1, 16, 16)
    with pytest.raises(
        RecipeError, match=rf"processes 2 \(now 1\) and {size} 8 \(now 16\): .*--allow processes,{size}$"
    ):
        go_on(recipe, layout=alone, **{size: 16})
    assert go_on(recipe, ["processes", size], layout=alone, **{size: 16}) == recipe.output / "checkpoint-2"
    assert json.loads((recipe.output / "layout.json").read_text()) == {
        "samples": 6,
        "processes": 1,
        "batch": 16,
        "sampled": 16,
    }


def test_a_checkpoint_of_deepspeed_fits_no_other_number_of_processes(rl_recipe):
    recipe = begun_with(rl_recipe(steps=4), WITH_TWO, "latest")
    with pytest.raises(
        RecipeError,
        match=r"DeepSpeed's checkpoints fit no other number .* 'thinkseg merge .*checkpoint-2 --out FOLDER'",
    ):
        go_on(recipe, ["processes"], layout=Layout(4, 6, 1, 16, 16))


def test_a_run_that_has_come_further_does_not_go_back(began):
    with pytest.raises(RecipeError, match="has come to step 2 already, beyond the 1 steps"):
        go_on(began, ["steps"], layout=Layout(1, 6, 1), steps=1)


def test_a_name_to_allow_that_does_not_exist_is_told(began):
    with pytest.raises(RecipeError, match="there is no setting 'lerning_rate' to allow"):
        go_on(began, ["lerning_rate"])
    with pytest.raises(RecipeError, match="needs --resume"):
        open_run(began, resume=False, allow=["seed"])


def test_a_run_without_its_record_does_not_go_on(began):
    (began.output / "recipe.yaml").unlink()
    with pytest.raises(RecipeError, match=r"has no recipe\.yaml, so that nobody can tell"):
        go_on(began)


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_training_in_the_same_folder_is_refused(tmp_path):
    words = [sys.executable, "-c", HOLD, str(tmp_path / LOCK)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        told = "another process is training into"
        with pytest.raises(RecipeError, match=told), claimed(tmp_path, patience=0.1):
            pass
        other.communicate()  # the end of its input ends it
    with claimed(tmp_path, patience=0.1):
        pass


def test_a_folder_that_a_refused_run_would_have_had_is_not_left_behind(tmp_path):
    with pytest.raises(RecipeError, match="mine"), claimed(tmp_path / "a" / "run"):
        raise RecipeError("mine")
    assert not (tmp_path / "a" / "run").exists()


def test_an_output_that_cannot_be_a_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecipeError, match="cannot be written"), claimed(tmp_path / "file"):
        pass


@pytest.mark.parametrize("name", ["a\0b", "a\ud83d"])
def test_an_output_that_no_folder_can_be_called_is_told(tmp_path, name):
    with pytest.raises(RecipeError, match="'output' should be the name of a folder"), claimed(tmp_path / name):
        raise AssertionError("nobody trains there")


def test_a_lock_that_cannot_be_removed_since_another_process_has_it_open_ends_no_training(tmp_path, monkeypatch):
    def as_on_windows(path, missing_ok=False):
        raise PermissionError(13, "it is being used by another process", str(path))

    folder = tmp_path / "run"
    monkeypatch.setattr("pathlib.Path.unlink", as_on_windows)
    with claimed(folder):
        pass
    assert folder.is_dir()
    with claimed(folder, patience=0.1):  # and is free again
        pass
