"""Exports of Label Studio, JSON and JSON-MIN, are read as it writes them: percentages, brushes, several annotators."""

import json

import numpy as np
import pytest
from PIL import Image

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings, load_dataset
from thinkseg.data.listing import FaultKind
from thinkseg.data.readers.brushes import mask_from_brush
from thinkseg.errors import DataError
from thinkseg.types import Size

WIDTH, HEIGHT = 40, 20
SQUARE = [[25, 25], [75, 25], [75, 50], [25, 50]]
"""Columns 10 to 29 and rows 5 to 9."""


class Bits:
    """A stream of bits, as the library that Label Studio uses writes it."""

    def __init__(self):
        self.text = ""

    def add(self, number, count):
        self.text += f"{number:0{count}b}"

    def bytes(self):
        text = self.text + "0" * (-len(self.text) % 8)
        return bytes(int(text[place : place + 8], 2) for place in range(0, len(text), 8))


def packed(mask):
    """A mask as a brush is exported: red, green, blue and alpha of each pixel, runs and single values mixed."""
    values = np.repeat(mask.astype(np.uint8) * 255, 4).tolist()
    bits = Bits()
    bits.add(len(values), 32)
    bits.add(7, 5)
    sizes = (3, 4, 8, 16)
    for size in sizes:
        bits.add(size - 1, 4)
    place = 0
    while place < len(values):
        end = place
        while end < len(values) and values[end] == values[place] and end - place < 2**16:
            end += 1
        if end - place > 8:  # a run
            chosen = next(number for number, size in enumerate(sizes) if end - place - 1 < 2**size)
            bits.add(1, 1)
            bits.add(chosen, 2)
            bits.add(end - place - 1, sizes[chosen])
            bits.add(values[place], 8)
        else:  # as many values as the counter says
            end = min(place + 8, len(values))
            bits.add(0, 1)
            bits.add(0, 2)
            bits.add(end - place - 1, 3)
            for value in values[place:end]:
                bits.add(value, 8)
        place = end
    return list(bits.bytes())


def region(kind, label, value, **more):
    return {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {**value, kind: [label]},
        "id": "LC4oCZ8sFm",
        "from_name": "label",
        "to_name": "image",
        "type": kind,
        "origin": "manual",
        **more,
    }


def polygon(label, points=SQUARE, **more):
    return region("polygonlabels", label, {"points": points, "closed": True}, **more)


def annotation(*regions, **more):
    told = {"id": 1, "completed_by": 1, "result": list(regions), "was_cancelled": False, "ground_truth": False}
    return told | {"updated_at": "2024-05-01T10:00:00.000000Z"} | more


def task(image, *annotations, number=1):
    return {
        "id": number,
        "annotations": list(annotations),
        "file_upload": image.rpartition("/")[2],
        "drafts": [],
        "predictions": [],
        "data": {"image": image},
        "meta": {},
        "project": 3,
    }


@pytest.fixture
def root(tmp_path):
    for name in ("a", "b"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / f"{name}.jpg")
    return tmp_path


def write(root, *tasks):
    (root / "project-3-at-2024-05-01.json").write_text(json.dumps(tasks))


def own(root, name="", **how):
    ((_, listings),) = find_listings(OwnData(root, dataset=name, **how))
    return listings["all"]


UPLOADED = "/data/upload/3/1f0c2a9e-a.jpg"


def test_polygons_are_percentages_and_their_labels_are_asked_for(root):
    write(root, task(UPLOADED, annotation(polygon("crack"), polygon("crack", [[0, 0], [10, 0], [10, 10], [0, 10]]))))
    (sample,) = own(root)
    assert (sample.id, sample.query, sample.image) == ("a-crack", "the crack", root / "a.jpg")
    assert sample.instances.sum(axis=(1, 2)).tolist() == [100, 8]
    assert sample.target[5:10, 10:30].all()
    assert sample.target.sum() == 108


