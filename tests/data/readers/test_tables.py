"""Own data in CSV, TSV and JSONL."""

import json

import numpy as np
import pytest

from thinkseg.data.listing import FaultKind
from thinkseg.data.readers.tables import has_requests, list_table, table_rows
from thinkseg.errors import DataError, ImageError
from thinkseg.imaging import load_image, rle_from_mask, save_mask
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
        ("a.jsonl", "[]", "line 1 .* should be a JSON object, found \\[\\]"),
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


def requests(file, text, encoding="utf-8"):
    file.write_bytes(text.encode(encoding))
    return [(row.id, row.query) for row in map(list_table(file).entry, range(len(list_table(file))))]


def test_ids_may_be_numbers_and_zero_is_one(tmp_path):
    text = "\n".join(json.dumps({"id": number, "image": "a.png", "query": "x"}) for number in (0, 1, 2))
    assert [name for name, _ in requests(tmp_path / "a.jsonl", text)] == ["0", "1", "2"]
    assert [name for name, _ in requests(tmp_path / "a.csv", "id,image,query\n0,a,x\n1,a,x\n")] == ["0", "1"]


def test_a_row_is_called_by_the_line_where_it_begins(tmp_path):
    text = 'image,query\n\na.png,"the cup\non the left"\nb.png,"x\r\n\r\ny"\nc.png,z\n'
    assert requests(tmp_path / "a.csv", text) == [("3", "the cup\non the left"), ("5", "x\r\n\r\ny"), ("8", "z")]


def test_a_field_may_be_long_and_a_letter_may_look_like_the_end_of_a_line(tmp_path):
    long = f"image,query,note\na.png,the disc\u2028on the left,{'A' * 140_000}\n"
    assert requests(tmp_path / "a.csv", long) == [("2", "the disc\u2028on the left")]
    line = json.dumps({"image": "a.png", "query": "the disc\u2028on\x85the left"}, ensure_ascii=False)
    assert requests(tmp_path / "a.jsonl", f"{line}\r\n{line}") == [("1", "the disc\u2028on\x85the left"),
                                                                  ("2", "the disc\u2028on\x85the left")]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "image,query\na.png,the 杯子\n"), ("a.jsonl", '{"image": "a.png", "query": "the 杯子"}\n')],
)
def test_a_byte_order_mark_says_what_a_table_is_in(tmp_path, name, text, encoding):
    assert [query for _, query in requests(tmp_path / name, text, encoding)] == ["the 杯子"]


def test_a_table_is_read_in_the_encoding_that_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes("image,query\na.png,杯子\n".encode("gbk"))
    assert list_table(tmp_path / "a.csv", "gbk").entry(0).query == "杯子"


