"""Prepared rows hold what the samples held, survive being cut off, and leave the source alone."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from thinkseg.data.prepared.writer import BuilderOptions, load_prepared, prepare
from thinkseg.data.readers.folders import list_folders
from thinkseg.data.readers.reasonseg import list_reasonseg
from thinkseg.data.readers.tables import list_table
from thinkseg.errors import DataError, ImageError
from thinkseg.imaging import load_image, save_mask
from thinkseg.testing.data_sets import write_pair, write_reasonseg


@pytest.fixture
def listing(tmp_path):
    """Six pairs in two folders."""
    for number in range(6):
        write_pair(tmp_path / f"data/images/é {number}.jpg", tmp_path / f"data/masks/é {number}.png", number)
    return list_folders(tmp_path / "data/images", tmp_path / "data/masks", "the object", "salient")


def rows_in(file):
    return pq.read_table(file).to_pylist()


def same(one, other):
    assert (one.id, one.query, one.task) == (other.id, other.query, other.task)
    assert np.array_equal(np.asarray(load_image(one.image)), np.asarray(load_image(other.image)))
    for first, second in ((one.target, other.target), (one.ignore, other.ignore), (one.instances, other.instances)):
        assert (first is None) == (second is None)
        assert first is None or np.array_equal(first, second)
    return True


def test_rows_read_back_as_the_samples_in_their_order(listing, tmp_path):
    made = prepare(listing, tmp_path / "rows", "test", BuilderOptions(rows_per_file=4))
    assert [file.name for file in made.files] == ["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"]
    assert (made.rows, made.left_out) == (6, {})
    samples = load_prepared(tmp_path / "rows")
    assert len(samples) == 6
    assert all(same(one, other) for one, other in zip(samples, listing, strict=True))
    assert same(samples[5], listing[5])
    with pytest.raises(IndexError):
        samples[6]


def test_a_jpeg_is_kept_byte_by_byte(listing, tmp_path):
    prepare(listing, tmp_path / "rows")
    row = rows_in(tmp_path / "rows/train-00000-of-00001.parquet")[0]
    assert row["image"]["bytes"] == listing.entry(0).image.read_bytes()


def test_datasets_reads_the_rows_as_images(listing, tmp_path):
    from datasets import Dataset

    made = prepare(listing, tmp_path / "rows")
    table = Dataset.from_parquet(str(made.files[0]), cache_dir=str(tmp_path / "cache"))
    assert table[0]["image"].size == (64, 64)
    assert np.array_equal(np.asarray(table[0]["target"]) > 0, listing[0].target)
    assert table[0]["instances"] is None


def test_everything_that_a_sample_has_is_kept(tmp_path):
    write_reasonseg(tmp_path)
    source = list_reasonseg(tmp_path / "ReasonSeg/val")
    prepare(source, tmp_path / "rows")
    assert all(same(one, other) for one, other in zip(load_prepared(tmp_path / "rows"), source, strict=True))
    write_pair(tmp_path / "own/a.jpg", tmp_path / "own/a.png")
    (tmp_path / "own/t.csv").write_text("image,query,mask\na.jpg,x,a.png|a.png\na.jpg,y,none\na.jpg,z,\n")
    source = list_table(tmp_path / "own/t.csv")
    prepare(source, tmp_path / "own rows")
    assert all(same(one, other) for one, other in zip(load_prepared(tmp_path / "own rows"), source, strict=True))


def test_images_of_odd_kinds_become_upright_rgb(listing, tmp_path):
    images = listing.images
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 64), "red").save(images / "é 0.jpg", exif=exif)
    Image.open(images / "é 1.jpg").convert("CMYK").save(images / "é 1.jpg")
    expected = [np.asarray(load_image(listing[index].image)) for index in range(3)]
    prepare(listing, tmp_path / "rows")
    rows = rows_in(tmp_path / "rows/train-00000-of-00001.parquet")
    for row, pixels in zip(rows, expected, strict=False):
        plain = Image.open(io.BytesIO(row["image"]["bytes"]))
        assert plain.mode == "RGB"
        assert plain.getexif().get(0x0112, 1) == 1
        assert np.abs(np.asarray(plain).astype(int) - pixels).mean() < 3


def test_larger_images_are_shrunk_with_their_masks(listing, tmp_path):
    prepare(listing, tmp_path / "rows", settings=BuilderOptions(longest_side=32))
    sample = load_prepared(tmp_path / "rows")[0]
    assert sample.image.size == (32, 32)
    assert sample.target.shape == (32, 32)
    assert sample.target.mean() == pytest.approx(listing[0].target.mean(), abs=0.02)


def test_work_that_was_cut_off_goes_on_with_the_first_file_that_is_missing(listing, tmp_path):
    settings = BuilderOptions(rows_per_file=2)

    def cut_off(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(listing, tmp_path / "rows", settings=settings, progress=cut_off)
    assert [file.name for file in sorted((tmp_path / "rows").glob("*.parquet"))] == ["train-00000-of-00003.parquet"]
    with pytest.raises(DataError, match="has 1 of the 3 files of 'train'"):
        load_prepared(tmp_path / "rows")
    first = (tmp_path / "rows/train-00000-of-00003.parquet").stat().st_mtime_ns
    calls = []
    made = prepare(listing, tmp_path / "rows", settings=settings, progress=lambda done, total: calls.append(done))
    assert (tmp_path / "rows/train-00000-of-00003.parquet").stat().st_mtime_ns == first
    assert calls == [2, 3, 4, 5, 6]
    assert made.rows == 6
    assert not list((tmp_path / "rows").glob("*.unfinished"))
    assert all(same(one, other) for one, other in zip(load_prepared(tmp_path / "rows"), listing, strict=True))


def test_rows_of_something_else_are_not_mixed_in(listing, tmp_path):
    prepare(listing, tmp_path / "rows")
    with pytest.raises(DataError, match=r"rows of something else .*settings"):
        prepare(listing, tmp_path / "rows", settings=BuilderOptions(longest_side=32))
    other = list_folders(listing.images, listing.masks, "another request", "salient")
    with pytest.raises(DataError, match=r"rows of something else .*digest"):
        prepare(other, tmp_path / "rows")
    (tmp_path / "rows/prepared.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        prepare(listing, tmp_path / "rows")


def test_a_faulty_sample_ends_the_work_or_is_left_out_by_name(listing, tmp_path):
    (listing.masks / "é 1.png").write_bytes(b"no")
    save_mask(np.ones((5, 5), dtype=bool), listing.masks / "é 4.png")
    with pytest.raises(ImageError, match=r"é 1\.png"):
        prepare(listing, tmp_path / "rows")
    made = prepare(listing, tmp_path / "other rows", settings=BuilderOptions(rows_per_file=2, skip_faulty=True))
    assert (made.rows, list(made.left_out)) == (4, ["é 1", "é 4"])
    assert [sample.id for sample in load_prepared(tmp_path / "other rows")] == ["é 0", "é 2", "é 3", "é 5"]
    again = prepare(listing, tmp_path / "other rows", settings=BuilderOptions(rows_per_file=2, skip_faulty=True))
    assert again == made


def test_what_is_left_out_is_known_after_work_that_was_cut_off(listing, tmp_path):
    (listing.masks / "é 1.png").write_bytes(b"no")
    save_mask(np.ones((5, 5), dtype=bool), listing.masks / "é 4.png")
    settings = BuilderOptions(rows_per_file=2, skip_faulty=True)

    def cut_off(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(listing, tmp_path / "rows", settings=settings, progress=cut_off)
    (noted,) = (tmp_path / "rows").glob("*.left-out.jsonl")
    with noted.open("a") as lines:
        lines.write('{"train-00001-of')  # cut off in the middle
    made = prepare(listing, tmp_path / "rows", settings=settings)
    assert list(made.left_out) == ["é 1", "é 4"]
    assert not noted.exists()
    manifest = json.loads((tmp_path / "rows/prepared.json").read_text(encoding="utf-8"))
    assert [list(gone) for gone in manifest["left_out"].values()] == [["é 1"], ["é 4"]]
    assert manifest["reasons"] == {"unreadable": 2}


def test_rows_are_never_written_into_the_source(listing, tmp_path):
    """Defect 11: files written into the user's data set."""
    for out in (tmp_path / "data/rows", tmp_path / "data", listing.images / "rows"):
        with pytest.raises(DataError, match="outside the data set"):
            prepare(listing, out)
    before = sorted(path for path in (tmp_path / "data").rglob("*"))
    prepare(listing, tmp_path / "rows")
    assert sorted(path for path in (tmp_path / "data").rglob("*")) == before


def test_the_manifest_says_what_the_rows_are_made_of(listing, tmp_path):
    prepare(listing, tmp_path / "rows", "test")
    manifest = json.loads((tmp_path / "rows/prepared.json").read_text())
    assert (manifest["name"], manifest["split"], manifest["samples"]) == ("these folders", "test", 6)
    assert manifest["settings"] == {
        "rows_per_file": 500,
        "longest_side": None,
        "skip_faulty": False,
        "schema": "thinkseg",
        "resize": None,
        "points": 0,
        "published_points": False,
        "keep_iou": None,
        "segmenter": "",
    }
    assert manifest["left_out"] == {}


def test_a_folder_without_rows_is_told(tmp_path):
    with pytest.raises(DataError, match="found none"):
        load_prepared(tmp_path)
