"""Masks of several classes in one file are read class by class: Pascal VOC's folders, and masks by colour."""

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings, load_dataset
from thinkseg.data.listing import FaultKind
from thinkseg.data.readers.class_maps import voc_colour
from thinkseg.errors import DataError

SIZE = (40, 20)
CODES = np.zeros((20, 40), np.uint8)
CODES[5:10, 10:30] = 1
CODES[0:2, 0:4] = 2


def photo(file, size=SIZE):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(file)


def palette_image(file, codes):
    """A PNG with Pascal VOC's palette, as its own files and labelme's are."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(codes.astype(np.uint8)).convert("P")
    image.putpalette([channel for number in range(256) for channel in voc_colour(number).to_bytes(3, "big")])
    image.save(file)


def colour_image(file, codes, colours):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*codes.shape, 3), np.uint8)
    for code, colour in enumerate(colours):
        pixels[codes == code] = colour
    Image.fromarray(pixels).save(file)


def own(root, name="", **how):
    ((_, listings),) = find_listings(OwnData(root, dataset=name, **how))
    return listings


@pytest.fixture
def voc(tmp_path):
    """Folders as Pascal VOC's archive has them: an aeroplane in two parts, a bicycle, and a rim that is void."""
    for name in ("2007_000032", "2007_000039"):
        photo(tmp_path / f"VOC2012/JPEGImages/{name}.jpg")
    classes, objects = CODES.copy(), CODES.copy()
    classes[10, 10:30] = objects[10, 10:30] = 255
    objects[5:10, 20:30] = 3
    palette_image(tmp_path / "VOC2012/SegmentationClass/2007_000032.png", classes)
    palette_image(tmp_path / "VOC2012/SegmentationObject/2007_000032.png", objects)
    palette_image(tmp_path / "VOC2012/SegmentationClass/2007_000039.png", CODES)
    palette_image(tmp_path / "VOC2012/SegmentationObject/2007_000039.png", CODES)
    sets = tmp_path / "VOC2012/ImageSets/Segmentation"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("2007_000032\n")
    (sets / "val.txt").write_text("2007_000039\n")
    (sets / "trainval.txt").write_text("2007_000032\n2007_000039\n")
    return tmp_path


def test_pascal_voc_is_read_with_its_objects_its_void_and_its_splits(voc):
    listings = own(voc)
    assert {split: len(listing) for split, listing in listings.items()} == {"train": 2, "val": 2}
    aeroplane, bicycle = listings["train"]
    assert (aeroplane.id, aeroplane.query) == ("2007_000032-aeroplane", "the aeroplane")
    assert bicycle.query == "the bicycle"
    assert np.array_equal(aeroplane.target, CODES == 1)
    assert aeroplane.instances.sum(axis=(1, 2)).tolist() == [50, 50]
    assert aeroplane.ignore.sum() == 20
    assert np.array_equal(bicycle.target, CODES == 2)
    assert len(load_dataset("voc", "val", voc)) == 2


def test_masks_of_voc_are_read_where_they_are_colours_as_well(voc):
    colours = [voc_colour(number).to_bytes(3, "big") for number in range(3)]
    colour_image(voc / "VOC2012/SegmentationClass/2007_000039.png", CODES, list(map(list, colours)))
    aeroplane, _ = own(voc)["val"]
    assert np.array_equal(aeroplane.target, CODES == 1)


def test_cvat_writes_voc_folders_with_a_label_map_of_its_own_and_no_images(tmp_path):
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:61,245,61::\nrust:140,120,240::\n"
    )
    colours = ([0, 0, 0], [61, 245, 61], [140, 120, 240])
    colour_image(tmp_path / "SegmentationClass/a.png", CODES, colours)
    colour_image(tmp_path / "SegmentationObject/a.png", CODES, ([0, 0, 0], [128, 0, 0], [0, 128, 0]))
    sets = tmp_path / "ImageSets/Segmentation"
    sets.mkdir(parents=True)
    (sets / "default.txt").write_text("a\n")
    with pytest.raises(DataError, match=r"no folder 'JPEGImages' or 'images' beside it: say .* with '--images'"):
        own(tmp_path)
    photo(tmp_path / "shots/a.jpg")
    crack, rust = own(tmp_path, images="shots")["all"]
    assert (crack.query, rust.query) == ("the crack", "the rust")
    assert len(crack.instances) == 1


def test_labelmes_converter_writes_voc_folders_with_a_list_of_names(tmp_path):
    (tmp_path / "class_names.txt").write_text("_background_\ncrack\nrust\n")
    photo(tmp_path / "JPEGImages/a.jpg")
    palette_image(tmp_path / "SegmentationClass/a.png", CODES)
    crack, rust = own(tmp_path)["all"]
    assert (crack.query, rust.query) == ("the crack", "the rust")
    assert crack.instances is None


def test_masks_of_two_values_in_a_folder_of_vocs_name_stay_what_they_are(tmp_path):
    photo(tmp_path / "JPEGImages/a.jpg")
    palette_image(tmp_path / "SegmentationClass/a.png", CODES == 1)
    (sample,) = own(tmp_path)["all"]
    assert (sample.query, sample.target.sum()) == ("the main object", 100)


def test_images_that_a_split_lists_and_that_are_not_there_are_told(voc):
    (voc / "VOC2012/SegmentationClass/2007_000032.png").unlink()
    (voc / "VOC2012/ImageSets/Segmentation/train.txt").write_text("2007_000032\n2007_009999\n")
    faults = own(voc)["train"].faults
    assert [fault.kind for fault in faults] == [FaultKind.MISSING_MASK, FaultKind.MISSING_IMAGE]


