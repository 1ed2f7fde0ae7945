import io
import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from thinkseg.data.listing import FaultKind
from thinkseg.data.readers.counting import find_counts, list_counts
from thinkseg.errors import DataError, ImageError


def encoded(colour):
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(stream, format="PNG")
    return {"bytes": stream.getvalue(), "path": None}


def write_parquet(file, rows, group=2):
    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=group)


def test_rows_of_countbench_ask_their_question_and_those_without_an_image_are_left_out(tmp_path):
    colours = ("red", None, "blue", "lime")
    rows = [
        {
            "image": None if colour is None else encoded(colour),
            "text": "a photo of three sheep",
            "number": number,
            "question": f"How many sheep are there in image {number}?",
        }
        for number, colour in enumerate(colours)
    ]
    write_parquet(tmp_path / "train-00000-of-00001.parquet", rows)
    listing = list_counts(tmp_path / "train-00000-of-00001.parquet").require_complete()
    assert [sample.count for sample in listing] == [0, 2, 3]
    assert [sample.query for sample in listing] == [f"How many sheep are there in image {n}?" for n in (0, 2, 3)]
    assert len({sample.id for sample in listing}) == 3
    for sample, colour in zip(listing, ((255, 0, 0), (0, 0, 255), (0, 255, 0)), strict=True):
        assert np.asarray(sample.image).shape == (4, 6, 3)
        assert tuple(np.asarray(sample.image)[0, 0]) == colour
        assert sample.target is None
        assert sample.task == "counting"


def test_captions_alone_give_the_number_away_and_are_not_asked(tmp_path):
    file = tmp_path / "train.parquet"
    write_parquet(file, [{"image": encoded("red"), "text": "three sheep", "number": 3}])
    with pytest.raises(DataError, match=r"captions give the number away; add the questions of CountBenchQA"):
        list_counts(file)


def test_rows_of_pixmo_find_their_images_by_their_digests(tmp_path):
    rows = [{"image_url": "x", "image_sha256": name, "count": 3, "label": "people", "points": None} for name in "ab"]
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows)
    for folder, name in (("images", "a.png"), ("data/images", "b.jpg")):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (5, 5)).save(tmp_path / folder / name)
    listing = list_counts(tmp_path / "data" / "test-00000-of-00001.parquet").require_complete()
    assert [sample.image.name for sample in listing] == ["a.png", "b.jpg"]
    assert [(sample.query, sample.count) for sample in listing] == [("people", 3), ("people", 3)]


def test_an_image_that_is_not_there_is_a_fault_since_it_would_shrink_the_denominator(tmp_path):
    write_parquet(tmp_path / "test.parquet", [{"image_sha256": "abc", "count": 3, "label": "people"}])
    listing = list_counts(tmp_path / "test.parquet")
    assert [fault.kind for fault in listing.faults] == [FaultKind.MISSING_IMAGE]
    with pytest.raises(DataError, match=r"not whole: 1 × missing-image.*abc\.jpg"):
        listing.require_complete()


def test_a_table_of_ones_own_says_image_query_and_count(tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "p.png")
    (tmp_path / "test.csv").write_text("image,query,count\np.png,the cups,2\n", encoding="utf-8")
    (tmp_path / "test.jsonl").write_text(
        json.dumps({"image": "p.png", "query": "the cups", "count": 2}) + "\n", encoding="utf-8"
    )
    for name in ("test.csv", "test.jsonl"):
        (sample,) = list_counts(tmp_path / name).require_complete()
        assert (sample.query, sample.count, sample.image) == ("the cups", 2, tmp_path / "p.png")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,count\np.png,2\n", r"what to count in a column label or question or query; it has: image, count"),
        ("image,query\np.png,cups\n", r"how many there are in a column count or number"),
        ("image,query,count\np.png,cups,2.5\n", r"row 0 .* whole number of objects, found '2\.5'"),
        ("image,query,count\np.png,cups,many\n", r"found 'many'"),
        ("image,query,count\np.png,cups,-1\n", r"found '-1'"),
        ("image,query,count\np.png,,1\n", r"row 0 .* has no 'query'"),
        ("query,count\ncups,1\n", r"neither 'image' nor 'image_sha256'"),
        ("image,query,count\n", r"has no rows"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_a_sentence(tmp_path, text, said):
    file = tmp_path / "test.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        list_counts(file)


def test_a_file_that_is_missing_of_another_kind_or_damaged_is_said_in_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"found no such file"):
        list_counts(tmp_path / "test.csv")
    with pytest.raises(DataError, match=r"\.parquet, \.jsonl, \.csv, found"):
        list_counts(tmp_path / "test.xlsx")
    (tmp_path / "test.parquet").write_bytes(b"PAR")
    with pytest.raises(DataError, match=r"should be a Parquet file"):
        list_counts(tmp_path / "test.parquet")
    (tmp_path / "test.jsonl").write_text("[1]\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1 of .* should be a JSON object, found \[1\]"):
        list_counts(tmp_path / "test.jsonl")


def test_a_damaged_image_inside_the_file_is_said_in_a_sentence(tmp_path):
    write_parquet(tmp_path / "t.parquet", [{"image": {"bytes": b"no", "path": None}, "label": "x", "count": 1}])
    with pytest.raises(ImageError, match=r"row 0 of .*t\.parquet"):
        _ = list_counts(tmp_path / "t.parquet")[0]


def test_the_file_of_a_split_is_found_below_a_folder_of_the_data_sets_name(tmp_path):
    file = tmp_path / "PixMo_count" / "data" / "test-00000-of-00001.parquet"
    write_parquet(file, [{"image": encoded("red"), "label": "cups", "count": 1}])
    assert find_counts(tmp_path, "pixmo-count", "test") == file
    assert find_counts(tmp_path / "PixMo_count", "pixmo-count", "test") == file
    assert find_counts(tmp_path, "pixmo-count", "validation") is None
    assert find_counts(tmp_path, "countbench", "") is None


def test_listing_rows_reads_none_of_their_images(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"image": {"bytes": rng.bytes(1_000_000), "path": None}, "question": "x", "number": number}
        for number in range(24)
    ]
    write_parquet(tmp_path / "train.parquet", rows, group=12)
    before = pyarrow.default_memory_pool()
    counted = pyarrow.proxy_memory_pool(before)
    pyarrow.set_memory_pool(counted)
    try:
        assert len(list_counts(tmp_path / "train.parquet")) == 24
    finally:
        pyarrow.set_memory_pool(before)
    assert counted.max_memory() < 2_000_000


@pytest.mark.parametrize("count", ["inf", "nan", "-1", "2.5", "many"])
def test_a_count_that_is_no_whole_number_is_told(tmp_path, count):
    (tmp_path / "a.csv").write_text(f"image,query,count\na.png,x,{count}\n")
    with pytest.raises(DataError, match=f"should have a whole number of objects, found '{count}'"):
        list_counts(tmp_path / "a.csv")
