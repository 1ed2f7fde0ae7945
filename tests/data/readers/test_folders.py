"""Images and masks find each other by name, whatever their suffixes, and nothing is opened before it is asked for."""

import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.listing import FaultKind
from thinkseg.data.readers.folders import NamePatterns, image_names, list_folders
from thinkseg.data.validation.check import check_copy
from thinkseg.errors import DataError, ImageError
from thinkseg.imaging import load_image, save_mask
from thinkseg.testing.data_sets import scene_samples, write_pair


@pytest.fixture
def folders(tmp_path):
    """A folder of images and one of masks, both empty."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    return tmp_path / "images", tmp_path / "masks"


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"not opened")


def names_of(listing):
    return [(listing.entry(i).image.name, listing.entry(i).masks[0].name) for i in range(len(listing))]


def test_a_pair_is_read_as_a_sample_with_the_exact_mask(folders):
    images, masks = folders
    scene = write_pair(images / "a.JPG", masks / "a.png")
    sample = list_folders(images, masks, "the bird", "salient")[0]
    assert (sample.id, sample.query, sample.task) == ("a", "the bird", "salient")
    assert np.array_equal(sample.target, scene.target)
    assert load_image(sample.image).size == (64, 64)


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg", ".Jpeg", ".png", ".PNG", ".bmp", ".webp", ".WEBP"])
def test_images_of_every_kind_pair_with_masks_of_every_kind(folders, suffix):
    images, masks = folders
    touch(images, f"a{suffix}")
    touch(masks, "a.PNG")
    assert names_of(list_folders(images, masks, "x")) == [(f"a{suffix}", "a.PNG")]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("with space.jpg", "with space.png"),
        ("1#Accessories#1#Bag#2339506821_83cf9f1d22_o.jpg", "1#Accessories#1#Bag#2339506821_83cf9f1d22_o.png"),
        ("photo.v2.jpg", "photo.v2.png"),
        ("鳥.jpg", "鳥.png"),
        ("caf\u00e9.jpg", "cafe\u0301.png"),
        ("IMG_1.JPG", "img_1.png"),
        ("a.jpg", "a_mask.png"),
        ("a.jpg", "a-GT.png"),
        ("a.jpg", "a.jpg.png"),
        ("cats/1.jpg", "cats/1.png"),
        ("cats/1.jpg", "1.png"),
        ("1.jpg", "deep/er/1_segmentation.png"),
    ],
    ids=[
        "space", "signs", "dots", "japanese", "accent", "capitals", "mask", "gt", "two suffixes", "nested", "one side",
        "other side",
    ],
)  # fmt: skip
def test_names_that_people_give_pair(folders, image, mask):
    images, masks = folders
    touch(images, image)
    touch(masks, mask)
    listing = list_folders(images, masks, "x")
    assert not listing.faults
    assert [(listing.entry(0).image, listing.entry(0).masks[0])] == [(images / image, masks / mask)]


def test_an_ending_such_as_mask_is_kept_where_the_image_has_it_too(folders):
    images, masks = folders
    touch(images, "gas_mask.jpg", "gas.jpg")
    touch(masks, "gas_mask.png", "gas.png")
    assert names_of(list_folders(images, masks, "x")) == [("gas.jpg", "gas.png"), ("gas_mask.jpg", "gas_mask.png")]


def test_the_same_name_in_two_folders_is_paired_by_folder_and_never_across(folders):
    images, masks = folders
    touch(images, "cats/1.jpg", "dogs/1.jpg")
    touch(masks, "cats/1.png", "birds/1.png")
    listing = list_folders(images, masks, "x")
    assert [listing.entry(i).id for i in range(len(listing))] == ["cats/1", "dogs/1"]
    touch(images, "owls/1.jpg")
    listing = list_folders(images, masks, "x")
    assert [listing.entry(i).id for i in range(len(listing))] == ["cats/1"]
    assert [fault.kind for fault in listing.faults] == [FaultKind.MISSING_MASK] * 2 + [FaultKind.MISSING_IMAGE]


def test_what_has_no_partner_is_named_and_the_rest_can_be_used(folders):
    images, masks = folders
    touch(images, "a.jpg", "b.jpg")
    touch(masks, "a.png", "c.png")
    listing = list_folders(images, masks, "x")
    assert [(fault.kind, fault.where) for fault in listing.faults] == [
        (FaultKind.MISSING_MASK, str(images / "b.jpg")),
        (FaultKind.MISSING_IMAGE, str(masks / "c.png")),
    ]
    assert len(listing) == 1
    with pytest.raises(DataError, match=r"not whole: 1 × missing-mask, 1 × missing-image \(first: .*b\.jpg\)"):
        listing.require_complete()


def test_two_files_of_one_name_are_not_chosen_between(folders):
    images, masks = folders
    touch(images, "a.jpeg", "a.png", "b.jpg")
    touch(masks, "a.png", "b.png")
    listing = list_folders(images, masks, "x")
    assert names_of(listing) == [("b.jpg", "b.png")]
    (fault,) = listing.faults
    assert (fault.kind, fault.where) == (FaultKind.AMBIGUOUS, str(images / "a.jpeg"))
    assert str(images / "a.png") in fault.detail


def test_hidden_files_and_what_is_no_image_are_passed_over(folders):
    images, masks = folders
    touch(images, "a.jpg", "._a.jpg", ".DS_Store", "Thumbs.db", "list.txt", "__MACOSX/a.jpg")
    touch(masks, "a.png", "notes.json")
    assert image_names(images) == ["a.jpg"]
    assert not list_folders(images, masks, "x").faults


def test_a_linked_folder_is_entered_and_a_circle_of_links_ends(folders, tmp_path):
    images, _ = folders
    touch(tmp_path / "elsewhere", "a.jpg")
    (images / "linked").symlink_to(tmp_path / "elsewhere")
    (images / "round").symlink_to(images)
    assert image_names(images) == ["linked/a.jpg"]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.jpg", "a.png"),
        ("a.JPEG", "a.PNG"),
        ("a.webp", "a.bmp"),
        ("a.png", "a_mask.png"),
        ("a.jpg", "a.mask.png"),
        ("a.jpg", "a_GT.jpg"),
        ("a.jpg", "a.jpg.png"),
        ("Tag 1.jpg", "tag 1 mask.png"),
        ("train/a.jpg", "train/a-seg.png"),
    ],
)
def test_a_mask_may_lie_beside_its_image(tmp_path, image, mask):
    touch(tmp_path, image, mask, "b.jpg", "b_mask.png")
    listing = list_folders(tmp_path, tmp_path, "x")
    assert dict(names_of(listing)) == {image.rpartition("/")[2]: mask.rpartition("/")[2], "b.jpg": "b_mask.png"}
    assert listing.faults == []


def test_a_mask_that_is_left_over_beside_one_image_is_not_given_to_another(tmp_path):
    touch(tmp_path, "q/b.jpg", "q/b.png", "q/b_mask.png", "p/b.jpg")
    listing = list_folders(tmp_path, tmp_path, "x")
    assert [entry.id for entry in map(listing.entry, range(len(listing)))] == ["q/b"]
    kinds = {fault.kind: Path(fault.where).relative_to(tmp_path).as_posix() for fault in listing.faults}
    assert kinds == {FaultKind.MISSING_MASK: "p/b.jpg", FaultKind.MISSING_IMAGE: "q/b_mask.png"}


def test_what_lies_beside_masks_without_one_of_its_own_is_a_fault(tmp_path):
    """A photograph of a mask is no mask, nor is a second copy of an image."""
    touch(tmp_path, "a.jpg", "a.png", "the_mask.jpg", "b.jpg", "b.jpeg", "c.png", "c.bmp", "d.jpg", "d.png", "d_gt.png")
    listing = list_folders(tmp_path, tmp_path, "x")
    assert names_of(listing) == [("a.jpg", "a.png"), ("d.jpg", "d.png")]
    assert {(fault.kind, fault.where.rpartition("/")[2]) for fault in listing.faults} == {
        (FaultKind.MISSING_MASK, "the_mask.jpg"),
        (FaultKind.AMBIGUOUS, "b.jpeg"),
        (FaultKind.AMBIGUOUS, "c.bmp"),
        (FaultKind.MISSING_IMAGE, "d_gt.png"),
    }


def test_one_folder_for_both_or_none_at_all_is_told(folders, tmp_path):
    images, _ = folders
    with pytest.raises(DataError, match="two folders, or a mask beside its image"):
        list_folders(images, tmp_path / "images" / ".." / "images", "x")
    with pytest.raises(DataError, match="expected a folder of masks"):
        list_folders(images, tmp_path / "gone", "x")


def test_an_image_that_shows_no_object_has_an_empty_mask_of_its_size(folders):
    images, masks = folders
    write_pair(images / "CAM-1.jpg", masks / "CAM-1.png")
    Image.new("RGB", (40, 30)).save(images / "NonCAM-1.jpg")
    listing = list_folders(images, masks, "x", patterns=NamePatterns(no_object=("*noncam*",)))
    assert not listing.faults
    assert listing[1].target.shape == (30, 40)
    assert not listing[1].target.any()
    assert listing.entry(1).may_be_empty


def test_names_can_be_chosen_by_patterns(folders):
    images, masks = folders
    touch(images, "COD10K-CAM-1.jpg", "COD10K-NonCAM-1.jpg", "camourflage_1.jpg")
    touch(masks, "COD10K-CAM-1.png", "camourflage_1.png")
    listing = list_folders(images, masks, "x", patterns=NamePatterns(only=("cod10k-*",), without=("*noncam*",)))
    assert names_of(listing) == [("COD10K-CAM-1.jpg", "COD10K-CAM-1.png")]
    assert not listing.faults


def test_masks_of_another_split_are_no_fault_where_masks_are_shared(folders):
    images, masks = folders
    touch(images, "a.jpg")
    touch(masks, "a.png", "test.png")
    listing = list_folders(images, masks, "x", shared_masks=True)
    assert not listing.faults
    assert list(listing.unused_masks) == ["test.png"]


def test_a_listing_is_a_sequence_that_can_be_cut(folders):
    images, masks = folders
    for number in range(4):
        write_pair(images / f"{number}.jpg", masks / f"{number}.png", number)
    listing = list_folders(images, masks, "x")
    assert len(listing) == listing.image_count == 4
    assert listing[-1].id == "3"
    assert [sample.id for sample in listing[1:3]] == ["1", "2"]
    assert [sample.id for sample in listing[::-2]] == ["3", "1"]
    assert listing[:2].image_count == 2
    with pytest.raises(IndexError):
        listing[4]


@pytest.mark.parametrize("kind", ["16 bit", "rgb", "rgba", "palette", "one bit", "0 and 1"])
def test_masks_of_every_kind_read_the_same(folders, kind):
    images, masks = folders
    scene = write_pair(images / "a.jpg", masks / "a.png")
    mask = scene.target
    if kind == "16 bit":
        made = Image.fromarray(mask.astype(np.uint16) * 65535)
    elif kind == "rgb":
        made = Image.fromarray(np.stack([mask * 255, mask * 0, mask * 0], axis=-1).astype(np.uint8))
    elif kind == "rgba":
        made = Image.fromarray(np.stack([mask * 255] * 3 + [mask * 0 + 255], axis=-1).astype(np.uint8))
    elif kind == "palette":
        made = Image.fromarray(mask.astype(np.uint8)).convert("P")
        made.putpalette([0, 0, 0, 128, 0, 0])
    else:
        made = Image.fromarray(mask) if kind == "one bit" else Image.fromarray(mask.astype(np.uint8))
    made.save(masks / "a.png")
    assert np.array_equal(list_folders(images, masks, "x")[0].target, mask)


def test_a_damaged_mask_is_named_when_it_is_asked_for(folders):
    images, masks = folders
    write_pair(images / "a.jpg", masks / "a.png")
    whole = (masks / "a.png").read_bytes()
    (masks / "a.png").write_bytes(whole[: len(whole) // 2])
    listing = list_folders(images, masks, "x")
    with pytest.raises(ImageError, match=r"a\.png' is damaged or cut short"):
        listing[0]


def test_the_source_is_never_written_to(folders):
    """Defect 11: files deleted and moved in the user's data set, JPEG bytes in its masks."""
    images, masks = folders
    write_pair(images / "a.jpg", masks / "a.png")
    touch(images, "b.jpg")
    before = {path: path.read_bytes() for path in images.parent.rglob("*") if path.is_file()}
    list_folders(images, masks, "x")[0]
    assert {path: path.read_bytes() for path in images.parent.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_hundred_thousand_images_are_listed_in_seconds_and_little_memory(folders, tmp_path):
    images, masks = folders
    scene = scene_samples()[0]
    for copy in range(4):  # a file can have some 65,000 links
        load_image(scene.image).save(tmp_path / f"{copy}.jpg")
        save_mask(scene.target, tmp_path / f"{copy}.png")
    for number in range(100_000):
        os.link(tmp_path / f"{number % 4}.jpg", images / f"{number:06d}.jpg")
        os.link(tmp_path / f"{number % 4}.png", masks / f"{number:06d}.png")
    start = time.process_time()  # of this process: other work on the machine does not count
    listing = list_folders(images, masks, "x")
    first = listing[99_999]
    assert time.process_time() - start < 10
    assert len(listing) == 100_000
    assert first.id == "099999"
    tracemalloc.start()
    listing = list_folders(images, masks, "x")
    kept, _ = tracemalloc.get_traced_memory()
    for index in range(0, 100_000, 1000):
        assert listing[index].target.any()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 40e6
    assert after - kept < 1e6


def test_images_of_other_kinds_are_counted_and_stop_nothing(folders, caplog):
    images, masks = folders
    write_pair(images / "a.png", masks / "a.png")
    for name in ("scan.tif", "more/photo.HEIC"):
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).touch()
    listing = list_folders(images, masks, "x").require_complete()
    assert [file.name for file in listing.passed_over] == ["photo.HEIC", "scan.tif"]
    (said,) = caplog.messages
    assert "2 images of another kind" in said
    report = check_copy(images.parent, {"all": listing}, workers=1)
    assert [(fault.kind, fault.where) for fault in report.faults] == [
        (FaultKind.PASSED_OVER, "images/more/photo.HEIC"),
        (FaultKind.PASSED_OVER, "images/scan.tif"),
    ]