def test_a_brush_is_unpacked_from_its_bits(root):
    rng = np.random.default_rng(3)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[4:12, 7:31] = True
    mask[15] = rng.random(WIDTH) > 0.5
    brush = region("brushlabels", "crack", {"format": "rle", "rle": packed(mask)})
    write(root, task(UPLOADED, annotation(brush)))
    assert np.array_equal(own(root)[0].target, mask)


def test_the_run_lengths_of_a_stream_that_was_packed_by_hand_are_read():
    # 4 values of 8 bits, counters of 1, 2, 3 and 4 bits; one run of 4 (counter 1, 4 - 1 = 3) of the value 255
    bits = f"{4:032b}" + "00111" + "0000" + "0001" + "0010" + "0011" + "1" + "01" + "11" + "11111111"
    stream = bytes(int(bits[place : place + 8].ljust(8, "0"), 2) for place in range(0, len(bits), 8))
    assert mask_from_brush(stream, Size(1, 1)).tolist() == [[True]]


@pytest.mark.parametrize(
    ("rle", "told"), [([], "end in the middle"), ([0, 0, 0, 4, 56, 1, 2], "should have 3200 values")]
)
def test_run_lengths_that_do_not_fill_the_image_are_refused(root, rle, told):
    write(root, task(UPLOADED, annotation(region("brushlabels", "crack", {"format": "rle", "rle": rle}))))
    with pytest.raises(DataError, match=told):
        own(root)[0]


def test_a_brush_whose_labels_are_a_tool_of_their_own_is_one_object(root):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[4:12, 7:31] = True
    value = {"format": "rle", "rle": packed(mask)}
    brush = region("brush", "", value) | {"value": value}
    write(root, task(UPLOADED, annotation(brush, region("labels", "crack", value))))
    (sample,) = own(root)
    assert (sample.query, sample.instances.sum()) == ("the crack", 8 * 24)


def test_an_ellipse_is_drawn_with_its_turn(root):
    value = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 90}
    write(root, task(UPLOADED, annotation(region("ellipselabels", "hole", value))))
    (sample,) = own(root)
    rows, columns = np.argwhere(sample.target).T
    assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (4, 16)  # 8 and 2 pixels, turned upright
    assert abs(sample.target.sum() - np.pi * 8 * 2) < 5


def test_rectangles_have_no_mask_and_are_said(root):
    box = region("rectanglelabels", "rust", {"x": 1, "y": 1, "width": 9, "height": 9, "rotation": 0})
    write(root, task(UPLOADED, annotation(polygon("crack"), box)))
    listing = own(root)
    assert [sample.query for sample in listing] == ["the crack"]
    assert [fault.where.rpartition(": ")[2] for fault in listing.faults] == ["rust"]
    write(root, task(UPLOADED, annotation(box)))
    with pytest.raises(DataError, match=r"marks objects with boxes, points or lines alone \(first: task 1 in "):
        own(root)


def test_the_annotation_that_was_changed_last_counts_and_cancelled_ones_and_predictions_do_not(root):
    old = annotation(polygon("old"), updated_at="2024-05-01T10:00:00Z")
    new = annotation(polygon("new"), updated_at="2024-05-02T10:00:00Z")
    cancelled = annotation(polygon("cancelled"), updated_at="2024-05-03T10:00:00Z", was_cancelled=True)
    predicted = task(UPLOADED, new, old, cancelled) | {"predictions": [{"result": [polygon("predicted")]}]}
    write(root, predicted)
    assert [sample.query for sample in own(root)] == ["the new"]


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/3/1f0c2a9e-a.jpg",
        "/data/local-files/?d=shots%5Ca.jpg",
        "/data/local-files/?d=shots/a.jpg",
        "https://example.com/shots/a.jpg?token=1",
        "s3://bucket/shots/a.jpg",
    ],
)
def test_an_image_is_found_by_the_end_of_the_path_that_label_studio_had(root, image):
    write(root, task(image, annotation(polygon("crack"))))
    assert own(root)[0].image == root / "a.jpg"


