import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import ImageError, InputError
from thinkseg.imaging import IMAGE_SUFFIXES, load_mask
from thinkseg.models.pipeline import Pipeline
from thinkseg.results import files
from thinkseg.results import record as records
from thinkseg.results.record import ResultRecord
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Size

IMAGE = Image.new("RGB", (80, 40), (90, 120, 60))
TWO = (
    "<think>two of them</think><bbox>[10,20,40,60]</bbox><bbox>[50,50,90,90]</bbox>"
    "<points>[[20,30],[60,60],[85,85]]</points><labels>[1,1,0]</labels>"
)
NOTHING = "<think>no dog</think><bbox></bbox><points></points><labels></labels>"


def record_of(said: str) -> ResultRecord:
    pipeline = Pipeline(FakeReasoner([said], Size(100, 100)), FakeSegmenter(), get_format("seg-r1"))
    return records.record_from_prediction(pipeline.segment(IMAGE, "the dogs").prediction, "the dogs")


def write(stem: Path, said: str, **options: bool) -> ResultRecord:
    record = record_of(said)
    files.write_result(stem, record, lambda: IMAGE, **options)
    return record


def test_masks_and_answer_come_back_from_a_record() -> None:
    pipeline = Pipeline(FakeReasoner([TWO], Size(100, 100)), FakeSegmenter(), get_format("seg-r1"))
    prediction = pipeline.segment(IMAGE, "the dogs").prediction
    record = records.record_from_prediction(prediction, "the dogs")
    assert record["count"] == 2
    assert (records.masks_from_record(record) == prediction.masks).all()
    assert prediction.answer is not None
    assert records.answer_from_record(record) == prediction.answer.rescaled(prediction.size)


def test_nothing_there_and_unreadable_are_told_apart() -> None:
    nothing, unreadable = record_of(NOTHING), record_of("hm")
    answer = records.answer_from_record(nothing)
    assert answer is not None
    assert answer.objects == ()
    assert records.answer_from_record(unreadable) is None
    assert (nothing["count"], unreadable["count"]) == (0, None)
    assert records.masks_from_record(nothing).shape == records.masks_from_record(unreadable).shape == (0, 40, 80)
    assert records.describe(nothing)[-1].startswith("nothing there")
    assert records.describe(unreadable)[-1].startswith("no answer: The model's text is not an answer")


def test_all_files_are_written_and_the_index_agrees_with_the_objects_own_masks(tmp_path: Path) -> None:
    record = write(tmp_path / "sub" / "a.b", TWO, index=True, instances=True)
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == [
        "a.b.index.png",
        "a.b.json",
        "a.b.mask.png",
        "a.b.object-1.png",
        "a.b.object-2.png",
        "a.b.overlay.png",
    ]
    index = Image.open(tmp_path / "sub" / "a.b.index.png")
    assert index.mode == "P"
    masks = records.masks_from_record(record)
    for number in (1, 2):
        own = load_mask(tmp_path / "sub" / f"a.b.object-{number}.png")
        assert (own == masks[number - 1]).all()
        assert ((np.asarray(index) == number) == own).all()
    assert (load_mask(tmp_path / "sub" / "a.b.mask.png") == (np.asarray(index) > 0)).all()
    assert files.read_record(tmp_path / "sub" / "a.b") == record


def test_a_new_result_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "a", TWO, index=True, instances=True)
    write(tmp_path / "a", NOTHING)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.mask.png", "a.overlay.png"]


def test_what_is_no_record_is_not_taken_for_one(tmp_path: Path) -> None:
    assert files.read_record(tmp_path / "a") is None
    for text in ("{", "[]", '{"shapes": []}', "\x00"):
        (tmp_path / "a.json").write_text(text)
        assert files.read_record(tmp_path / "a") is None


def test_images_of_results_are_known_by_the_record_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "a", TWO, index=True, instances=True)
    (tmp_path / "b.mask.png").touch()
    drawn = {path.name for path in tmp_path.iterdir() if files.is_image_of_result(path)}
    assert drawn == {"a.index.png", "a.mask.png", "a.object-1.png", "a.object-2.png", "a.overlay.png"}


def test_an_image_is_known_by_its_bytes(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    one, same, other = (files.fingerprint(tmp_path / name) for name in "abc")
    assert one == same != other
    with pytest.raises(ImageError, match="no such file"):
        files.fingerprint(tmp_path / "d")
    with pytest.raises(ImageError, match=r"expected an image's file at '.*', found a folder, a pipe or a device"):
        files.fingerprint(tmp_path)


def test_one_object_is_not_called_objects() -> None:
    assert [records.counted(count, "object") for count in (0, 1, 2)] == ["0 objects", "1 object", "2 objects"]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("photo", "photo"),
        ("a/b.c/photo", "a/b.c/photo"),
        (".", "_"),  # of '..png'
        ("..", "__"),  # of '...png'
        ("../../a", "__/__/a"),
        ("/a", "a"),
        ("", "_"),
        (".hidden", ".hidden"),
    ],
)
def test_a_results_name_stays_below_the_folder_of_the_results(wanted: str, name: str) -> None:
    assert files.safe_stem(wanted) == Path(name)


@pytest.mark.parametrize("letter", ["a", "ü", "图", "😀"])
def test_the_files_of_a_result_have_names_that_file_systems_take(letter: str, tmp_path: Path) -> None:
    longest = letter * (250 // len(letter.encode()))
    stems = [files.safe_stem(name) for name in (longest, longest[:-1] + "b", "short")]
    assert len(set(stems)) == 3
    for stem in stems:
        stem.name.encode()  # no letter is cut in two
        (tmp_path / f"{stem.name}-1234567.object-1234.png.part").touch()


def test_half_an_image_is_named_as_none_and_is_removed_where_its_writing_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def interrupted(_: Image.Image, path: Path, **how: str) -> None:
        path.write_bytes(b"half")
        begun.append(path)
        raise KeyboardInterrupt

    record = record_of(TWO)
    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_result(tmp_path / "photo", record, lambda: IMAGE)
    assert [path.parent for path in begun] == [tmp_path]
    assert begun[0].suffix not in IMAGE_SUFFIXES
    assert list(tmp_path.iterdir()) == []


def test_a_record_whose_writing_is_interrupted_leaves_the_one_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stem, record = tmp_path / "photo", record_of(TWO)
    files.write_record(stem, record)

    def interrupted(path: Path, _: str, **how: str) -> None:
        path.write_bytes(b'{"half": ')
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_record(stem, record_of(NOTHING))
    assert files.read_record(stem) == record
    assert [path.name for path in tmp_path.iterdir()] == ["photo.json"]


def test_a_folder_into_which_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    files.prepare_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made a folder for the results"):
        files.prepare_folder(tmp_path / "file")
    if Path("/proc/self").exists():  # where nobody can write, not even root
        with pytest.raises(InputError, match="nothing can be written into the folder '/proc'"):
            files.prepare_folder(Path("/proc"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for odd in (tmp_path / "pipe.png", Path("/dev/zero"), tmp_path, Path("a\0b"), Path("\ud83d.png")):
        with pytest.raises(ImageError, match=r"expected an image.s file|there is no file of the name"):
            files.fingerprint(odd)