def test_camvids_folders_are_found_by_its_class_map(tmp_path):
    (tmp_path / "class_dict.csv").write_text("name, r, g, b\nBuilding, 128, 0, 0\nCar, 64, 0, 128\nVoid, 0, 0, 0\n")
    for split in ("train", "val"):
        photo(tmp_path / split / "0001TP_006690.png")
        colour_image(tmp_path / f"{split}_labels/0001TP_006690_L.png", CODES, ([0, 0, 0], [128, 0, 0], [64, 0, 128]))
    with pytest.raises(DataError, match="not whole"):
        own(tmp_path)["train"].require_complete()
    for split in ("train", "val"):
        (tmp_path / f"{split}_labels/0001TP_006690_L.png").rename(tmp_path / f"{split}_labels/0001TP_006690.png")
    listings = own(tmp_path)
    assert list(listings) == ["train", "val"]
    building, car = listings["train"]
    assert (building.query, car.query) == ("the Building", "the Car")
    assert np.array_equal(building.target, CODES == 1)
    assert building.ignore.sum() == (CODES == 0).sum()


def test_roboflow_lays_numbered_masks_beside_their_images(tmp_path):
    for split in ("train", "valid"):
        photo(tmp_path / split / "a_jpg.rf.0f2a.jpg")
        (tmp_path / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, crack\n2, rust\n")
        Image.fromarray(CODES).save(tmp_path / split / "a_jpg.rf.0f2a_mask.png")
    listings = own(tmp_path)
    assert list(listings) == ["train", "valid"]
    assert [sample.query for sample in listings["train"]] == ["the crack", "the rust"]


@pytest.mark.parametrize(
    "layout", [("images", "masks"), ("images/train", "masks/train"), ("train/images", "train/masks")]
)
def test_a_class_map_makes_of_coloured_masks_requests(tmp_path, layout):
    images, masks = layout
    (tmp_path / "classes.json").write_text('{"crack": "#ff0000", "rust": "#00ff00"}')
    photo(tmp_path / images / "a.jpg")
    colour_image(tmp_path / masks / "a.png", CODES, ([0, 0, 0], [255, 0, 0], [0, 255, 0]))
    (listing,) = own(tmp_path).values()
    crack, _ = listing
    assert (crack.id, crack.query) == ("a-crack", "the crack")
    assert np.array_equal(crack.target, CODES == 1)
    assert crack.instances is None
    assert crack.ignore is None


def test_the_class_map_can_be_named(tmp_path):
    (tmp_path / "my_map.json").write_text('{"crack": "#ff0000"}')
    photo(tmp_path / "images/a.jpg")
    colour_image(tmp_path / "masks/a.png", CODES, ([0, 0, 0], [255, 0, 0], [0, 255, 0]))
    (sample,) = own(tmp_path, "colours", annotations="my_map.json")["all"]
    assert np.array_equal(sample.target, CODES == 1)


def test_colours_that_the_map_does_not_name_are_background_but_not_all_of_them(tmp_path):
    (tmp_path / "classes.json").write_text('{"crack": "#ff0000", "rust": "#0000ff"}')
    for name, colours in (("a", ([9, 9, 9], [255, 0, 0], [0, 255, 0])), ("b", ([9, 9, 9], [1, 2, 3], [0, 255, 0]))):
        photo(tmp_path / f"images/{name}.jpg")
        colour_image(tmp_path / f"masks/{name}.png", CODES, colours)
    listing = own(tmp_path)["all"]
    assert [sample.id for sample in listing] == ["a-crack"]
    (fault,) = listing.faults
    assert "b.png' should have the colours of its class map, found #00ff00, #010203, #090909" in fault.detail


def test_a_mask_that_went_through_jpeg_is_refused(tmp_path):
    (tmp_path / "classes.json").write_text('{"crack": "#ff0000"}')
    photo(tmp_path / "images/a.jpg")
    colour_image(tmp_path / "masks/a.jpg", CODES, ([0, 0, 0], [255, 0, 0], [0, 255, 0]))
    (fault,) = own(tmp_path)["all"].faults
    assert "mixes the colours of classes where they meet: save it as PNG" in fault.detail


def test_a_mask_in_colours_whose_map_has_numbers_is_refused(tmp_path):
    (tmp_path / "classes.json").write_text('{"1": "crack"}')
    photo(tmp_path / "images/a.jpg")
    colour_image(tmp_path / "masks/a.png", CODES, ([0, 0, 0], [255, 0, 0], [0, 255, 0]))
    (fault,) = own(tmp_path)["all"].faults
    assert "has colours, and its class map has numbers" in fault.detail


def test_numbers_may_be_written_as_greys_of_three_channels(tmp_path):
    (tmp_path / "classes.json").write_text('{"1": "crack", "2": "rust"}')
    photo(tmp_path / "images/a.jpg")
    colour_image(tmp_path / "masks/a.png", CODES, ([0, 0, 0], [1, 1, 1], [2, 2, 2]))
    crack, _ = own(tmp_path)["all"]
    assert np.array_equal(crack.target, CODES == 1)


def test_a_mask_of_another_size_is_refused(tmp_path):
    (tmp_path / "classes.json").write_text('{"1": "crack"}')
    photo(tmp_path / "images/a.jpg", (80, 40))
    Image.new("L", SIZE, 1).save(tmp_path / "images/../a.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "masks/a.png")
    with pytest.raises(DataError, match=r"is 40×20 \(width×height\), its image 80×40"):
        own(tmp_path)["all"][0]
