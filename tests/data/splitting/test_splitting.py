"""Data are split by image: what is measured on was never learnt from, under whatever name."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from thinkseg.cli import main
from thinkseg.data.discovery.load import OWN, load_dataset
from thinkseg.data.prepared.writer import prepare
from thinkseg.data.readers.folders import list_folders
from thinkseg.data.readers.tables import list_table
from thinkseg.data.source import SampleListing
from thinkseg.data.splitting.parts import split_listing
from thinkseg.data.splitting.writing import split_data
from thinkseg.errors import DataError, InputError
from thinkseg.types import Sample


def write_folders(root: Path, count: int) -> Path:
    """Images of one grey each, no two the same, and masks of one square."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (12, 8), (number, number, number)).save(root / "images" / f"{number:02d}.png")
        mask = np.zeros((8, 12), dtype=np.uint8)
        mask[2:5, 3:7] = 255
        Image.fromarray(mask).save(root / "masks" / f"{number:02d}.png")
    return root


def images_of(listing, places) -> set[str]:
    return {listing.entry(place).image.name for place in places}


def test_no_image_is_in_both_parts_and_none_is_lost(tmp_path):
    root = write_folders(tmp_path / "own", 10)
    listing = list_folders(root / "images", root / "masks", "the square")
    parts = split_listing(listing, 0.3, seed=4)
    assert parts.images == (7, 3)
    assert not set(parts.train) & set(parts.test)
    assert sorted((*parts.train, *parts.test)) == list(range(10))
    assert split_listing(listing, 0.3, seed=4) == parts
    assert len({split_listing(listing, 0.3, seed=seed).test for seed in range(8)}) > 1


def test_copies_of_an_image_are_in_one_part_whatever_they_are_called(tmp_path):
    root = write_folders(tmp_path / "own", 6)
    with Image.open(root / "images" / "03.png") as image:
        image.save(root / "images" / "03.bmp")  # other bytes, the same pixels
    (root / "images" / "03.bmp").rename(root / "images" / "copy.bmp")
    (root / "masks" / "copy.png").write_bytes((root / "masks" / "03.png").read_bytes())
    listing = list_folders(root / "images", root / "masks", "the square")
    for seed in range(12):
        parts = split_listing(listing, 0.3, seed)
        assert parts.copies == 1
        for places in (parts.train, parts.test):
            assert len({"03.png", "copy.bmp"} & images_of(listing, places)) in (0, 2)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six patients with two photos each, the second photo asked for twice."""
    root = write_folders(tmp_path / "own", 12)
    with (root / "all.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "query", "mask", "patient"])
        for number in range(12):
            writer.writerow([f"images/{number:02d}.png", "the lesion", f"masks/{number:02d}.png", f"p{number // 2}"])
            if number % 2:
                writer.writerow([f"images/{number:02d}.png", "the ruler", "none", f"p{number // 2}"])
    return root / "all.csv"


def test_rows_of_one_group_stay_together_and_so_do_all_questions_about_an_image(table, tmp_path, capsys):
    assert (
        main(["data", "split", str(table), "--group", "patient", "--test", "0.34", "--out", str(tmp_path / "p")]) == 0
    )
    assert "to measure on: 6 samples of 4 images" in capsys.readouterr().out
    texts = [(tmp_path / "p" / f"{name}.csv").read_text(encoding="utf-8") for name in ("train", "test")]
    parts = [list(csv.DictReader(text.splitlines())) for text in texts]
    patients = [{row["patient"] for row in rows} for rows in parts]
    assert [len(found) for found in patients] == [4, 2]
    assert not patients[0] & patients[1]
    assert sorted(row["mask"] for row in parts[1]).count("none") == 2
    again = list_table(tmp_path / "p" / "test.csv").require_complete()
    assert [sample.target.any() for sample in again].count(False) == 2
    assert {sample.image.resolve().parent for sample in again} == {(table.parent / "images").resolve()}


def test_run_lengths_and_unknown_truths_are_kept_in_a_table_of_json(tmp_path):
    root = write_folders(tmp_path / "own", 4)
    rows = [
        {"image": "images/00.png", "query": "a", "masks": [{"size": [8, 12], "counts": [0, 96]}]},
        {"image": "images/01.png", "query": "b", "masks": []},
        {"image": "images/02.png", "query": "c"},
        {"image": "images/03.png", "query": "d", "masks": ["masks/03.png", {"size": [8, 12], "counts": [90, 6]}]},
    ]
    file = root / "all.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    listing = list_table(file)
    made = split_data(listing, tmp_path / "parts", 0.5, seed=1)
    assert made.train.suffix == made.test.suffix == ".jsonl"
    found = {sample.id: sample for path in (made.train, made.test) for sample in list_table(path).require_complete()}
    assert len(found) == 4
    for sample in listing:
        again = found[sample.id]
        assert again.query == sample.query
        assert (again.target is None) == (sample.target is None)
        if sample.instances is not None:
            np.testing.assert_array_equal(again.instances, sample.instances)


def test_rows_that_hold_their_images_stay_rows(tmp_path):
    root = write_folders(tmp_path / "own", 5)
    prepare(list_folders(root / "images", root / "masks", "the square"), tmp_path / "rows")
    made = split_data(load_dataset(OWN, "train", tmp_path / "rows"), tmp_path / "parts", 0.4)
    assert (len(load_dataset(OWN, "train", made.train)), len(load_dataset(OWN, "test", made.test))) == (3, 2)


def test_what_cannot_be_split_is_told(tmp_path, table):
    root = write_folders(tmp_path / "one", 1)
    with pytest.raises(DataError, match="at least two images that are not the same, found 1"):
        split_data(list_folders(root / "images", root / "masks", "x"), tmp_path / "p")
    listing = list_table(table)
    with pytest.raises(InputError, match=r"above 0 and below 1, such as 0\.2, found 20"):
        split_data(listing, tmp_path / "p", 20)
    with pytest.raises(DataError, match="no column 'pateint'; it has: image, query, mask, patient"):
        split_data(listing, tmp_path / "p", group="pateint")
    split_data(listing, tmp_path / "p")
    with pytest.raises(DataError, match="holds a split already"):
        split_data(listing, tmp_path / "p")


@settings(max_examples=40, deadline=None)
@given(
    images=st.lists(st.integers(0, 5), min_size=2, max_size=12),
    groups=st.lists(st.sampled_from(["", "a", "b"]), min_size=12, max_size=12),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_whatever_is_split_equal_images_and_equal_groups_are_on_one_side(images, groups, share, seed):
    shades = [Image.new("RGB", (4, 4), (40 * shade, 0, 0)) for shade in images]
    samples = [Sample(str(number), image, "x", np.zeros((4, 4), dtype=bool)) for number, image in enumerate(shades)]
    listing = SampleListing("drawn", samples)
    try:
        parts = split_listing(listing, share, seed, groups[: len(images)])
    except DataError:
        # One unit: all images are joined by their pixels and their groups.
        assert len(set(images)) == 1 or any(groups[: len(images)])
        return
    assert parts.train
    assert parts.test
    assert sorted((*parts.train, *parts.test)) == list(range(len(images)))
    for values in (images, groups):
        both = {values[place] for place in parts.train} & {values[place] for place in parts.test}
        assert not both - {""}
