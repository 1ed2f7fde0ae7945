"""What is asked for: rows of tables of every kind, images of folders and patterns, and what is wrong with them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from thinkseg.errors import DataError, ImageError, InputError
from thinkseg.serving.labelling.manifest import Counted, read_requests, write_requests
from thinkseg.serving.labelling.sources import LabelRequest, LabelSource

ROWS = [LabelRequest(0, "7", "a.png", "the cup"), LabelRequest(1, "", "sub/b.png", "two, or more")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub" / ".hidden").mkdir(parents=True)
    for name in ("a.png", "sub/b.png", "sub/.hidden/c.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    return tmp_path


def write(folder: Path, name: str) -> Path:
    file = folder / name
    if name.endswith(".parquet"):
        columns = {
            "id": ["7", None],
            "image": ["a.png", "sub/b.png"],
            "query": ["the cup", "two, or more"],
            "n": [1, 2],
        }
        pq.write_table(pa.table(columns), file)
    elif name.endswith(".jsonl"):
        file.write_text(
            '{"image": "a.png", "query": "the cup", "id": 7}\n{"query": "two, or more", "image": "sub/b.png"}\n'
        )
    else:
        file.write_text('id,image,query\n7,a.png,the cup\n,sub/b.png,"two, or more"\n')
    return file


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl", "t.csv"])
def test_tables_of_every_kind_say_the_same(folder: Path, name: str) -> None:
    source = LabelSource(str(write(folder, name)))
    assert list(source.requests()) == ROWS
    assert source.root == folder


def test_a_folder_and_a_pattern_are_their_images_with_one_query(folder: Path) -> None:
    named = [LabelRequest(0, "", "a.png", "it"), LabelRequest(1, "", "sub/b.png", "it")]
    for name in (str(folder), f"{folder}/**/*.png"):
        source = LabelSource(name, "it")
        assert list(source.requests()) == named
        assert source.root.resolve() == folder.resolve()


def test_the_digest_of_rows_does_not_depend_on_where_they_lie(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    revisions = set()
    for place, name in ((folder, "t.csv"), (elsewhere, "u.parquet")):
        counted = Counted(LabelSource(str(write(place, name))).requests())
        counted.exhaust()
        assert counted.rows == 2
        revisions.add(counted.revision)
    assert len(revisions) == 1
    other = Counted([LabelRequest(0, "", "a", "bc"), LabelRequest(1, "", "d", "e")])
    joined = Counted([LabelRequest(0, "", "ab", "c"), LabelRequest(1, "", "d", "e")])
    other.exhaust()
    joined.exhaust()
    assert other.revision != joined.revision


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("t.csv", "image,query\na.png,\n", "line 2 of .* has no 'query'"),
        ("t.csv", "image,what\na.png,x\n", "lacks the column query; it has: image, what"),
        ("t.jsonl", '{"image": 5, "query": "x"}\n', "'image' of line 1 of .* should be text, found 5"),
        ("t.parquet", "no parquet", "cannot be read as a Parquet table"),
        ("gone.parquet", None, "expected a table at .*, found none"),
        ("gone.csv", None, "expected a table at .*, found none"),
    ],
)
def test_a_table_that_is_not_as_expected_is_told(folder: Path, name: str, text: str | None, sentence: str) -> None:
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(DataError, match=sentence):
        list(LabelSource(str(folder / name)).requests())


def test_a_parquet_of_other_columns_or_of_images_that_are_no_names_is_told(folder: Path) -> None:
    pq.write_table(pa.table({"img": ["a.png"], "query": ["x"]}), folder / "other.parquet")
    with pytest.raises(DataError, match="lacks the column image; it has: img, query"):
        list(LabelSource(str(folder / "other.parquet")).requests())
    pq.write_table(pa.table({"image": [{"bytes": b"x"}], "query": ["x"]}), folder / "bytes.parquet")
    with pytest.raises(DataError, match=r"'image' of row 1 of .* should be text"):
        list(LabelSource(str(folder / "bytes.parquet")).requests())


def test_a_folder_without_a_query_or_images_is_told(folder: Path) -> None:
    with pytest.raises(InputError, match="the query is empty"):
        list(LabelSource(str(folder)).requests())
    with pytest.raises(ImageError, match="found no such file"):
        list(LabelSource(str(folder / "gone"), "it").requests())
    with pytest.raises(ImageError, match="found no images"):
        list(LabelSource(f"{folder}/*.jpg", "it").requests())


def test_any_rows_of_the_manifest_are_read_without_the_others(tmp_path: Path) -> None:
    write_requests(tmp_path / "rows", (LabelRequest(row, "", f"{row}.png", "it") for row in range(20_000)))
    for wanted in (range(0, 3), range(8190, 8195), range(8192, 16384), range(19_998, 20_000)):
        assert [request.row for request in read_requests(tmp_path / "rows", wanted)] == list(wanted)