def test_commas_in_quotes_and_empty_columns_at_the_end_are_no_fault(tmp_path):
    text = 'image, query, mask\na.png, "the cup, red", none,,\nb.png,x\n\n , ,\n'
    listing_text = requests(tmp_path / "a.csv", text)
    assert listing_text == [("2", "the cup, red"), ("3", "x")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "image,query\na,b\nc,the cup, the red one\n", "line 3 .* 3 values for 2 columns.*double quotes"),
        ("a.csv", "image;query\nc;the cup; red\n", "line 2 .* with a semicolon"),
        ("a.csv", 'image,query\na,"the cup\nb,c\n', "begins in line 2 .*double quote"),
        ("a.csv", 'image,query\na,"the cup" of tea\n', "begins in line 2 .*double quote"),
        ("a.csv", "image,query,Query\na,b,c\n", "has the column 'query' twice"),
        ("a.csv", "image,query,mask\na,b,m.png|\n", "a mask in line 2 .* found ''"),
        ("a.jsonl", '{"image": "a", "query": "b", "mask": " "}', "a mask in line 1 .* found ''.*leave 'mask' out"),
        ("a.jsonl", '{"image": "a", "query": "b", "mask": "|"}', "a mask in line 1"),
        ("a.jsonl", '{"image": "a", "query": "b", "masks": [" "]}', "a mask in line 1"),
        ("a.jsonl", '{"image": "a", "query": "b", "mask": 3}', "a mask in line 1 .* found 3"),
        ("a.jsonl", '{"image": "a", "query": "b", "mask": "m", "masks": []}', "line 1 .* which differ"),
        ("a.jsonl", '{"image": ["a"], "query": "b"}', "'image' of line 1 .* should be text, found ..a"),
        ("a.jsonl", '{"image": "a", "query": {"en": "b"}}', "'query' of line 1 .* should be text"),
        ("a.jsonl", '{"image": "a", "query": "half \\ud83d"}', "'query' of line 1 .* should be text"),
        ("a.jsonl", '{"image": "a", "query": "b", "id": 1.5}', "'id' of line 1 .* should be text, found 1.5"),
        ("a.jsonl", '{"image": "a", "query": "b"}\n{"image": "a", "query": "b", "id": 1}', "'1' in line 2 .* line 1"),
        ("a.jsonl", '{"id": 2, "image": "a", "query": "b"}\n{"image": "a", "query": "b"}', "give every row an id"),
    ],
)
def test_a_row_that_would_be_read_wrongly_is_refused_with_its_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        list_table(tmp_path / name)


def test_masks_that_are_null_do_not_hide_the_mask(folder):
    row = {"image": "images/p 0.jpg", "query": "x", "masks": None, "mask": "masks/m 0.png"}
    (folder / "a.jsonl").write_text(json.dumps(row))
    assert list_table(folder / "a.jsonl")[0].target.any()


def test_run_lengths_are_read_in_either_form_in_masks_and_in_mask(folder):
    counts = [0, 64 * 32, 64 * 32]  # the left half, column by column
    rows = [{"image": "images/p 0.jpg", "query": "x", name: told} for name, told in (
        ("mask", {"size": [64, 64], "counts": counts}), ("masks", [{"size": [64, 64], "counts": counts}]))]  # fmt: skip
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for sample in list_table(folder / "a.jsonl"):
        assert sample.target[:, :32].all()
        assert sample.target.sum() == 64 * 32
    (folder / "a.jsonl").write_text(json.dumps({**rows[0], "mask": {"size": [64, 64], "counts": [1, 2]}}))
    with pytest.raises(DataError, match=r"run lengths in line 1 of .* must add up to 4096, found 3"):
        list_table(folder / "a.jsonl")[0]


def test_backslashes_part_folders(folder):
    (folder / "a.csv").write_text("image,query,mask\nimages\\p 0.jpg,x,masks\\m 0.png\n")
    listing = list_table(folder / "a.csv")
    assert not listing.faults
    assert listing[0].image == folder / "images/p 0.jpg"


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_first_line_that_tells_excel_the_separator_is_no_header_and_lines_keep_their_numbers(tmp_path, sign, end):
    rows = [f"sep={sign}", sign.join(["image", "query"]), sign.join(["a.png", "the cup"]), sign.join(["b.png", ""])]
    file = tmp_path / "t.csv"
    file.write_bytes((end.join(rows[:3]) + end).encode())
    assert [(line, dict(values)) for line, values in table_rows(file)] == [(3, {"image": "a.png", "query": "the cup"})]
    assert has_requests(file)
    file.write_bytes(end.join(rows).encode())
    with pytest.raises(DataError, match=r"line 4 of .* has no 'query'"):
        list_table(file)


def test_a_name_longer_than_any_files_is_a_missing_image(tmp_path):
    (tmp_path / "a.csv").write_text(f"image,query\n{'a' * 5000}.png,the cup\n")
    listing = list_table(tmp_path / "a.csv")
    assert [fault.kind for fault in listing.faults] == [FaultKind.MISSING_IMAGE]
    with pytest.raises(ImageError, match="longer than the name of a file can be"):
        load_image(listing.entry(0).image)
