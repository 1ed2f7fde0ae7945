"""Own data in CSV, TSV and JSONL."""

import json

import numpy as np
import pytest

from thinkseg.data.listing import FaultKind
from thinkseg.data.readers.tables import list_table
from thinkseg.errors import DataError, ImageError
from thinkseg.imaging import rle_from_mask, save_mask
from thinkseg.testing.data_sets import scene_samples, write_pair


@pytest.fixture
def folder(tmp_path):
    """Two images with masks, and a mask of the upper half."""
    for number in range(2):
        write_pair(tmp_path / f"images/p {number}.jpg", tmp_path / f"masks/m {number}.png", number)
    half = np.zeros((64, 64), dtype=bool)
    half[:32] = True
    save_mask(half, tmp_path / "masks/half.png")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'image,mask,query\nimages/p 0.jpg,masks/m 0.png,"the bird, of course"\n'),
        ("a.csv", "\ufeffImage ;Mask; Query\nimages/p 0.jpg;masks/m 0.png;the bird, of course\n"),
        ("a.tsv", "query\tmask\timage\tnote\nthe bird, of course\tmasks/m 0.png\timages/p 0.jpg\tx\n"),
        ("a.jsonl", '{"image": "images/p 0.jpg", "mask": "masks/m 0.png", "query": "the bird, of course"}\n\n'),
    ],
    ids=["comma", "semicolon", "tabulator", "jsonl"],
)
def test_a_row_is_a_sample_in_every_kind_of_table(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    (sample,) = list_table(folder / name)
    assert sample.query == "the bird, of course"
    assert sample.image == folder / "images/p 0.jpg"
    assert np.array_equal(sample.target, scene_samples()[0].target)
    assert sample.ignore is None


def test_a_row_may_have_several_masks_none_or_no_truth(folder):
    (folder / "a.csv").write_text(
        "id,image,query,mask,ignore,task\n"
        "both,images/p 0.jpg,x,masks/m 0.png | masks/half.png,,two\n"
        "nothing,images/p 0.jpg,a cow,NONE,,\n"
        "unknown,images/p 0.jpg,x,,masks/half.png,\n"
    )
    both, nothing, unknown = list_table(folder / "a.csv")
    assert both.instances.shape == (2, 64, 64)
    assert np.array_equal(both.target, both.instances.any(axis=0))
    assert (both.id, both.task) == ("both", "two")
    assert nothing.target.shape == (64, 64)
    assert not nothing.target.any()
    assert nothing.instances.shape == (0, 64, 64)
    assert unknown.target is None
    assert unknown.ignore.sum() == 32 * 64


def test_jsonl_takes_lists_and_run_lengths(folder):
    half = scene_samples()[1].target
    rows = [
        {"image": "images/p 0.jpg", "query": "x", "masks": ["masks/m 0.png", dict(rle_from_mask(half))]},
        {"image": "images/p 0.jpg", "query": "x", "masks": []},
        {"image": "images/p 0.jpg", "query": "x", "mask": None},
    ]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    several, nothing, unknown = list_table(folder / "a.jsonl")
    assert np.array_equal(several.instances[1], half)
    assert not nothing.target.any()
    assert unknown.target is None
    assert [several.id, nothing.id, unknown.id] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "photo,query\nx,y\n", "lacks the column image; it has: photo, query"),
        ("a.csv", "image,query\n", "has no rows"),
        ("a.csv", "image,query\na.jpg,\n", "line 2 of '.*' has no 'query'"),
        ("a.csv", "id,image,query\n1,a,b\n1,a,b\n", "id '1' in line 3 .* taken by line 2"),
        ("a.jsonl", '{"image": "a", "query": "b"}\n{', "line 2 of '.*' is no JSON"),
        ("a.jsonl", "[]", "line 1 .* should be a JSON object, found list"),
        ("a.jsonl", '{"image": "a", "query": "b", "masks": [3]}', "a mask in line 1"),
        ("a.txt", "", "a table is a file"),
    ],
)
def test_a_table_that_says_too_little_is_told_with_its_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        list_table(tmp_path / name)


def test_a_missing_table_or_one_in_another_encoding_is_told(tmp_path):
    with pytest.raises(DataError, match="expected a table at"):
        list_table(tmp_path / "gone.csv")
    (tmp_path / "a.csv").write_bytes("image,query\na.jpg,café\n".encode("cp1252"))
    with pytest.raises(DataError, match="UTF-8"):
        list_table(tmp_path / "a.csv")


def test_files_that_are_not_there_are_named(folder):
    (folder / "a.csv").write_text("image,query,mask\ngone.jpg,x,masks/m 0.png\nimages/p 0.jpg,x,masks/gone.png\n")
    faults = list_table(folder / "a.csv").faults
    assert [(fault.kind, fault.detail) for fault in faults] == [
        (FaultKind.MISSING_IMAGE, "named in line 2 of a.csv"),
        (FaultKind.MISSING_MASK, "named in line 3 of a.csv"),
    ]


def test_masks_of_different_sizes_and_broken_run_lengths_are_told_with_their_line(folder):
    save_mask(np.ones((8, 8), dtype=bool), folder / "masks/small.png")
    (folder / "a.csv").write_text("image,query,mask\nimages/p 0.jpg,x,masks/m 0.png|masks/small.png\n")
    with pytest.raises(ImageError, match=r"line 2 of '.*' are of different sizes"):
        list_table(folder / "a.csv")[0]
    row = {"image": "images/p 0.jpg", "query": "x", "masks": [{"size": [2], "counts": "0"}]}
    (folder / "b.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match="run lengths in line 1"):
        list_table(folder / "b.jsonl")[0]