def test_an_image_that_is_missing_or_that_two_files_may_be_is_told(root):
    for folder in ("one", "two"):
        (root / folder).mkdir()
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / folder / "c.jpg")
    ambiguous, missing = task("c.jpg", annotation(polygon("x"))), task("z.jpg", annotation(polygon("x")), number=2)
    write(root, ambiguous, missing, task("one/c.jpg", annotation(polygon("x")), number=3))
    listing = own(root)
    assert [sample.image for sample in listing] == [root / "one/c.jpg"]
    assert [fault.kind for fault in listing.faults] == [FaultKind.AMBIGUOUS, FaultKind.MISSING_IMAGE]
    assert "may be one/c.jpg or two/c.jpg" in listing.faults[0].detail


def test_two_tasks_about_one_image_are_told(root):
    first = task(UPLOADED, annotation(polygon("x")))
    write(root, first, first)
    assert len(own(root)) == 1
    write(root, first, task("a.jpg", annotation(polygon("x")), number=2))
    listing = own(root)
    assert len(listing) == 1
    assert listing.faults[0].kind is FaultKind.AMBIGUOUS


def test_the_short_export_is_read_as_well(root):
    flat = {
        "points": SQUARE,
        "closed": True,
        "polygonlabels": ["crack"],
        "original_width": WIDTH,
        "original_height": HEIGHT,
    }
    row = {"image": UPLOADED, "id": 1, "label": [flat], "annotator": 1, "annotation_id": 1, "lead_time": 4.2}
    write(root, row)
    (sample,) = own(root)
    assert sample.target.sum() == 100


def test_tasks_without_an_annotation_are_passed_over(root):
    odd = task("y.jpg", annotation() | {"result": 3})
    write(root, task(UPLOADED, annotation(polygon("crack"))), task("b.jpg"), task("z.jpg", annotation()), odd)
    listing = own(root)
    assert len(listing) == 1
    assert not listing.faults


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (polygon("x", [[1, 1], [2, 2]]), r"tasks\[0\] in '.*' should be a polygon of three corners or more"),
        (
            polygon("x", [[1, 1], [2, "a"], [3, 3]]),
            "'points' of a region of .* should be pairs of numbers from 0 to 100",
        ),
        (polygon("x", image_rotation=90), "'image_rotation' of .* should be 0: turn the image itself"),
        (polygon(" "), "'polygonlabels' of .* should be a list of names"),
        (region("brushlabels", "x", {"format": "png", "rle": []}), "'format' of .* should be 'rle', found 'png'"),
        (region("brushlabels", "x", {"format": "rle", "rle": [300]}), "'rle' of .* should be a list of numbers"),
        (polygon("x") | {"original_width": 0}, "should have one size of at least one pixel"),
    ],
)
def test_a_region_that_is_not_as_expected_is_told_with_its_task(root, wrong, told):
    write(root, task(UPLOADED, annotation(polygon("crack"))) | {"annotations": [annotation(wrong)]})
    with pytest.raises(DataError, match=told):
        load_dataset("label-studio", "train", root)


def test_several_exports_in_a_folder_are_named_and_one_can_be_said(root):
    write(root, task(UPLOADED, annotation(polygon("crack"))))
    first = root / "project-3-at-2024-05-01.json"
    (root / "second.json").write_text(first.read_text())
    with pytest.raises(DataError, match=r"found several exports of Label Studio in .*: name one of"):
        own(root)
    assert len(own(first)) == 1
    ((_, listings),) = find_listings(OwnData(root, dataset="label-studio", annotations="second.json"))
    assert len(listings["all"]) == 1


def test_an_image_of_another_size_is_refused(root):
    write(root, task(UPLOADED, annotation(polygon("x", original_width=80))))
    with pytest.raises(DataError, match=r"is 80×20 \(width×height\), its image 40×20"):
        own(root)[0]
