"""What is wrong with a user's data is said in sentences: what can be gone on without, and what cannot."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.readers.tables import list_table
from thinkseg.errors import DataError, InputError
from thinkseg.quickstart.own_data import listings_of, prepare_parts, usable
from thinkseg.quickstart.own_options import OwnOptions


def write_photos(root: Path, count: int, first: int = 0) -> Path:
    """Images of one grey each, no two the same, with a square as the mask."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(first, first + count):
        Image.new("RGB", (24, 16), (number, 40, 0)).save(root / "images" / f"{number:02d}.png")
        write_mask(root, number, slice(3, 9))
    return root


def write_mask(root: Path, number: int, rows: slice) -> None:
    mask = np.zeros((16, 24), dtype=np.uint8)
    mask[rows, 5:15] = 255
    Image.fromarray(mask).save(root / "masks" / f"{number:02d}.png")


def prepared(tmp_path: Path, **told):
    """Both parts as written, and what was said."""
    said = []
    options = OwnOptions(**{"data": tmp_path / "photos", "query": "the crack"} | told)
    parts = prepare_parts(tmp_path / "run", options, listings_of(options), said.append)
    return parts, said


def files_of(table: Path) -> set[str]:
    return {sample.image.name for sample in list_table(table).require_complete()}


def test_twenty_images_are_enough_and_a_third_of_few_is_held_out(tmp_path):
    write_photos(tmp_path / "photos", 20)
    parts, said = prepared(tmp_path)
    train, test = files_of(parts.train), files_of(parts.test)
    assert (len(train), len(test), len(train & test)) == (13, 7, 0)
    assert said[0] == "data: 20 samples of 20 images, 20 show what is asked for; asked: “the crack”"
    assert said[1] == "split by image with seed 0: 13 to learn from, 7 held out to measure on"
    assert {sample.query for sample in list_table(parts.test)} == {"the crack"}
    with Image.open(tmp_path / "run" / "contact_sheet.jpg") as sheet:
        assert sheet.width > 1000


@pytest.mark.parametrize(("count", "held_out"), [(4, 1), (9, 3), (40, 10), (60, 12)])
def test_a_fifth_is_held_out_and_ten_of_few(tmp_path, count, held_out):
    write_photos(tmp_path / "photos", count)
    assert len(files_of(prepared(tmp_path)[0].test)) == held_out


def test_faulty_files_are_left_out_and_odd_ones_kept_and_all_are_named(tmp_path):
    photos = write_photos(tmp_path / "photos", 20)
    cut = photos / "images" / "03.png"
    cut.write_bytes(cut.read_bytes()[:60])
    (photos / "masks" / "04.png").unlink()
    Image.new("L", (10, 10), 255).save(photos / "masks" / "05.png")
    classes = Image.fromarray((np.arange(384, dtype=np.uint8) % 5).reshape(16, 24))
    classes.save(photos / "masks" / "06.png")
    write_mask(photos, 7, slice(0, 0))
    (photos / "images" / "raw.tiff").write_bytes(b"x")
    parts, said = prepared(tmp_path)
    told = "\n".join(said)
    assert files_of(parts.train) | files_of(parts.test) == {f"{n:02d}.png" for n in range(20) if n not in (3, 4, 5, 6)}
    for sentence in (
        "left out: 1 × truncated (begins well, but is damaged or cut short): 03.png",
        "left out: 1 × missing-mask (an image that no mask goes with): 04.png",
        "left out: 1 × wrong-size (a mask of another size than its image): 05.png",
        "left out: 1 × not-a-mask",
        "warning: 1 × empty: their masks show nothing, which is learnt as “nothing there”: 07.png",
        "warning: 1 × passed-over: they look like images, and are not read, for their kind: raw.tiff",
        "data: 16 samples of 16 images, 15 show what is asked for, 1 say that nothing is there",
    ):
        assert sentence in told
    every = [sample for table in (parts.train, parts.test) for sample in list_table(table)]
    assert [sample.target.any() for sample in every].count(False) == 1


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda photos: [file.unlink() for file in photos.rglob("*.png") if file.name > "02.png"],
            r"expected at least 4 images .*; found 3 that can be used, 3 of them with an object",
        ),
        (
            lambda photos: [write_mask(photos, number, slice(0, 0)) for number in range(12)],
            "found 12 that can be used, 0 of them with an object",
        ),
        (
            lambda photos: [(photos / "images" / f"{number:02d}.png").write_bytes(b"no image") for number in range(7)],
            r"more than half of the data cannot be used \(7 of 12 samples\).*00\.png",
        ),
        (
            lambda photos: [(photos / "masks" / f"{number:02d}.png").unlink() for number in range(8)],
            r"more than half of the data cannot be used \(8 of 12 samples\)",
        ),
    ],
)
def test_data_that_cannot_be_used_end_the_job_with_a_sentence(tmp_path, spoil, sentence):
    photos = write_photos(tmp_path / "photos", 12)
    spoil(photos)
    with pytest.raises(InputError, match=sentence):
        prepared(tmp_path)
    assert not (tmp_path / "run" / "data").exists()


