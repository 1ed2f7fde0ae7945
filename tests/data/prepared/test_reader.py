"""Rows travel both ways: what is written in any schema is read as samples, and published files are read, too."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings, load_dataset
from thinkseg.data.prepared.builder import BuilderOptions, build_reference
from thinkseg.data.prepared.reader import list_rows
from thinkseg.data.prepared.writer import prepare
from thinkseg.data.preview import sample_cell
from thinkseg.data.readers.tables import list_table
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import load_image, save_mask
from thinkseg.testing.data_sets import scene_samples
from thinkseg.types import Size

WIDE = Size(96, 64)


@pytest.fixture
def table(tmp_path):
    """Four requests about two wide images: one object, two objects, none, one in the corner."""
    for number in range(2):
        scene = scene_samples()[number]
        (tmp_path / "own").mkdir(exist_ok=True)
        load_image(scene.image).resize(WIDE.wh).save(tmp_path / f"own/{number}.jpg", quality=95)
        save_mask(np.asarray(Image.fromarray(scene.target).resize(WIDE.wh)), tmp_path / f"own/{number}.png")
    corner = np.zeros(WIDE.hw, dtype=bool)
    corner[40:, 70:] = True
    save_mask(corner, tmp_path / "own/corner.png")
    (tmp_path / "own/t.csv").write_text(
        "id,image,query,mask\none,0.jpg,the object,0.png\ntwo,1.jpg,both,1.png|corner.png\n"
        "none,0.jpg,the cow,none\nbent,1.jpg,the corner,corner.png\n"
    )
    return list_table(tmp_path / "own/t.csv")


def write_published(folder, solution, count=3, size=(840, 840), name="data/train-00000-of-00001.parquet", **more):
    """Published rows as ``datasets`` writes them."""
    columns = {
        "id": [f"{number}_7" for number in range(count)],
        "problem": [f" thing {number}" for number in range(count)],
        "solution": [solution] * count,
        "image": [Image.new("RGB", size, (number, 0, 0)) for number in range(count)],
        "img_height": [480] * count,
        "img_width": [640] * count,
    }
    kinds = {**dict.fromkeys(columns, Value("string")), "image": ImageFeature(),
             "img_height": Value("int64"), "img_width": Value("int64")}  # fmt: skip
    rows = Dataset.from_dict(columns | more, features=Features(kinds | dict.fromkeys(more, Value("bool"))))
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(folder / name)
    return rows


SEG_ZERO = "<box>(84,168),(420,504)</box><points>(200,300),(250,310)</points>"
TWO = (
    '[{"bbox_2d": [84, 168, 420, 504], "point_2d": [200, 300]}, {"bbox_2d": [500, 5, 700, 80], "point_2d": [600, 40]}]'
)


@pytest.mark.parametrize("schema", ["thinkseg", "seg-zero", "vision-reasoner"])
def test_boxes_points_and_frames_come_back_within_rounding(table, tmp_path, schema):
    made = prepare(table, tmp_path / "rows", settings=BuilderOptions(schema=schema, resize=168, points=2))
    listing = list_rows(tmp_path / "rows", "train")
    kept = ["one", "bent"] if schema == "seg-zero" else ["one", "two", "none", "bent"]
    assert [listing.entry(index).id for index in range(len(listing))] == kept
    assert set(made.left_out) == {"one", "two", "none", "bent"} - set(kept)
    source = {sample.id: sample for sample in table}
    for index, sample in enumerate(listing):
        points = 1 if schema == "vision-reasoner" else 2
        expected = build_reference(source[sample.id], points, inclusive=schema != "thinkseg")
        assert sample.query == listing.entry(index).query == source[sample.id].query
        assert sample.image.size == (168, 168)
        assert sample.reference.frame == Size(168, 168)
        assert listing.original_size(index) == WIDE
        back = sample.reference.rescaled(WIDE)
        assert len(back.objects) == len(expected.objects)
        for told, true in zip(back.objects, expected.objects, strict=True):
            assert told.box.xyxy == pytest.approx(true.box.xyxy, abs=0.5)
            for one, other in zip(told.points, true.points, strict=True):
                assert (one.x, one.y) == pytest.approx((other.x, other.y), abs=0.5)


def test_rows_of_one_schema_are_written_in_another_and_keep_both_frames(table, tmp_path):
    prepare(table, tmp_path / "own rows", settings=BuilderOptions(resize=168, points=2))
    prepare(list_rows(tmp_path / "own rows"), tmp_path / "zero", settings=BuilderOptions(schema="seg-zero", resize=336))
    prepare(
        list_rows(tmp_path / "zero"), tmp_path / "vision", settings=BuilderOptions(schema="vision-reasoner", resize=168)
    )
    first, last = list_rows(tmp_path / "own rows"), list_rows(tmp_path / "vision")
    assert [sample.id for sample in last] == ["one", "bent"]
    assert last.original_size(0) == last.original_size(1) == WIDE
    for sample, index in zip(last, (0, 3), strict=True):
        told, true = sample.reference.objects[0], first[index].reference.objects[0]
        assert told.box.xyxy == pytest.approx(true.box.xyxy, abs=1)
        assert (told.points[0].x, told.points[0].y) == pytest.approx((true.points[0].x, true.points[0].y), abs=1)
    made = prepare(list_rows(tmp_path / "vision"), tmp_path / "back", settings=BuilderOptions(schema="seg-zero"))
    assert set(made.left_out.values()) == {"no-second-point"}


def test_published_rows_are_read_as_they_come(tmp_path):
    write_published(tmp_path, SEG_ZERO)
    listing = list_rows(tmp_path)
    assert len(listing) == 3
    sample = listing[1]
    assert (sample.id, sample.query, sample.target) == ("1_7", "thing 1", None)
    assert sample.reference.objects[0].box.xyxy == (84, 168, 420, 504)
    assert np.asarray(sample.image)[0, 0].tolist() == [1, 0, 0]
    assert listing.original_size(1) == Size(640, 480)
    assert sample.reference.rescaled(Size(640, 480)).objects[0].box.xyxy == (64, 96, 320, 288)


def test_columns_beyond_the_published_ones_do_no_harm(tmp_path):
    write_published(tmp_path, TWO, object_part=[True] * 3)
    assert len(list_rows(tmp_path)[0].reference.objects) == 2


def test_a_folder_that_datasets_saved_is_read_without_a_copy(tmp_path):
    rows = write_published(tmp_path / "other", TWO)
    rows.save_to_disk(tmp_path / "saved/train")
    (tmp_path / "saved/train/cache-1.arrow").write_bytes(b"no")
    listing = list_rows(tmp_path / "saved", "train")
    assert [sample.query for sample in listing] == ["thing 0", "thing 1", "thing 2"]
    assert len(listing[0].reference.objects) == 2


@pytest.mark.parametrize("home", ["refCOCOg_2k_840", "datasets--x--refCOCOg_2k_840/snapshots/abc", "refcocog-2k-840"])
def test_known_rows_are_found_by_the_name_of_their_repository(tmp_path, home):
    write_published(tmp_path / home, SEG_ZERO)
    assert len(load_dataset("refcocog-2k", "train", tmp_path)) == 3
    with pytest.raises(DataError, match="found no 'train'"):
        load_dataset("multi-object-7k", "train", tmp_path)
    ((record, splits),) = find_listings(OwnData(tmp_path))
    assert (record.name, list(splits)) == ("refcocog-2k", ["train"])


def test_the_root_of_known_rows_may_have_another_name(tmp_path):
    write_published(tmp_path / "mine", TWO)
    assert len(load_dataset("multi-object-1k", "train", tmp_path / "mine")) == 3


def test_every_split_of_rows_is_found(tmp_path):
    for split in ("train", "test"):
        write_published(tmp_path, SEG_ZERO, name=f"{split}-00000-of-00001.parquet")
    ((record, splits),) = find_listings(OwnData(tmp_path))
    assert record is None
    assert set(splits) == {"train", "test"}
    assert set(find_listings(OwnData(tmp_path, split="test"))[0][1]) == {"test"}
    assert set(find_listings(OwnData(tmp_path / "test-00000-of-00001.parquet"))[0][1]) == {"test"}
    with pytest.raises(DataError, match="no split 'val'; they have: "):
        find_listings(OwnData(tmp_path, split="val"))


def test_rows_in_groups_are_read_in_any_order(tmp_path):
    write_published(tmp_path, SEG_ZERO, count=5)
    file = tmp_path / "data/train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(file), file, row_group_size=2)
    listing = list_rows(tmp_path)
    assert [listing[index].query[-1] for index in (4, 0, 3, 1, 2, -1)] == ["4", "0", "3", "1", "2", "4"]
    assert [sample.query[-1] for sample in listing[1:3]] == ["1", "2"]


def test_files_that_are_missing_damaged_or_of_another_kind_are_told(tmp_path):
    with pytest.raises(DataError, match="found none"):
        list_rows(tmp_path)
    write_published(tmp_path / "hole", SEG_ZERO, name="train-00001-of-00003.parquet")
    with pytest.raises(DataError, match="has 1 of the 3 files of 'train'"):
        list_rows(tmp_path / "hole")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="is damaged or no file of rows"):
        list_rows(tmp_path / "bad.parquet")
    pq.write_table(pa.table({"id": ["a"], "text": ["b"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"should have the columns id, .* or the published id, .* it has: id, text"):
        list_rows(tmp_path / "other.parquet")


def test_a_row_in_another_frame_than_its_image_is_told_with_its_number(tmp_path):
    write_published(tmp_path, SEG_ZERO, size=(420, 420))
    listing = list_rows(tmp_path)
    with pytest.raises(DataError, match=r"the solution of row 2 of '.*' reaches to \(420, 504\), beyond its image"):
        listing[2]


def test_a_cell_of_a_row_shows_both_frames(tmp_path):
    write_published(tmp_path, TWO)
    listing = list_rows(tmp_path)
    drawn, caption = sample_cell(listing[0], listing.original_size(0))
    assert caption == "thing 0\n(no mask)\nimage 840x840, was 640x480\n0_7"
    assert (np.asarray(drawn)[168, 84:420] > 50).any()
    assert (np.asarray(drawn)[5, 500:700] > 50).any()


def test_rows_and_tables_of_ones_own_are_loaded_by_the_name_that_recipes_use(table, tmp_path):
    prepare(table, tmp_path / "rows", settings=BuilderOptions(schema="seg-zero", resize=112))
    assert [sample.id for sample in load_dataset("own", "train", tmp_path / "rows")] == ["one", "bent"]
    assert [sample.id for sample in load_dataset("own", "train", tmp_path / "own")] == ["one", "two", "none", "bent"]
    with pytest.raises(DataError, match="no split 'test'"):
        load_dataset("own", "test", tmp_path / "rows")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="found nothing below"):
        load_dataset("own", "train", tmp_path / "nothing")
    (tmp_path / "own/1.png").unlink()
    with pytest.raises(DataError, match="not whole: 1 × missing-mask"):
        load_dataset("own", "train", tmp_path / "own")


def test_the_words_that_stand_for_the_image_are_no_part_of_a_published_request(tmp_path):
    stream = io.BytesIO()
    Image.new("RGB", (12, 10)).save(stream, format="PNG")
    row = {"id": "1", "problem": "<image>\nthe cup", "solution": "[]", "img_height": 10, "img_width": 12,
           "image": {"bytes": stream.getvalue(), "path": None}}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train-00000-of-00001.parquet")
    listing = list_rows(tmp_path)
    assert (listing.entry(0).query, listing[0].query) == ("the cup", "the cup")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"bytes": None, "path": "../a.png"}, "row 0 of .* only names '../a.png'"),
        ({"bytes": None, "path": None}, "row 0 of .* should have an image, .* found neither"),
        ({"bytes": b"EPS", "path": None}, "the image of row 0 of .* is not an image of a kind"),
        ([{"bytes": b"", "path": "a.png"}], "row 0 of .* should have one image, found a list of 1"),
    ],
)
def test_an_image_of_a_row_that_is_not_in_it_or_not_one_is_told(tmp_path, image, said):
    row = {"id": "1", "problem": "x", "solution": "[]", "image": image, "img_height": 4, "img_width": 4}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(InputError, match=said):
        list_rows(tmp_path)[0]


def test_an_image_that_a_row_only_names_lies_below_the_folder_of_the_rows(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (12, 10)).save(tmp_path / "images/a.png")
    row = {"id": "1", "problem": "x", "solution": "[]", "image": {"bytes": None, "path": "images\\a.png"},
           "img_height": 10, "img_width": 12}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train-00000-of-00001.parquet")
    assert list_rows(tmp_path)[0].image.size == (12, 10)


def test_memory_holds_a_few_groups_of_rows_however_many_files_there_are(tmp_path):
    for number in range(6):
        write_published(tmp_path, "[]", count=1, name=f"data/train-{number:05d}-of-00006.parquet")
    listing = list_rows(tmp_path)
    assert len(list(listing)) == 6
    kept = {id(table._latest) for table in listing._tables}
    assert len(kept) == 1
    assert len(listing._tables[0]._latest._groups) == 2


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("query", None, "'query' of row 0 .* should be text, found nothing"),
        ("query", " ", "'query' of row 0 .* should be text"),
        ("id", None, "'id' of row 0 .* should be text, found nothing"),
        ("width", None, "'width' of row 0 .* should be a whole number, found nothing"),
        ("instances", 5, "'instances' of row 0 .* should be a list of masks, found 5"),
        ("reference", "[]", "'reference' of row 0 .* should be an answer as a JSON object"),
        ("reference", 5, "'reference' of row 0 .* should be text, found 5"),
        ("image", {"bytes": None, "path": "no.png"}, r"no\.png', the image of row 0"),
    ],
)
def test_a_value_of_another_kind_in_a_prepared_row_is_named(table, tmp_path, column, value, said):
    prepare(table, tmp_path / "rows")
    (file,) = (tmp_path / "rows").rglob("*.parquet")
    row = pq.read_table(file).to_pylist()[0] | {column: value}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=said) as caught:
        list_rows(tmp_path / "bad.parquet")[0]
    assert "object" not in str(caught.value) or "JSON object" in str(caught.value)


def test_a_published_request_that_is_the_image_alone_is_refused(tmp_path):
    write_published(tmp_path, "[]")
    row = pq.read_table(tmp_path / "data/train-00000-of-00001.parquet").to_pylist()[0] | {"problem": "<image>"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"'problem' of row 0 .* a request beside"):
        list_rows(tmp_path / "bad.parquet")[0]
