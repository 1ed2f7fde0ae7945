"""What is written is read again: the same masks, objects and queries, or what a format cannot say is counted."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings
from thinkseg.data.text import printable
from thinkseg.data.writers.formats import WRITERS
from thinkseg.data.writers.written import IGNORED, NOTHING, UNKNOWN, WriteOptions
from thinkseg.errors import InputError
from thinkseg.imaging import load_image, load_mask
from thinkseg.types import Sample

HEIGHT, WIDTH = 12, 18
OBJECTS = st.lists(arrays(bool, (HEIGHT, WIDTH)).filter(np.any), min_size=1, max_size=3)
EXACT = WriteOptions(tolerance=0)


def photo(seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))


def sample(identifier="a", query="the crack", objects=(), image=None, **more):
    masks = np.stack(objects) if len(objects) else np.zeros((0, HEIGHT, WIDTH), bool)
    shown = photo() if image is None else image
    return Sample(identifier, shown, query, np.logical_or.reduce(masks, axis=0), instances=masks, **more)


def square(row=2, column=3, side=5):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[row : row + side, column : column + side] = True
    return mask


def read(folder):
    ((_, listings),) = find_listings(OwnData(folder))
    (listing,) = listings.values()
    return list(listing.require_complete())


def same(one, other):
    return np.array_equal(one.target, other.target) and np.array_equal(one.instances, other.instances)


@pytest.mark.parametrize("format", ["coco", "yolo", "labelme", "csv"])
@given(objects=OBJECTS)
@settings(max_examples=25, deadline=None)
def test_every_object_is_read_again_pixel_by_pixel(format, objects):
    with TemporaryDirectory() as folder:
        written = WRITERS[format]([sample(objects=objects)], Path(folder), EXACT)
        (again,) = read(folder)
        assert same(again, sample(objects=objects))
        assert again.query == "the crack"
        assert (written.samples, written.images, written.objects, written.changed) == (1, 1, len(objects), 0)
        assert np.array_equal(np.asarray(load_image(again.image)), np.asarray(photo()))


@given(objects=OBJECTS)
@settings(max_examples=25, deadline=None)
def test_what_polygons_change_is_counted_as_it_is_read(objects):
    with TemporaryDirectory() as folder:
        written = WRITERS["yolo"]([sample(objects=objects)], Path(folder), WriteOptions(tolerance=1.5))
        (again,) = read(folder)
        changed = [int((mask ^ other).sum()) for mask, other in zip(objects, again.instances, strict=True)]
        assert (written.changed, written.pixels) == (sum(changed), sum(int(mask.sum()) for mask in objects))
        assert written.worst == max(lost / mask.sum() for lost, mask in zip(changed, objects, strict=True))


@pytest.mark.parametrize("format", ["coco", "labelme"])
@given(objects=OBJECTS)
@settings(max_examples=25, deadline=None)
def test_polygons_that_people_can_edit_are_read_as_they_were_counted(format, objects):
    with TemporaryDirectory() as folder:
        written = WRITERS[format]([sample(objects=objects)], Path(folder), WriteOptions(polygons=True, tolerance=1))
        (again,) = read(folder)
        changed = sum(int((mask ^ other).sum()) for mask, other in zip(objects, again.instances, strict=True))
        assert changed == written.changed


def test_polygons_of_coco_keep_every_pixel_of_what_has_no_hole(tmp_path):
    WRITERS["coco"]([sample(objects=[square()])], tmp_path / "a", WriteOptions(polygons=True, tolerance=0))
    annotation = json.loads((tmp_path / "a/annotations.json").read_text())["annotations"][0]
    assert annotation["segmentation"] == [[8, 2, 8, 7, 3, 7, 3, 2]]
    assert (annotation["bbox"], annotation["area"], annotation["iscrowd"]) == ([3, 2, 5, 5], 25, 0)
    ring = square()
    ring[4, 5] = False
    WRITERS["coco"]([sample(objects=[ring])], tmp_path / "b", WriteOptions(polygons=True))
    assert read(tmp_path / "b")[0].target.sum() == 24


def test_requests_about_one_image_lie_together_and_files_are_copied_byte_by_byte(tmp_path):
    for folder, seed in (("x", 1), ("y", 2)):
        (tmp_path / folder).mkdir()
        photo(seed).save(tmp_path / folder / "a.jpg")
    samples = [
        sample("1", "the crack", [square()], tmp_path / "x/a.jpg"),
        sample("2", "every rust spot", [square(0, 0, 2), square(8, 8, 2)], tmp_path / "x/a.jpg"),
        sample("3", "the crack", [square(4, 4)], tmp_path / "y/a.jpg"),
    ]
    for format, images in (("coco", "images"), ("yolo", "images/train"), ("labelme", ""), ("csv", "images")):
        out = tmp_path / format
        written = WRITERS[format](samples, out, EXACT)
        assert (written.samples, written.images, written.objects) == (3, 2, 4)
        assert (out / images / "a.jpg").read_bytes() == (tmp_path / "x/a.jpg").read_bytes()
        assert (out / images / "a-2.jpg").read_bytes() == (tmp_path / "y/a.jpg").read_bytes()
        again = read(out)
        key = lambda one: (one.query, one.image.name)  # noqa: E731
        expected = sorted(samples, key=lambda one: (one.query, "a-2.jpg" if one.id == "3" else "a.jpg"))
        for one, other in zip(sorted(again, key=key), expected, strict=True):
            assert one.query == other.query
            assert same(one, other)


def test_what_counts_neither_way_is_kept_where_a_format_has_it_and_counted_elsewhere(tmp_path):
    told = sample(objects=[square()], ignore=square(8, 10, 3))
    for format in ("coco", "labelme", "csv"):
        WRITERS[format]([told], tmp_path / format, EXACT)
        (again,) = read(tmp_path / format)
        assert np.array_equal(again.ignore, told.ignore)
        assert same(again, told)
    assert WRITERS["yolo"]([told], tmp_path / "yolo", EXACT).left_out == {IGNORED: 1}


def test_that_nothing_is_there_is_said_by_the_table_alone_and_what_is_unknown_by_none(tmp_path):
    unknown = Sample("u", photo(), "the crack")
    samples = [sample("a", objects=[square()]), sample("n"), unknown]
    written = WRITERS["csv"](samples, tmp_path / "csv", EXACT)
    assert written.left_out == {UNKNOWN: 1}
    there, nothing = read(tmp_path / "csv")
    assert (there.target.sum(), nothing.target.sum(), len(nothing.instances)) == (25, 0, 0)
    for format in ("coco", "yolo", "labelme", "cutouts", "objects"):
        written = WRITERS[format](samples, tmp_path / format, EXACT)
        assert written.left_out == {UNKNOWN: 1, NOTHING: 1}
        assert written.samples == 1


def test_a_union_whose_objects_are_not_known_becomes_one_object(tmp_path):
    WRITERS["coco"]([Sample("a", photo(), "the crack", square() | square(0, 12, 3))], tmp_path / "a", EXACT)
    (again,) = read(tmp_path / "a")
    assert len(again.instances) == 1
    assert again.target.sum() == 34


def test_cut_outs_are_transparent_around_what_was_found(tmp_path):
    told = sample("shots/a?", objects=[square()])
    WRITERS["cutouts"]([told, sample("shots_a_", objects=[square(0, 0, 2)])], tmp_path / "cut", EXACT)
    with Image.open(tmp_path / "cut/shots_a_.png") as cut:
        assert (cut.mode, cut.size) == ("RGBA", (5, 5))
        assert np.array_equal(np.asarray(cut)[..., :3], np.asarray(photo())[2:7, 3:8])
    assert (tmp_path / "cut/shots_a_-2.png").is_file()
    WRITERS["cutouts"]([told], tmp_path / "whole", WriteOptions(crop=False))
    with Image.open(tmp_path / "whole/shots_a_.png") as cut:
        whole = np.asarray(cut)
    assert whole.shape == (HEIGHT, WIDTH, 4)
    assert np.array_equal(whole[..., 3] == 255, square())


def test_the_masks_of_objects_are_files_of_their_own(tmp_path):
    WRITERS["objects"]([sample(objects=[square(), square(0, 0, 2)])], tmp_path / "a", EXACT)
    assert np.array_equal(load_mask(tmp_path / "a/a.object-1.png"), square())
    assert load_mask(tmp_path / "a/a.object-2.png").sum() == 4


def test_images_need_not_be_copied(tmp_path):
    photo().save(tmp_path / "a.png")
    told = sample(objects=[square()], image=tmp_path / "a.png")
    for format in ("labelme", "csv"):
        WRITERS[format]([told], tmp_path / format, WriteOptions(copy_images=False))
        assert not list((tmp_path / format).rglob("images"))
    row = (tmp_path / "csv/table.csv").read_text().splitlines()[1]
    assert "../a.png" in row
    assert json.loads((tmp_path / "labelme/a.json").read_text())["imagePath"] == "../a.png"


@pytest.mark.parametrize("format", ["coco", "yolo", "labelme", "csv"])
def test_an_image_whose_name_is_not_utf8_gets_one_that_is(tmp_path, format):
    file = tmp_path / os.fsdecode(b"caf\xe9.png")
    photo().save(file)
    told = sample(printable(file.stem), objects=[square()], image=file)
    WRITERS[format]([told], tmp_path / "out", EXACT)
    (again,) = read(tmp_path / "out")
    assert same(again, told)
    assert again.image.name == "caf_xe9.png"
    if format in ("labelme", "csv"):  # which name it where it is
        with pytest.raises(InputError, match=r"the name '.*caf.xe9.png' is not UTF-8, so that no table and no JSON"):
            WRITERS[format]([told], tmp_path / "named", WriteOptions(copy_images=False))


@pytest.mark.parametrize("format", WRITERS)
def test_nothing_that_is_there_is_written_over_or_mixed_with(tmp_path, format):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"expected a new or an empty folder to write into, and '.*' has files in it"):
        WRITERS[format]([sample(objects=[square()])], tmp_path, EXACT)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_yolo_wants_the_name_of_a_split_and_a_tolerance_that_can_be(tmp_path):
    with pytest.raises(InputError, match=r"should be called train, val or test, found '../up'"):
        WRITERS["yolo"]([sample(objects=[square()])], tmp_path / "a", WriteOptions(split="../up"))
    with pytest.raises(InputError, match="should be from 0 to 1000 pixels, found -1"):
        WriteOptions(tolerance=-1)