def test_rows_without_a_known_mask_are_left_out(tmp_path):
    photos = write_photos(tmp_path / "photos", 6)
    rows = [f"images/{n:02d}.png,the crack,{f'masks/{n:02d}.png' if n < 5 else ''}" for n in range(6)]
    (photos / "all.csv").write_text("\n".join(["image,query,mask", *rows]), encoding="utf-8")
    said = []
    assert usable(list_table(photos / "all.csv"), said.append) == [0, 1, 2, 3, 4]
    assert said[0] == "left out: 1 of 6 samples, of which no mask is known"


def test_images_of_the_test_data_are_not_learnt_from(tmp_path):
    write_photos(tmp_path / "photos", 8)
    held_out = write_photos(tmp_path / "held_out", 5, first=6)
    parts, said = prepared(tmp_path, test=held_out)
    assert files_of(parts.test) == {f"{n:02d}.png" for n in range(6, 11)}
    assert files_of(parts.train) == {f"{n:02d}.png" for n in range(6)}
    assert "left out of what is learnt from: 2 samples whose images are among the held-out ones, too" in said
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(InputError, match="all images are among the held-out ones"):
        prepared(tmp_path, test=tmp_path / "photos")


def test_many_held_out_samples_are_measured_in_part(tmp_path):
    photos, held_out = write_photos(tmp_path / "photos", 4), write_photos(tmp_path / "held_out", 4, first=4)
    rows = [f"images/{4 + n % 4:02d}.png,query {n},masks/{4 + n % 4:02d}.png" for n in range(300)]
    (held_out / "all.csv").write_text("\n".join(["image,query,mask", *rows]), encoding="utf-8")
    parts, said = prepared(tmp_path, data=photos, test=held_out / "all.csv")
    assert len(list_table(parts.test)) == 200
    assert "of the 300 held-out samples 200 are measured, evenly spread" in said


def test_a_few_queries_get_a_column_each_in_the_report(tmp_path):
    photos = write_photos(tmp_path / "photos", 12)
    rows = [f"images/{n:02d}.png,{('the crack', 'the rust')[n % 2]},masks/{n:02d}.png" for n in range(12)]
    (photos / "all.csv").write_text("\n".join(["image,query,mask", *rows]), encoding="utf-8")
    parts, _ = prepared(tmp_path, data=photos / "all.csv", query="")
    assert all(sample.task == sample.query for sample in list_table(parts.train))


def test_the_same_parts_are_found_again(tmp_path):
    write_photos(tmp_path / "photos", 12)
    first, _ = prepared(tmp_path)
    again, said = prepared(tmp_path)
    assert (again, said) == (first, [])


def test_splits_that_data_have_are_used_and_others_asked_for(tmp_path):
    rows = tmp_path / "rows"
    for name in ("train", "val"):
        made = write_photos(tmp_path / name, 5, first=0 if name == "train" else 5)
        (rows / "images" / name).mkdir(parents=True)
        (rows / "labels" / name).mkdir(parents=True)
        for image in (made / "images").iterdir():
            shutil.copy(image, rows / "images" / name)
            (rows / "labels" / name / f"{image.stem}.txt").write_text("0 0.2 0.2 0.6 0.2 0.6 0.6\n")
    (rows / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [crack]\n")
    parts, said = prepared(tmp_path, data=rows, query="")
    assert files_of(parts.test) == {f"{n:02d}.png" for n in range(5, 10)}
    assert files_of(parts.train) == {f"{n:02d}.png" for n in range(5)}
    assert "asked: “the crack”" in said[0]
    (rows / "data.yaml").write_text("path: .\ntrain: images/train\nextra: images/val\nnames: [crack]\n")


def test_data_that_are_not_there_are_told(tmp_path):
    with pytest.raises(DataError, match="expected data at"):
        listings_of(OwnOptions(tmp_path / "nowhere"))


def test_an_image_whose_name_is_not_utf8_is_left_out_and_named(tmp_path):
    folder = write_photos(tmp_path / "photos", 6)
    for name in ("images", "masks"):
        (folder / name / "05.png").rename(folder / name / os.fsdecode(b"caf\xe9.png"))
    parts, said = prepared(tmp_path)
    assert files_of(parts.train) | files_of(parts.test) == {f"{number:02d}.png" for number in range(5)}
    assert "the name 'caf\\xe9.png' is not UTF-8" in said[0]
