"""A checkpoint is trained from only if each of its files is what was written; else the one before it is."""

import errno
import hashlib
import json

import pytest

from thinkseg.errors import DataError, RecipeError, ThinkSegError
from thinkseg.training.checkpoints import (
    MANIFEST,
    damage_of,
    finished_checkpoints,
    newest_checkpoint,
    remove_older,
    saving_explained,
    write_manifest,
    write_whole,
)
from thinkseg.training.endings import last_one_told

FILES = {
    "model.safetensors": b"weights" * 50,
    "optimizer.pt": b"moments" * 90,
    "scheduler.pt": b"schedule",
    "rng_state.pth": b"numbers",
    "trainer_state.json": b'{"global_step": 4}',
    "config.json": b"{}",
    "shards/0.pt": b"a part",
}


def checkpoint(run, step):
    """A folder as the trainer leaves it."""
    folder = run / f"checkpoint-{step}"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def run(tmp_path):
    """The folder of a run with whole checkpoints of steps 2 and 4."""
    for step in (2, 4):
        write_manifest(checkpoint(tmp_path, step))
    return tmp_path


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1])


def empty(path):
    path.write_bytes(b"")


def far_ahead(path):
    path.write_bytes(path.read_bytes() + b" " * 9)


DAMAGES = [flip_a_bit, cut_short, empty, far_ahead, lambda path: path.unlink()]


def test_a_manifest_names_each_file_with_its_size_and_digest(run):
    files = json.loads((run / "checkpoint-4" / MANIFEST).read_text())["files"]
    assert files == {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in FILES.items()
    }
    assert damage_of(run / "checkpoint-4") is None
    assert newest_checkpoint(run) == run / "checkpoint-4"


@pytest.mark.parametrize(
    ("name", "damage"),
    [*((name, damage) for name in FILES for damage in DAMAGES), (MANIFEST, empty), (MANIFEST, flip_a_bit)],
)
def test_whatever_is_damaged_in_the_newest_checkpoint_the_one_before_it_is_taken(run, name, damage):
    said = []
    damage(run / "checkpoint-4" / name)
    assert newest_checkpoint(run, said.append) == run / "checkpoint-2"
    assert len(said) == 1
    assert "checkpoint-4'" in said[0]
    assert said[0].endswith("going on from 'checkpoint-2', the one before it")


def test_a_checkpoint_without_a_manifest_was_not_written_to_its_end(run):
    checkpoint(run, 6)
    said = []
    assert newest_checkpoint(run, said.append) == run / "checkpoint-4"
    assert "checkpoint-6' was not written to its end" in said[0]
    assert [step for step, _ in finished_checkpoints(run)] == [4, 2]


def test_where_none_is_whole_the_run_is_refused_and_not_begun_anew(run):
    for step in (2, 4):
        flip_a_bit(run / f"checkpoint-{step}" / "optimizer.pt")
    with pytest.raises(RecipeError, match=r"none of the checkpoints .* is whole: .*'optimizer\.pt' is not what was"):
        newest_checkpoint(run)


def test_a_run_that_never_came_to_a_checkpoint_has_none(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 2)
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "nowhere") is None


def test_older_ones_go_when_the_newest_is_whole_and_torn_ones_do_not_count(run):
    checkpoint(run, 3)
    write_manifest(checkpoint(run, 6))
    checkpoint(run, 8)
    remove_older(run, step=6, keep=2)
    assert sorted(path.name for path in run.iterdir()) == ["checkpoint-4", "checkpoint-6", "checkpoint-8"]


def test_none_goes_while_there_are_not_enough_whole_ones(tmp_path):
    checkpoint(tmp_path, 2)
    write_manifest(checkpoint(tmp_path, 4))
    remove_older(tmp_path, step=4, keep=2)
    assert len(list(tmp_path.iterdir())) == 2


def test_writing_over_a_file_leaves_the_old_one_until_the_new_one_is_whole(tmp_path):
    write_whole(tmp_path / "a.json", "old")
    (tmp_path / ".a.json.part").mkdir()  # the disk takes no more
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
    ],
)
def test_a_full_disk_is_told_with_the_checkpoint_that_is_left(run, error):
    told = r"could not be written .*go on from 'checkpoint-4' with --resume"
    with pytest.raises(ThinkSegError, match=told), saving_explained(run):
        raise error


def test_other_errors_while_saving_stay_what_they_are(run):
    with pytest.raises(RuntimeError, match="mine"), saving_explained(run):
        raise RuntimeError("mine")


def test_what_a_worker_of_the_data_loader_raises_is_its_sentence_alone_with_the_checkpoint_that_is_left(run):
    raised = (
        "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "x.py", line 3, in f\nthinkseg.errors.DataError: sample 3 cannot be trained on: leave it out\n'
    )
    with pytest.raises(DataError) as caught, last_one_told(run):
        raise DataError(raised)
    sentence, _, left = str(caught.value).partition("; ")
    assert sentence == "sample 3 cannot be trained on: leave it out"
    newest = finished_checkpoints(run)[0][1]
    assert left.startswith(f"'{newest}' is the last checkpoint: --resume goes on from it")
